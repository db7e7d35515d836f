"""What users hold: `Cache`, `CacheClient` and `AsyncCacheClient`; and how a call is bound.

A hit should cost what the store costs, so nothing stands between a caller and the code that looks
the key up. Five places put a function in place of a method at run time, each where it spares a
frame on every call; this is all of them, from the outside in:

1. **A facade** has no operations of its own. When one is first used, its backend is looked up and
   the backend's bound methods become attributes of the facade: from then on `cache.get` *is* the
   backend's `get`. A manager that is configured anew unbinds the facades that it knows, and the
   next use looks the backend up again (`Facade._bound`, `Facade._unbind`). What was taken off it
   before (`get = cache.get`) is a `partial` that is bound and unbound along with it.
2. **A decorated function** is written as source with the parameters of the function it wraps; its
   wrapper keeps `get` of its backend in a variable of its own, which is bound and unbound just as a
   facade is (`functions.wrappers`, `functions.binding.CallSite`).
3. **A backend** may answer an operation by a quicker function than its class's method: the memory
   backend by its engine's `get` and `set`, which leave the uncommon case to the methods
   (`LoadingOperations._shortcut`).
4. **Counting**: where `statistics=True`, `_shortcut` wraps the reads of that instance; elsewhere
   they are untouched, so counting costs nothing when it is off (`backend.counting`).
5. **A codec** chooses its `encode` and `decode` when it is made, by its serializer and secrets, so
   that no call asks which features are on (`codec.fast_paths`).

A subclass that overrides a method keeps its own: 3 looks for that, and the others bind what the
instance has.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar
from weakref import WeakSet

from jinpy_cache_core.backend import BaseBackend
from jinpy_cache_core.entries.ttl import TTL
from jinpy_cache_core.exceptions import CacheConfigurationError
from jinpy_cache_core.interfaces import AsyncCacheInterface, CacheInterface
from jinpy_cache_core.lifecycle import ClosedByWith
from jinpy_cache_core.manager.current import BackendOwner, current_manager
from jinpy_cache_core.manager.typed import TypedCache

SYNC_OPERATIONS = (
    "add",
    "clear",
    "close",
    "decr",
    "delete",
    "delete_many",
    "exists",
    "get",
    "get_many",
    "get_or_set",
    "get_or_set_many",
    "incr",
    "is_healthy",
    "pop",
    "scan",
    "set",
    "set_many",
    "touch",
    "ttl",
)
"""The names of the synchronous operations."""

OBSERVATIONS = ("on", "stats")
"""The names of what tells about a cache, on every facade."""

ASYNC_OPERATIONS = tuple(f"a{name}" for name in SYNC_OPERATIONS)
"""The names of their asynchronous twins."""

C = TypeVar("C", bound="type[Facade]")
T = TypeVar("T")


class Unbound:
    """An operation of a facade that is not bound yet; seen from the class, the backend's own."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, facade: "Facade | None", owner: type) -> Any:
        if facade is None:
            return getattr(BaseBackend, self._name)
        taken = partial(facade._first_call, self._name)
        facade._taken.add(taken)
        return taken


def _offering(*operations: str) -> Callable[[C], C]:
    """Give a facade these operations."""

    def decorate(facade_class: C) -> C:
        facade_class._operations = operations
        for name in operations:
            setattr(facade_class, name, Unbound(name))
        return facade_class

    return decorate


