"""Where a decorated function meets its cache: bound on first use, and anew after configuration."""

import functools
import itertools
import types
from collections.abc import Awaitable, Callable
from typing import Any, cast

import attrs

from jinpy_cache_core.backend.base import BaseBackend
from jinpy_cache_core.exceptions import CacheException
from jinpy_cache_core.loading.drivers import AsyncComputation, Computation
from jinpy_cache_core.loading.options import EntryOptions, Policy
from jinpy_cache_core.loading.requests import Request
from jinpy_cache_core.loading.steps import Plan
from jinpy_cache_core.manager.facade import Facade, Unbound
from jinpy_cache_core.sentinels import MISSING


@attrs.frozen
class CacheInfo:
    """How the calls of one decorated function went, in this process.

    Attributes:
        hits: Calls that found a value; `None` unless it is decorated with `statistics=True`.
        misses: Calls that found none; `None` likewise.
    """

    hits: int | None
    misses: int | None


class CallSite(Facade):
    """The cache of one decorated function; its `get` and `aget` are the backend's own.

    If hits need more than a look at the value, or are counted, they go another way.

    Args:
        cache: A backend or its name, a `Cache`, or `None` for the default backend.
        options: Of the decorator.
        kind: The class to structure values into, or `None`.
        counting: Whether to count hits.
        prepare: Called before the first use, when everything that a module defines is there.
    """

    _operations = ("get", "aget")
    get: Callable[[str, Any], Any] = cast("Any", Unbound("get"))
    aget: Callable[[str, Any], Awaitable[Any]] = cast("Any", Unbound("aget"))

    def __init__(
        self,
        cache: "str | BaseBackend | Facade | None",
        options: EntryOptions,
        *,
        kind: Any = None,
        counting: bool = False,
        prepare: Callable[[], None] = lambda: None,
    ) -> None:
        self._cells: list[tuple[str, types.CellType]] = []
        self._bound_policy: Policy | None = None
        if isinstance(cache, Facade):
            super().__init__(cache._backend, manager=cache._manager)
        else:
            super().__init__(cache)
        self._prepare = prepare
        self._options = options
        self._kind = kind
        self._hits = itertools.count() if counting else None
        self._misses = itertools.count()

    def _first_call(self, name: str, /, *args: Any, **kwargs: Any) -> Any:
        self._prepare()
        backend = self._bound()
        ways: dict[str, Any] = {"get": backend._reading(None), "aget": backend._areading(None)}
        policy = self._policy(backend)
        if not policy.plain_hits:
            ways = {"get": _never, "aget": _anever}
        elif self._kind is not None or self._hits is not None:
            ways = {"get": self._typed(backend), "aget": self._atyped(backend)}
        generation = self._manager.generation
        self.__dict__.update(ways)
        self._bound_policy = policy
        for way, cell in self._cells:
            cell.cell_contents = ways[way]
        if self._manager.generation != generation or self.backend is not backend:
            self._unbind()  # configured meanwhile
        return ways[name](*args, **kwargs)

    def _unbind(self) -> None:
        """Look the backend up again at the next call."""
        super()._unbind()
        self._bound_policy = None
        for way, cell in self._cells:
            cell.cell_contents = functools.partial(self._first_call, way)

    def attach(self, name: str, cell: types.CellType) -> None:
        """Keep a wrapper's own variable at what `get` or `aget` is, which spares it a lookup."""
        self._cells.append((name, cell))
        cell.cell_contents = functools.partial(self._first_call, name)

    def _policy(self, backend: BaseBackend) -> Policy:
        return backend._policy(None, self._options, {})

    def _typed(self, backend: BaseBackend) -> Callable[[str, Any], Any]:
        get, note = backend._reading(self._kind), self._note

        def typed_get(key: str, default: Any) -> Any:
            return note(get(key, default))

        return typed_get

    def _atyped(self, backend: BaseBackend) -> Callable[[str, Any], Awaitable[Any]]:
        aget, note = backend._areading(self._kind), self._note

        async def typed_aget(key: str, default: Any) -> Any:
            return note(await aget(key, default))

        return typed_aget

    def _note(self, value: Any) -> Any:
        if self._hits is not None:
            next(self._misses if value is MISSING else self._hits)
        return value

    def info(self) -> CacheInfo:
        """The counts so far."""
        if self._hits is None:
            return CacheInfo(None, None)
        return CacheInfo(_count(self._hits), _count(self._misses))

    def begin(
        self,
        key: str,
        factory: Callable[[], Any],
        failed: CacheException | None = None,
        *,
        force: bool = False,
    ) -> Computation[Any]:
        """Look for a value that was not found, up to where the caller is to compute it.

        Args:
            key: The key.
            factory: Computes it, should somebody else have to, in the background.
            failed: The error of the look that found none, if it failed.
            force: Whether a value that is there does not count.
        """
        backend = self.backend
        plan = self._plan(backend, key, factory, failed, force=force)
        computation = Computation(plan, backend._loading)
        computation.start()
        return computation

    async def abegin(
        self,
        key: str,
        factory: Callable[[], Any],
        failed: CacheException | None = None,
        *,
        force: bool = False,
    ) -> AsyncComputation[Any]:
        """Same as `begin`, asynchronously."""
        backend = self.backend
        plan = self._plan(backend, key, factory, failed, force=force)
        computation = AsyncComputation(plan, backend._loading)
        await computation.start()
        return computation

    def _plan(
        self,
        backend: BaseBackend,
        key: str,
        factory: Callable[[], Any],
        failed: CacheException | None,
        *,
        force: bool,
    ) -> Plan[Any]:
        policy = self._bound_policy
        if policy is None:  # not bound, or not any more
            policy = self._policy(backend)
        request = Request(key, factory, policy, self._kind, force)
        if failed is None:
            return backend._lookup.of(request)
        return backend._lookup.of(request, backend._loading.failed_read(failed, policy, key))


def _count(counter: "itertools.count[int]") -> int:
    """How often a counter was advanced, without advancing it."""
    return int(repr(counter)[len("count(") : -1])


def _never(_key: str, default: Any) -> Any:
    return default


async def _anever(_key: str, default: Any) -> Any:
    return default
