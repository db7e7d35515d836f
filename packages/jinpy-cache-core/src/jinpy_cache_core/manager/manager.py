"""`CacheManager`: owns an application's backends by name, and replaces them without a gap."""

import asyncio
import difflib
import logging
import os
import threading
import weakref
from collections.abc import (
    AsyncGenerator,
    Generator,
    Iterable,
)
from contextlib import asynccontextmanager, contextmanager
from typing import Self

import attrs

from jinpy_cache_core.backend.base import BaseBackend
from jinpy_cache_core.configuration.factory import CacheBackendFactory
from jinpy_cache_core.configuration.manager import CacheManagerConfig, declared
from jinpy_cache_core.configuration.registry import backend_class
from jinpy_cache_core.exceptions import (
    CacheClosedError,
    CacheConfigurationError,
)
from jinpy_cache_core.forks import call_in_children
from jinpy_cache_core.lifecycle import ClosedByWith
from jinpy_cache_core.manager.async_operations import AsyncNamedOperations
from jinpy_cache_core.manager.current import Unbindable, process_wide
from jinpy_cache_core.manager.facade import AsyncCacheClient, Cache, CacheClient
from jinpy_cache_core.manager.operations import NamedOperations

DEFAULT_BACKEND = "default_memory"
"""The backend that there is when nothing was configured: a memory cache."""

_logger = logging.getLogger("jinpy_cache")
_construction = threading.RLock()
_process_wide: "CacheManager | None" = None


@attrs.frozen
class ManagerState:
    """What a process-wide manager has, to be put aside for a while.

    Attributes:
        backends: Those that are open, by name.
        default: The name of the default one.
        closed: Whether it is closed.
        declared: The configuration that unknown names are provisioned from.
    """

    backends: dict[str, BaseBackend]
    default: str | None
    closed: bool
    declared: CacheManagerConfig | None


