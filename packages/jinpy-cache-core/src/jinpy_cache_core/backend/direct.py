"""The asynchronous operations of a store that never waits: each calls its synchronous twin."""

import asyncio
import math
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, ClassVar, cast

from jinpy_cache_core.backend.base import BaseBackend
from jinpy_cache_core.backend.heavy import HEAVY_BATCH, is_heavy, is_long
from jinpy_cache_core.declarations import signature_of
from jinpy_cache_core.entries.state import EntryState
from jinpy_cache_core.entries.ttl import TTL
from jinpy_cache_core.interfaces import AsyncCacheInterface
from jinpy_cache_core.loading.leases import Claim, Claiming, Filling, Releasing


class DirectBackend(BaseBackend):
    """Spares every operation the worker thread that `BaseBackend` would use."""

    _gives_back_at_once: ClassVar[bool] = True

    async def _apeek(self, key: str, within: float = math.inf) -> EntryState:
        return self._peek(key)

    async def _aclaim(self, key: str, claiming: Claiming, within: float = math.inf) -> Claim:
        return self._claim(key, claiming)

    async def _asettle(
        self, key: str, settling: Filling | Releasing, within: float = math.inf
    ) -> bool:
        return self._settle(key, settling)

    async def _aclaim_many(
        self, claimings: Mapping[str, Claiming], within: float = math.inf
    ) -> dict[str, Claim]:
        return self._claim_many(claimings)

    async def _asettle_many(
        self, settlings: Mapping[str, Filling | Releasing], within: float = math.inf
    ) -> dict[str, bool]:
        return self._settle_many(settlings)

    @signature_of(AsyncCacheInterface.aget)
    async def aget(self, key: str, default: object = None, *, type: type[Any] | None = None) -> Any:
        """Same as `get`, asynchronously."""
        if type is None:
            return self.get(key, default)
        return self.get(key, default, type=cast("Any", type))

    @signature_of(AsyncCacheInterface.aset)
    async def aset(self, key: str, value: object, ttl: TTL = None) -> None:
        """Same as `set`, asynchronously; a large value is encoded in a worker thread."""
        if is_heavy(value):
            await self._run(self.set, key, value, ttl)
        else:
            self.set(key, value, ttl)

    @signature_of(AsyncCacheInterface.aadd)
    async def aadd(self, key: str, value: object, ttl: TTL = None) -> bool:
        """Same as `add`, asynchronously; a large value is encoded in a worker thread."""
        if is_heavy(value):
            return await self._run(self.add, key, value, ttl)
        return self.add(key, value, ttl)

    @signature_of(AsyncCacheInterface.adelete)
    async def adelete(self, key: str) -> bool:
        """Same as `delete`, asynchronously."""
        return self.delete(key)

    async def apop(self, key: str, default: object = None) -> Any:
        """Same as `pop`, asynchronously."""
        return self.pop(key, default)

    async def ascan(self, prefix: str = "") -> AsyncIterator[str]:
        """Same as `scan`, asynchronously."""
        for number, key in enumerate(self.scan(prefix), 1):
            yield key
            if not number % HEAVY_BATCH:
                await asyncio.sleep(0)  # whoever else wants the loop has it now and then

    @signature_of(AsyncCacheInterface.aexists)
    async def aexists(self, key: str) -> bool:
        """Same as `exists`, asynchronously."""
        return self.exists(key)

    async def aclear(self) -> None:
        """Same as `clear`, asynchronously."""
        if len(self) > HEAVY_BATCH:
            await self._run(self.clear)
        else:
            self.clear()

    @signature_of(AsyncCacheInterface.aget_many)
    async def aget_many(
        self, keys: Iterable[str], default: object = None, *, type: type[Any] | None = None
    ) -> dict[str, Any]:
        """Same as `get_many`, asynchronously; many keys in a worker thread."""
        if is_long(keys):
            return await self._run(cast("Any", self.get_many), keys, default, type=type)
        return self.get_many(keys, default, type=cast("Any", type))

    async def aset_many(self, items: Mapping[str, object], ttl: TTL = None) -> None:
        """Same as `set_many`, asynchronously; many keys in a worker thread."""
        if is_long(items):
            await self._run(self.set_many, items, ttl)
            return
        self.set_many(items, ttl)

    async def adelete_many(self, keys: Iterable[str]) -> int:
        """Same as `delete_many`, asynchronously; many keys in a worker thread."""
        if is_long(keys):
            return await self._run(self.delete_many, keys)
        return self.delete_many(keys)

    async def aincr(self, key: str, amount: int = 1, ttl: TTL = None) -> int:
        """Same as `incr`, asynchronously."""
        return self.incr(key, amount, ttl)

    async def adecr(self, key: str, amount: int = 1, ttl: TTL = None) -> int:
        """Same as `decr`, asynchronously."""
        return self.decr(key, amount, ttl)

    async def attl(self, key: str) -> float | None:
        """Same as `ttl`, asynchronously."""
        return self.ttl(key)

    async def atouch(self, key: str, ttl: TTL) -> bool:
        """Same as `touch`, asynchronously."""
        return self.touch(key, ttl)

    async def ais_healthy(self) -> bool:
        """Same as `is_healthy`, asynchronously."""
        return self.is_healthy()

    async def aclose(self) -> None:
        """Same as `close`, asynchronously."""
        await self._loading.adrain()
        self.close()
