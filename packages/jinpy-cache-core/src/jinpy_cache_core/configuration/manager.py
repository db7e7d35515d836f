"""`CacheManagerConfig`: an application's backends, from objects, data, TOML or environment."""

import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self, cast

import attrs

from jinpy_cache_core.config import BaseCacheBackendConfig
from jinpy_cache_core.configuration.sources import BackendSource, read_backend
from jinpy_cache_core.exceptions import CacheConfigurationError
from jinpy_cache_core.loading.options import NO_OPTIONS, EntryOptions, to_options
from jinpy_cache_core.settings.structuring import KnownKeywords, Problems, structure_fields
from jinpy_cache_core.settings.validation import switch

ENVIRONMENT_PREFIX = "JINPY_CACHE_"
"""What the variables that `CacheManagerConfig.from_env` reads begin with."""


def _configs(sources: Iterable[BackendSource]) -> tuple[BaseCacheBackendConfig, ...]:
    given: object = sources
    if isinstance(given, (str, Mapping)) or not isinstance(given, Iterable):
        kind = type(sources).__name__
        message = f"backends is a list of configurations or URLs, not one {kind}."
        raise CacheConfigurationError(message)
    problems = Problems()
    configs = [
        read_backend(source, name=None, path=f"backends[{index}]", text=False, problems=problems)
        for index, source in enumerate(sources)
    ]
    problems.raise_if_any("The cache configuration")
    return tuple(config for config in configs if config is not None)


class _Declaration:
    """The last configuration that declared its backends for the whole process."""

    def __init__(self) -> None:
        self._config: CacheManagerConfig | None = None

    def set(self, config: "CacheManagerConfig | None") -> None:
        self._config = config

    def get(self) -> "CacheManagerConfig | None":
        return self._config


declared = _Declaration()
"""What the process-wide manager provisions an unknown name from."""


