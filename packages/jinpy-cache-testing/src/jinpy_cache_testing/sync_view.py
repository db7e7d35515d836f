"""The two halves of a cache behind one interface, so that each test is written once."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator, Mapping
from typing import Any, Literal, TypeAlias, TypeVar, cast

from jinpy_cache_core.declarations import signature_of
from jinpy_cache_core.entries.ttl import TTL
from jinpy_cache_core.interfaces import AsyncCacheInterface, CacheInterface

T = TypeVar("T")

Half: TypeAlias = Literal["sync", "async"]
"""Which methods of a backend a test drives: `get` and its kin, or `aget` and its kin."""


class SyncView(CacheInterface):
    """The asynchronous half of a cache, worn as the synchronous interface.

    Each call runs the `a`-prefixed twin to its end on one event loop, that of `runner`; so code
    written for `CacheInterface` exercises `aget`, `aset` and the rest instead of `get` and `set`.

    Args:
        cache: What is driven.
        runner: Owns the event loop; it belongs to the calling thread.
    """

    def __init__(self, cache: AsyncCacheInterface, runner: asyncio.Runner) -> None:
        self._cache = cache
        self._runner = runner

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run any coroutine on that loop."""
        return self._runner.run(coroutine)

    @signature_of(CacheInterface.get)
    def get(self, key: str, default: object = None, *, type: type[Any] | None = None) -> Any:
        """Run `aget`."""
        return self.run(self._cache.aget(key, default, type=type))

    @signature_of(CacheInterface.set)
    def set(self, key: str, value: object, ttl: TTL = None) -> None:
        """Run `aset`."""
        self.run(self._cache.aset(key, value, ttl))

    @signature_of(CacheInterface.add)
    def add(self, key: str, value: object, ttl: TTL = None) -> bool:
        """Run `aadd`."""
        return self.run(self._cache.aadd(key, value, ttl))

    @signature_of(CacheInterface.delete)
    def delete(self, key: str) -> bool:
        """Run `adelete`."""
        return self.run(self._cache.adelete(key))

    def pop(self, key: str, default: object = None) -> Any:
        """Run `apop`."""
        return self.run(self._cache.apop(key, default))

    def scan(self, prefix: str = "") -> Iterator[str]:
        """Iterate over `ascan`, one step of the loop at a time."""
        return self._steps(self._cache.ascan(prefix))

    def _steps(self, keys: AsyncIterator[str]) -> Iterator[str]:
        async def step() -> str:
            return await anext(keys)

        try:
            while True:
                try:
                    yield self.run(step())
                except StopAsyncIteration:
                    return
        finally:
            end = getattr(keys, "aclose", None)
            if end is not None:
                self.run(end())

    @signature_of(CacheInterface.exists)
    def exists(self, key: str) -> bool:
        """Run `aexists`."""
        return self.run(self._cache.aexists(key))

    def clear(self) -> None:
        """Run `aclear`."""
        self.run(self._cache.aclear())

    @signature_of(CacheInterface.get_many)
    def get_many(
        self, keys: Iterable[str], default: object = None, *, type: type[Any] | None = None
    ) -> dict[str, Any]:
        """Run `aget_many`."""
        return self.run(self._cache.aget_many(keys, default, type=cast("Any", type)))

    def set_many(self, items: Mapping[str, object], ttl: TTL = None) -> None:
        """Run `aset_many`."""
        self.run(self._cache.aset_many(items, ttl))

    def delete_many(self, keys: Iterable[str]) -> int:
        """Run `adelete_many`."""
        return self.run(self._cache.adelete_many(keys))

    def incr(self, key: str, amount: int = 1, ttl: TTL = None) -> int:
        """Run `aincr`."""
        return self.run(self._cache.aincr(key, amount, ttl))

    def decr(self, key: str, amount: int = 1, ttl: TTL = None) -> int:
        """Run `adecr`."""
        return self.run(self._cache.adecr(key, amount, ttl))

    def ttl(self, key: str) -> float | None:
        """Run `attl`."""
        return self.run(self._cache.attl(key))

    def touch(self, key: str, ttl: TTL) -> bool:
        """Run `atouch`."""
        return self.run(self._cache.atouch(key, ttl))

    def get_or_set(self, key: Any, factory: Any, ttl: TTL = None, **how: Any) -> Any:
        """Run `aget_or_set`."""
        return self.run(self._cache.aget_or_set(key, factory, ttl, **how))

    def get_or_set_many(
        self, keys: Iterable[str], factory: Any, ttl: TTL = None, **how: Any
    ) -> dict[str, Any]:
        """Run `aget_or_set_many`."""
        return self.run(self._cache.aget_or_set_many(keys, factory, ttl, **how))

    def is_healthy(self) -> bool:
        """Run `ais_healthy`."""
        return self.run(self._cache.ais_healthy())

    def close(self) -> None:
        """Run `aclose`."""
        self.run(self._cache.aclose())


def new_runner() -> asyncio.Runner:
    """An event loop of one's own, which is not made the current one of the thread."""
    return asyncio.Runner(loop_factory=asyncio.new_event_loop)
