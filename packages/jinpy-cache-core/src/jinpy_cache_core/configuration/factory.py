"""`CacheBackendFactory`: from a configuration, URL or plain data to an open backend."""

from typing import TYPE_CHECKING, Any

from jinpy_cache_core.configuration.registry import NULL, backend_class, is_disabled
from jinpy_cache_core.configuration.sources import BackendSource, backend_config

if TYPE_CHECKING:
    from jinpy_cache_core.backend.base import BaseBackend


class CacheBackendFactory:
    """Makes backends by configuration; which class serves it is looked up by its `backend_type`."""

    @staticmethod
    def create(config: BackendSource, **dependencies: Any) -> "BaseBackend":
        """Make a backend; whoever calls this closes it.

        Args:
            config: A configuration, a URL such as `memory://?max_entries=1000`, or plain data with
                a `backend_type`.
            dependencies: Passed to the backend's class, such as `clock`.

        With `JINPY_CACHE_DISABLED=1` in the environment it is a backend that keeps nothing, of the
        same name.

        Raises:
            CacheConfigurationError: The configuration is wrong, or its backend is not installed;
                the message says what to install.
        """
        checked = backend_config(config)
        if is_disabled():
            null = backend_class(NULL)
            kept = ("name", "default_ttl", "options", "on_error", "statistics")
            checked = null.config_class(**{name: getattr(checked, name) for name in kept})
        return backend_class(checked.backend_type)(checked, **dependencies)
