"""Fresh process-wide caches for a while, such as that of one test."""

from collections.abc import Generator
from contextlib import contextmanager

from jinpy_cache_core.backend.base import BaseBackend
from jinpy_cache_core.configuration.factory import CacheBackendFactory
from jinpy_cache_core.configuration.manager import CacheManagerConfig, declared
from jinpy_cache_core.configuration.registry import backend_class
from jinpy_cache_core.manager.manager import CacheManager, ManagerState, get_cache_manager

_KEPT = ("default_ttl", "options", "on_error", "statistics")
"""What a fresh backend takes over from the one it stands in for, if that is declared."""


@contextmanager
def isolated_caches() -> Generator[CacheManager]:
    """Let every process-wide cache be a fresh, empty one in memory; afterwards all is as before.

    Whatever finds its backend by name sees the fresh ones: each `Cache()`, module-level ones and
    those of decorated functions included, `get_cache`, and the manager. Names are those that are
    configured or declared, with their default ttl and options; other names are errors, as they
    are outside. A backend that was handed over as an object is not replaced.

    Not thread-safe: it is for the whole process, other threads included.

    Yields:
        The process-wide manager. It may be configured anew meanwhile; that too is undone.

    Raises:
        CacheConfigurationError: `jinpy-cache-memory` is not installed.
    """
    manager = get_cache_manager()
    config = declared.get()
    default = manager._default or (config.default_name if config else None)
    stood_in = {name: _stand_in(name, config) for name in manager._known_names()}
    before = manager._exchange(ManagerState(stood_in, default, closed=False, declared=None))
    try:
        yield manager
    finally:
        during = manager._exchange(before)
        for backend in [*during.backends.values(), *stood_in.values()]:
            backend.close()


def _stand_in(name: str, config: CacheManagerConfig | None) -> BaseBackend:
    declared_as = config.backend(name) if config else None
    taken = {field: getattr(declared_as, field) for field in _KEPT} if declared_as else {}
    return CacheBackendFactory.create(backend_class("memory").config_class(name=name, **taken))