class CacheManager(ClosedByWith, NamedOperations, AsyncNamedOperations):
    """Named backends, opened and closed together; every operation takes `backend=`.

    `CacheManager(config)` configures the process-wide manager and returns it, `CacheManager()`
    returns it as it is. A configuration with `enable_singleton=False` makes an independent manager
    that shares nothing. When the process-wide manager is configured again, the new backends are
    built first, then take the place of the old ones, which are then closed; when one cannot be
    built, the old ones stay.

    Args:
        config: The backends.

    Raises:
        CacheConfigurationError: A backend is not installed or refuses its configuration.
    """

    _initialised = False

    def __new__(cls, config: CacheManagerConfig | None = None) -> Self:
        """Return the process-wide manager, or a new one for an independent configuration."""
        global _process_wide  # noqa: PLW0603 - the one process-wide manager
        given: object = config
        if given is not None and not isinstance(given, CacheManagerConfig):
            message = (
                f"CacheManager takes a CacheManagerConfig, not {type(given).__name__}. Make one: "
                "CacheManagerConfig(backends=[...]), or from_dict, from_toml, from_env."
            )
            raise CacheConfigurationError(message)
        if config is not None and not config.enable_singleton:
            return super().__new__(cls)
        with _construction:
            if _process_wide is None:
                _process_wide = super().__new__(cls)
            return _process_wide  # type: ignore[return-value]  # one for every subclass

    def __init__(self, config: CacheManagerConfig | None = None) -> None:
        with _construction:
            if not self._initialised:
                self._initialised = True
                self._renew_locks()
                call_in_children(self._renew_locks)
                self._backends: dict[str, BaseBackend] = {}
                self._default: str | None = None
                self._closed = False
                self._independent = config is not None and not config.enable_singleton
                self._facades: weakref.WeakSet[Unbindable] = weakref.WeakSet()
                self.generation = 0
        if config is not None:
            self.configure(config)

    def configure(self, config: CacheManagerConfig) -> None:
        """Replace every backend by those of a configuration; on failure nothing changes.

        Args:
            config: The new backends.

        Raises:
            CacheConfigurationError: A backend is not installed or refuses its configuration.
        """
        with self._lock:
            fresh: dict[str, BaseBackend] = {}
            try:
                for one in config.backends:
                    fresh[one.name] = CacheBackendFactory.create(config.completed(one))
            except BaseException as error:
                for failure in _closing_failures(fresh.values()):
                    error.add_note(f"Closing a backend that was built already failed: {failure!r}")
                raise
            old, self._backends = self._backends, fresh
            self._default = config.default_name
            self._closed = False
            self.generation += 1
            for facade in list(self._facades):
                facade._unbind()
        for failure in _closing_failures(old.values()):
            _logger.warning("Closing a replaced cache backend failed: %r", failure)

    def backend(self, name: str | None = None) -> BaseBackend:
        """The backend of that name, or the default one, opened if it is only declared yet.

        Args:
            name: A configured or declared name.

        Raises:
            CacheConfigurationError: There is none of that name.
            CacheClosedError: The manager is closed and nothing was declared since.
        """
        found = self._backends.get(name or self._default or "")
        return found if found is not None else self._provision(name)

    def _provision(self, name: str | None) -> BaseBackend:
        with self._lock:
            declaration = None if self._independent else declared.get()
            if self._closed and declaration is None:
                message = "The cache manager is closed. Configure it again: CacheManager(config)."
                raise CacheClosedError(message)
            wanted = name or self._default
            if wanted is None and declaration is not None:
                wanted = declaration.default_name
            if wanted is None and not self._independent:
                wanted = DEFAULT_BACKEND
            found = self._backends.get(wanted or "")
            if found is not None:
                return found
            one = declaration.backend(wanted) if declaration and wanted else None
            if declaration is not None and one is not None:
                backend = CacheBackendFactory.create(declaration.completed(one))
            elif wanted == DEFAULT_BACKEND and not self._independent:
                memory = backend_class("memory").config_class
                backend = CacheBackendFactory.create(memory(name=DEFAULT_BACKEND))
            else:
                raise CacheConfigurationError(self._unknown(wanted))
            self._backends[backend.name] = backend
            self._closed = False
            return backend

    def _unknown(self, name: str | None) -> str:
        declaration = None if self._independent else declared.get()
        names = {
            *self._backends,
            *(one.name for one in (declaration.backends if declaration else ())),
        }
        there = ", ".join(map(repr, sorted(names))) or "none"
        if name is None:
            return "The cache manager has no backends. Configure some: CacheManager(config)."
        near = difflib.get_close_matches(name, names, n=1)
        if "://" in name:
            # The URL is not repeated: it may hold a password.
            return (
                "A cache is looked up by the name of a backend, not by a URL. Configure the URL: "
                f"CacheManager(CacheManagerConfig(backends=[url])); there are {there}."
            )
        hint = f"Did you mean {near[0]!r}?" if near else "Configure it: CacheManager(config)."
        return f"No cache backend is configured as {name!r}; there are {there}. {hint}"

    @property
    def backends(self) -> dict[str, BaseBackend]:
        """The backends that are open, by name."""
        return dict(self._backends)

    def cache(self, backend: str | None = None) -> Cache:
        """A `Cache` of this manager."""
        return Cache(backend, manager=self)

    @contextmanager
    def using(self, backend: str | None = None) -> Generator[CacheClient]:
        """Yield a synchronous client of one backend; the backend stays open.

        Raises:
            CacheConfigurationError: There is none of that name.
        """
        yield CacheClient(self.backend(backend), manager=self)

    @asynccontextmanager
    async def ausing(self, backend: str | None = None) -> AsyncGenerator[AsyncCacheClient]:
        """Yield an asynchronous client of one backend; the backend stays open.

        Raises:
            CacheConfigurationError: There is none of that name.
        """
        yield AsyncCacheClient(self.backend(backend), manager=self)

    def close(self) -> None:
        """Close every backend; idempotent. The first failure is raised, with the others noted."""
        self._raise_first(_closing_failures(self._emptied()))

    async def aclose(self) -> None:
        """Same as `close`, asynchronously."""
        outcomes = await asyncio.gather(
            *(backend.aclose() for backend in self._emptied()), return_exceptions=True
        )
        self._raise_first([one for one in outcomes if isinstance(one, BaseException)])

    def _emptied(self) -> list[BaseBackend]:
        with self._lock:
            old, self._backends = self._backends, {}
            self._default = None
            self._closed = True
            if not self._independent:
                declared.set(None)
        return list(old.values())

    @staticmethod
    def _raise_first(failures: list[BaseException]) -> None:
        if failures:
            first, *rest = failures
            for failure in rest:
                first.add_note(f"Closing another cache backend failed too: {failure!r}")
            raise first

    def _exchange(self, state: "ManagerState") -> "ManagerState":
        """Put other backends in the place of ours, which stay open; what there was."""
        with self._lock:
            before = ManagerState(self._backends, self._default, self._closed, declared.get())
            self._backends, self._default = state.backends, state.default
            self._closed = state.closed
            declared.set(state.declared)
            self.generation += 1
            for facade in list(self._facades):
                facade._unbind()
        return before

    def _known_names(self) -> list[str]:
        """The names of the backends that are open or declared, the default one among them."""
        config = None if self._independent else declared.get()
        declared_names = [one.name for one in config.backends] if config else []
        own = [] if self._independent else [DEFAULT_BACKEND]
        return list(dict.fromkeys([*self._backends, *declared_names, *own]))

    def _remember(self, facade: Unbindable) -> None:
        """Unbind a facade whenever the backends are replaced."""
        with self._lock:
            self._facades.add(facade)

    def _renew_locks(self) -> None:
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        state = (
            "closed" if self._closed else ", ".join(map(repr, sorted(self._backends))) or "empty"
        )
        return f"<CacheManager {state}>"


def get_cache_manager() -> CacheManager:
    """The process-wide manager."""
    return CacheManager()


def get_cache(backend: str | None = None) -> Cache:
    """A `Cache` of the process-wide manager.

    Args:
        backend: The name of a backend; by default the manager's default.
    """
    return Cache(backend)


def _closing_failures(backends: Iterable[BaseBackend]) -> list[BaseException]:
    failures: list[BaseException] = []
    for backend in backends:
        try:
            backend.close()
        except Exception as error:  # noqa: BLE001 - the others have to be closed too
            failures.append(error)
    return failures


def _renew_construction() -> None:
    """In a forked child nobody else holds a lock, whatever the parent's threads held."""
    global _construction  # noqa: PLW0603 - see above
    _construction = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_construction)

process_wide(get_cache_manager)
