"""From what people write (URLs, TOML, the environment) to open backends of the right class."""
