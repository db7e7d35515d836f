"""The asynchronous twins: each runs its operation in a worker thread of the backend's own.

A backend whose store speaks async overrides them.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any, ParamSpec, TypeVar, cast

from jinpy_cache_core.backend.operations import Operations
from jinpy_cache_core.backend.threads import Workers
from jinpy_cache_core.clock import Clock
from jinpy_cache_core.config import BaseCacheBackendConfig
from jinpy_cache_core.declarations import signature_of
from jinpy_cache_core.entries.ttl import TTL
from jinpy_cache_core.exceptions import CacheException, without_frames
from jinpy_cache_core.interfaces import AsyncCacheInterface

P = ParamSpec("P")
T = TypeVar("T")


class AsyncOperations(Operations, AsyncCacheInterface):
    """What a cache does, awaited."""

    def __init__(
        self, config: BaseCacheBackendConfig | None = None, *, clock: Clock | None = None
    ) -> None:
        super().__init__(config, clock=clock)
        self._workers = Workers(self.name)

    @signature_of(AsyncCacheInterface.aget)
    async def aget(self, key: str, default: object = None, *, type: type[Any] | None = None) -> Any:
        """Same as `get`, asynchronously."""
        return await self._run(self.get, key, default, type=cast("Any", type))

    @signature_of(AsyncCacheInterface.aset)
    async def aset(self, key: str, value: object, ttl: TTL = None) -> None:
        """Same as `set`, asynchronously."""
        await self._run(self.set, key, value, ttl)

    @signature_of(AsyncCacheInterface.aadd)
    async def aadd(self, key: str, value: object, ttl: TTL = None) -> bool:
        """Same as `add`, asynchronously."""
        return await self._run(self.add, key, value, ttl)

    @signature_of(AsyncCacheInterface.adelete)
    async def adelete(self, key: str) -> bool:
        """Same as `delete`, asynchronously."""
        return await self._run(self.delete, key)

    async def apop(self, key: str, default: object = None) -> Any:
        """Same as `pop`, asynchronously."""
        return await self._run(self.pop, key, default)

    async def ascan(self, prefix: str = "") -> AsyncIterator[str]:
        """Same as `scan`, asynchronously."""
        for key in await self._run(lambda: list(self.scan(prefix))):
            yield key

    @signature_of(AsyncCacheInterface.aexists)
    async def aexists(self, key: str) -> bool:
        """Same as `exists`, asynchronously."""
        return await self._run(self.exists, key)

    async def aclear(self) -> None:
        """Same as `clear`, asynchronously."""
        await self._run(self.clear)

    @signature_of(AsyncCacheInterface.aget_many)
    async def aget_many(
        self, keys: Iterable[str], default: object = None, *, type: type[Any] | None = None
    ) -> dict[str, Any]:
        """Same as `get_many`, asynchronously."""
        return await self._run(cast("Any", self.get_many), _listed(keys), default, type=type)

    async def aset_many(self, items: Mapping[str, object], ttl: TTL = None) -> None:
        """Same as `set_many`, asynchronously."""
        await self._run(self.set_many, _copied(items), ttl)

    async def adelete_many(self, keys: Iterable[str]) -> int:
        """Same as `delete_many`, asynchronously."""
        return await self._run(self.delete_many, _listed(keys))

    async def aincr(self, key: str, amount: int = 1, ttl: TTL = None) -> int:
        """Same as `incr`, asynchronously."""
        return await self._run(self.incr, key, amount, ttl)

    async def adecr(self, key: str, amount: int = 1, ttl: TTL = None) -> int:
        """Same as `decr`, asynchronously."""
        return await self._run(self.decr, key, amount, ttl)

    async def attl(self, key: str) -> float | None:
        """Same as `ttl`, asynchronously."""
        return await self._run(self.ttl, key)

    async def atouch(self, key: str, ttl: TTL) -> bool:
        """Same as `touch`, asynchronously."""
        return await self._run(self.touch, key, ttl)

    async def ais_healthy(self) -> bool:
        """Same as `is_healthy`, asynchronously."""
        return await self._run(self.is_healthy)

    async def _run(self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call in a worker thread; once closed, here, as it only says so."""
        if not self._closed:
            try:
                return await self._workers.run(call, *args, **kwargs)
            except CacheException as error:  # its own edge has placed it, in the other thread
                raise without_frames(error) from error.__cause__
            except RuntimeError:
                if not self._closed:  # between the look and the call
                    raise
        return call(*args, **kwargs)


def _listed(keys: Iterable[str]) -> Iterable[str]:
    """Take the keys from an iterable in the caller's thread; leave what is none to be refused."""
    if isinstance(keys, (str, bytes, bytearray)) or not isinstance(keys, Iterable):
        return keys
    return list(keys)


def _copied(items: Mapping[str, object]) -> Mapping[str, object]:
    return dict(items) if isinstance(items, Mapping) else items