@attrs.frozen(kw_only=True)
class CacheManagerConfig(KnownKeywords):
    """The backends of an application.

    With `enable_singleton=True` making one also declares its backends to the process-wide manager,
    which provisions each of them when its name is first used; `CacheManager(config)` does so at
    once. With `enable_singleton=False` nothing global is touched.

    Attributes:
        backends: Configurations, or URLs of them, with distinct names.
        default_backend: The name used where none is given; by default that of the first.
        enable_singleton: Whether this is for the process-wide manager.
        options: How entries are computed, kept and renewed, where neither a backend nor a call
            says; an `EntryOptions` or a table of its fields.
    """

    backends: tuple[BaseCacheBackendConfig, ...] = attrs.field(converter=_configs, default=())
    default_backend: str | None = None
    enable_singleton: bool = attrs.field(default=True, validator=switch)
    options: EntryOptions = attrs.field(default=NO_OPTIONS, converter=to_options)

    def __attrs_post_init__(self) -> None:
        problems = Problems()
        _check_names(self.backends, self.default_backend, problems)
        problems.raise_if_any("The cache configuration")
        if self.enable_singleton:
            declared.set(self)

    def completed(self, config: BaseCacheBackendConfig) -> BaseCacheBackendConfig:
        """The configuration of a backend, with these options where it says nothing."""
        options = config.options.over(self.options)
        return config if options == config.options else config.evolve(options=options)

    @property
    def default_name(self) -> str | None:
        """The name of the backend used where none is given, if any is configured."""
        if self.default_backend is not None:
            return self.default_backend
        return self.backends[0].name if self.backends else None

    def backend(self, name: str) -> BaseCacheBackendConfig | None:
        """The configuration of that name, if there is one."""
        return next((config for config in self.backends if config.name == name), None)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read plain data, such as parsed JSON.

        Args:
            data: `backends` as a list of tables or URLs, or as a table of them by name; each table
                has a `backend_type` and that backend's settings. Also `default_backend` and
                `enable_singleton`.

        Raises:
            CacheConfigurationError: Lists every problem with its path, and the nearest known name
                for a misspelt one.
        """
        return cls._read(data, source="The cache configuration", text=False)

    @classmethod
    def from_toml(cls, path: str | Path, *, table: str | None = None) -> Self:
        """Read a TOML file.

        Args:
            path: The file.
            table: The dotted name of the table to read, such as `"tool.jinpy-cache"`; by default
                the whole file.

        Raises:
            CacheConfigurationError: The file cannot be read or parsed, has no such table, or as for
                `from_dict`.
        """
        try:
            with Path(path).open("rb") as file:
                data: object = tomllib.load(file)
        except OSError as error:
            message = f"The configuration file {str(path)!r} cannot be read: {error.strerror}."
            raise CacheConfigurationError(message, errno=error.errno) from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            message = f"The configuration file {str(path)!r} is not TOML: {error}."
            raise CacheConfigurationError(message) from error
        for part in table.split(".") if table else ():
            tables = cast("dict[str, object]", data) if isinstance(data, dict) else {}
            if part not in tables:
                message = f"The configuration file {str(path)!r} has no table [{table}]."
                raise CacheConfigurationError(message)
            data = tables[part]
        return cls._read(data, source=f"The configuration file {str(path)!r}", text=False)

    @classmethod
    def from_env(
        cls,
        environ: Mapping[str, str] | None = None,
        *,
        prefix: str = ENVIRONMENT_PREFIX,
    ) -> Self:
        """Read environment variables.

        `JINPY_CACHE_BACKENDS__<NAME>` holds the URL of a backend, or
        `JINPY_CACHE_BACKENDS__<NAME>__<SETTING>` one of its settings (`BACKEND_TYPE` among them),
        where `__0`, `__1` after the setting make a list;
        `JINPY_CACHE_DEFAULT_BACKEND` and `JINPY_CACHE_ENABLE_SINGLETON` as the fields. Names and
        settings are lower-cased; a value is parsed by the setting's type.

        Args:
            environ: The variables; by default those of the process.
            prefix: What the names of the variables begin with.

        Raises:
            CacheConfigurationError: As for `from_dict`.
        """
        variables = os.environ if environ is None else environ
        data: dict[str, Any] = {}
        backends: dict[str, Any] = {}
        problems = Problems()
        for variable in sorted(variables):
            if not variable.startswith(prefix):
                continue
            head, *rest = variable.removeprefix(prefix).lower().split("__")
            if head != "backends" or not rest:
                data[head] = variables[variable]
            elif len(rest) == 1:
                backends[rest[0]] = variables[variable]
            elif isinstance(backends.setdefault(rest[0], {}), dict):
                backends[rest[0]]["__".join(rest[1:])] = variables[variable]
            else:
                problems.add(variable, f"{prefix}BACKENDS__{rest[0].upper()} is a URL already.")
        problems.raise_if_any("The environment")
        data["backends"] = {
            name: one if isinstance(one, str) else _with_lists(one)
            for name, one in backends.items()
        }
        return cls._read(data, source="The environment", text=True)

    @classmethod
    def _read(cls, data: object, *, source: str, text: bool) -> Self:
        problems = Problems()
        if not isinstance(data, Mapping):
            problems.add("", f"it is {type(data).__name__}, not a table of settings.")
            data = {}
        settings = dict(cast("Mapping[str, Any]", data))
        backends = _listed(settings.pop("backends", ()), text=text, problems=problems)
        all_read = not problems.sentences
        arguments = structure_fields(
            cls, settings, problems=problems, text=text, ignored=("backends",)
        )
        if all_read:
            _check_names(backends, arguments.get("default_backend"), problems)
        problems.raise_if_any(source)
        return cls(backends=backends, **arguments)


def _with_lists(settings: dict[str, str]) -> dict[str, Any]:
    """The settings of a backend, with `secret__0` and `secret__1` made one list."""
    plain: dict[str, Any] = {}
    lists: dict[str, dict[int, str]] = {}
    for name, value in settings.items():
        setting, _, number = name.rpartition("__")
        if number.isdecimal() and setting and setting not in settings:
            lists.setdefault(setting, {})[int(number)] = value
        else:
            plain[name] = value
    return plain | {
        setting: [values[number] for number in sorted(values)] for setting, values in lists.items()
    }


def _listed(backends: Any, *, text: bool, problems: Problems) -> tuple[BaseCacheBackendConfig, ...]:
    """Every backend that can be read from a list, or from a table by name."""
    sources: list[tuple[str, str | None, object]]
    if isinstance(backends, Mapping):
        backends = cast("Mapping[str, object]", backends)
        sources = [(f"backends.{name}", str(name), source) for name, source in backends.items()]
    elif isinstance(backends, Iterable) and not isinstance(backends, (str, bytes)):
        backends = cast("Iterable[object]", backends)
        sources = [(f"backends[{index}]", None, source) for index, source in enumerate(backends)]
    else:
        problems.add("backends", f"it is {type(backends).__name__}, not a list or a table.")
        return ()
    configs = [
        read_backend(source, name=name, path=path, text=text, problems=problems)
        for path, name, source in sources
    ]
    return tuple(config for config in configs if config is not None)


def _check_names(
    backends: tuple[BaseCacheBackendConfig, ...], default: object, problems: Problems
) -> None:
    names = [config.name for config in backends]
    for index, name in enumerate(names):
        first = names.index(name)
        if first < index:
            sentence = f"{name!r} is also the name of backends[{first}]; names must differ."
            problems.add(f"backends[{index}].name", sentence)
    if default is not None and default not in names:
        configured = ", ".join(map(repr, names)) or "none"
        problems.add("default_backend", f"{default!r} is not configured; there are {configured}.")
