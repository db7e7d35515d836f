"""A backend as the loading layer sees it: entries that hold a value, a lease, or both."""

from typing import Any

from jinpy_cache_core.backend.async_operations import AsyncOperations
from jinpy_cache_core.backend.errors import mapped_errors
from jinpy_cache_core.entries.records import Record
from jinpy_cache_core.entries.state import EntryState, state_of
from jinpy_cache_core.enums import CacheOperation
from jinpy_cache_core.loading.leases import Claim, Claiming, Filling, Releasing


class LeaseStore(AsyncOperations):
    """The `LoadingStore` that every backend is; overridden where its store can do better."""

    @mapped_errors(CacheOperation.GET_OR_SET)
    def _peek(self, key: str) -> EntryState:
        """What is under a key: a value, fresh or stale, and a lease."""
        return state_of(self._opened()._read(key), self._now())

    @mapped_errors(CacheOperation.GET_OR_SET)
    def _claim(self, key: str, claiming: Claiming) -> Claim:
        """Find a value, or take the lead in computing it, or learn who has it, atomically."""
        return self._opened()._update(key, claiming)

    @mapped_errors(CacheOperation.GET_OR_SET)
    def _settle(self, key: str, settling: Filling | Releasing) -> bool:
        """Store a computed value or give up the lead, if the lease still stands, atomically."""
        return self._opened()._update(key, settling)

    async def _apeek(self, key: str) -> EntryState:
        """Same as `_peek`, asynchronously."""
        return await self._run(self._peek, key)

    async def _aclaim(self, key: str, claiming: Claiming) -> Claim:
        """Same as `_claim`, asynchronously."""
        return await self._run(self._claim, key, claiming)

    async def _asettle(self, key: str, settling: Filling | Releasing) -> bool:
        """Same as `_settle`, asynchronously."""
        return await self._run(self._settle, key, settling)

    def _wrapped(self, key: str, value: object) -> Any:
        """The form in which a value is kept."""
        return self._codec.encode(key, value)

    def _unwrapped(self, key: str, form: Any, kind: type[Any] | None) -> Any:
        """The value of a form that `_wrapped` gave, or of what was under the key."""
        return self._value(key, Record(form), kind)
