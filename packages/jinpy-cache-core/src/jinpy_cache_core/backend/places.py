"""The place of a key as the loading layer sees it: what is there, and who may compute it."""

from typing import Any

from jinpy_cache_core.async_operations import AsyncOperations
from jinpy_cache_core.enums import CacheOperation
from jinpy_cache_core.loading.leases import Claim, Claiming, Filling, Releasing
from jinpy_cache_core.records import Record
from jinpy_cache_core.reporting import reporting
from jinpy_cache_core.slots import Slot, slot_of


class Places(AsyncOperations):
    """What the loading layer asks of a backend; overridden where the store can do better."""

    @reporting(CacheOperation.GET_OR_SET)
    def _peek(self, key: str) -> Slot:
        """What is in the place of a key: a value, fresh or stale, and a lease."""
        return slot_of(self._opened()._read(key), self._now())

    @reporting(CacheOperation.GET_OR_SET)
    def _claim(self, key: str, claiming: Claiming) -> Claim:
        """Find a value, or take the lead in computing it, or learn who has it, atomically."""
        return self._opened()._update(key, claiming)

    @reporting(CacheOperation.GET_OR_SET)
    def _settle(self, key: str, settling: Filling | Releasing) -> bool:
        """Store a computed value or give up the lead, if the lease still stands, atomically."""
        return self._opened()._update(key, settling)

    async def _apeek(self, key: str) -> Slot:
        """Same as `_peek`, asynchronously."""
        return await self._run(self._peek, key)

    async def _aclaim(self, key: str, claiming: Claiming) -> Claim:
        """Same as `_claim`, asynchronously."""
        return await self._run(self._claim, key, claiming)

    async def _asettle(self, key: str, settling: Filling | Releasing) -> bool:
        """Same as `_settle`, asynchronously."""
        return await self._run(self._settle, key, settling)

    def _wrapped(self, key: str, value: object) -> Any:
        """The form in which a value is held in its place."""
        return self._codec.encode(key, value)

    def _unwrapped(self, key: str, held: Any, kind: type[Any] | None) -> Any:
        """The value of a form that `_wrapped` gave, or of what was in the place."""
        return self._value(key, Record(held), kind)