class Facade:
    """Looks a backend up once and binds its operations.

    Args:
        backend: The name of a backend, or one itself; by default the manager's default.
        manager: Where the name is looked up; by default the process-wide manager.
    """

    _operations: tuple[str, ...] = ()

    def __init__(
        self,
        backend: str | BaseBackend | None = None,
        *,
        manager: BackendOwner | None = None,
    ) -> None:
        if manager is None:
            manager = current_manager()
        given: object = backend
        if given is not None and not isinstance(given, (str, BaseBackend)):
            message = (
                f"{type(self).__name__} takes the name of a backend, or one itself, not "
                f"{type(given).__name__}. CacheBackendFactory.create makes one of a configuration."
            )
            raise CacheConfigurationError(message)
        self._backend = backend
        self._manager = manager
        self._taken: WeakSet[partial[Any]] = WeakSet()
        manager._remember(self)

    def __reduce__(self) -> tuple[Any, ...]:
        # A name means the same in another process; a connection or a manager of one's own does not.
        if isinstance(self._backend, BaseBackend) or self._manager is not current_manager():
            message = (
                f"A {type(self).__name__} of a backend or manager of its own cannot be pickled or "
                "copied. Give it the name of a backend that every process configures."
            )
            raise TypeError(message)
        return type(self), (self._backend,)

    @property
    def backend(self) -> BaseBackend:
        """The backend behind this facade.

        Raises:
            CacheConfigurationError: There is none of that name.
            CacheClosedError: The manager is closed.
        """
        if isinstance(self._backend, BaseBackend):
            return self._backend
        return self._manager.backend(self._backend)

    def _first_call(self, name: str, /, *args: Any, **kwargs: Any) -> Any:
        operation = self.__dict__.get(name) or getattr(self._bound(), name)
        return operation(*args, **kwargs)

    def _bound(self) -> BaseBackend:
        while True:
            generation = self._manager.generation
            backend = self.backend
            for operation in self._operations:
                self.__dict__[operation] = getattr(backend, operation)
            for taken in list(self._taken):
                if taken.args:  # from now on it calls the backend's operation, and nothing else
                    [name] = taken.args
                    _lead(taken, self.__dict__[name], operation=name)
            # A manager that was configured meanwhile may have unbound us before we had bound.
            if self._manager.generation == generation:
                return backend
            self._unbind()

    def _unbind(self) -> None:
        """Look the backend up again at the next use."""
        for operation in self._operations:
            self.__dict__.pop(operation, None)
        for taken in list(self._taken):
            if not taken.args:
                name = taken.__dict__["operation"]
                _lead(taken, self._first_call, name)

    def typed(self, kind: type[T], *, prefix: str = "", ttl: TTL = None) -> TypedCache[T]:
        """A view of this cache whose values are all of one type.

        Args:
            kind: The type that values are read as; nothing is coerced.
            prefix: What stands before every key, such as `"user:"`.
            ttl: How long a value lives where a call does not say.
        """
        return TypedCache(self, kind, prefix=prefix, ttl=ttl)

    def __repr__(self) -> str:
        given = self._backend
        name = given.name if isinstance(given, BaseBackend) else given
        return f"<{type(self).__name__} {name!r}>" if name else f"<{type(self).__name__}>"


def _lead(taken: Any, function: Callable[..., Any], *arguments: str, **noted: str) -> None:
    """Let a partial that somebody holds call something else from now on, in one step."""
    taken.__setstate__((function, arguments, {}, noted))


@_offering(*SYNC_OPERATIONS, *OBSERVATIONS)
class CacheClient(Facade, CacheInterface):
    """The synchronous operations of one backend, such as `CacheManager.using` yields."""

    def __contains__(self, key: str) -> bool:
        return self.exists(key)

    def __len__(self) -> int:
        """How many entries the backend holds; see `BaseBackend.__len__`."""
        return len(self.backend)

    def __bool__(self) -> bool:
        return True


@_offering(*ASYNC_OPERATIONS, *OBSERVATIONS)
class AsyncCacheClient(Facade, AsyncCacheInterface):
    """The asynchronous operations of one backend, such as `CacheManager.ausing` yields."""


@_offering(*SYNC_OPERATIONS, *ASYNC_OPERATIONS, *OBSERVATIONS)
class Cache(Facade, ClosedByWith, CacheInterface, AsyncCacheInterface):
    """What an application holds: one backend by name, with every operation, sync and async.

    The backend is looked up on first use, so a module may make its `Cache` before the application
    is configured. `with cache:` and `async with cache:` close the backend.

    Args:
        backend: The name of a backend, or one itself; by default the manager's default.
        manager: Where the name is looked up; by default the process-wide manager.
    """

    def __contains__(self, key: str) -> bool:
        return self.exists(key)

    def __len__(self) -> int:
        """How many entries the backend holds; see `BaseBackend.__len__`."""
        return len(self.backend)

    def __bool__(self) -> bool:
        return True
