"""A backend as the loading layer sees it: entries that hold a value, a lease, or both."""

import math
import time
from collections.abc import Mapping
from typing import Any, ClassVar

from jinpy_cache_core.backend.async_operations import AsyncOperations
from jinpy_cache_core.backend.errors import mapped_errors
from jinpy_cache_core.backend.heavy import is_heavy
from jinpy_cache_core.backend.primitives import HEALTH_KEY
from jinpy_cache_core.entries.records import UNCHANGED, Change, Record
from jinpy_cache_core.entries.state import EntryState, state_of
from jinpy_cache_core.enums import CacheOperation
from jinpy_cache_core.exceptions import (
    CacheConnectionError,
    CacheException,
    CacheTimeoutError,
)
from jinpy_cache_core.loading.leases import Claim, Claiming, Filling, Releasing

Settling = Filling | Releasing


class LeaseStore(AsyncOperations):
    """The `LoadingStore` that every backend is; overridden where its store can do better."""

    _gives_back_at_once: ClassVar[bool] = False
    """Whether no operation ever waits, so that nothing has to be done in the background."""

    @property
    def _store_seconds(self) -> float:
        """How long the store may take of one call of a user, all steps together."""
        return math.inf

    @property
    def _shared(self) -> bool:
        """Whether other processes wait for the leases of this one."""
        return self._config.shared_store

    def _is_outage(self, error: CacheException) -> bool:
        """Whether an error says that the store is away or hangs, and not that it answered."""
        away = isinstance(error, (CacheConnectionError, CacheTimeoutError))
        return away and error.server_code is None

    def _is_silent(self, error: CacheException) -> bool:
        """Whether the store has let a caller wait in full, and meanwhile told nobody anything.

        One such failure is enough to leave it alone: the next caller would wait as long.
        """
        return False

    def _has_answered(self) -> bool:
        """Whether it has answered anybody since this was last asked, as far as that is known."""
        return False

    @mapped_errors(CacheOperation.IS_HEALTHY)
    def _reach(self) -> None:
        """Ask the store something, as a claim would: the writer's turn, and no change."""
        self._opened()._update(HEALTH_KEY, _unchanged)

    @mapped_errors(CacheOperation.GET_OR_SET)
    def _peek(self, key: str, within: float = math.inf) -> EntryState:
        """What is under a key: a value, fresh or stale, and a lease."""
        return state_of(self._opened()._read(key), self._now())

    @mapped_errors(CacheOperation.GET_OR_SET)
    def _claim(self, key: str, claiming: Claiming, within: float = math.inf) -> Claim:
        """Find a value, or take the lead in computing it, or learn who has it, atomically."""
        return self._opened()._update(key, claiming)

    @mapped_errors(CacheOperation.GET_OR_SET)
    def _settle(self, key: str, settling: Settling, within: float = math.inf) -> bool:
        """Store a computed value or give up the lead, if the lease still stands, atomically."""
        return self._opened()._update(key, settling)

    def _claim_many(
        self, claimings: Mapping[str, Claiming], within: float = math.inf
    ) -> dict[str, Claim]:
        """Same as `_claim` for each key; the lot is not atomic."""
        until = time.monotonic() + within
        return {key: self._claim(key, one, _left(until)) for key, one in claimings.items()}

    def _settle_many(
        self, settlings: Mapping[str, Settling], within: float = math.inf
    ) -> dict[str, bool]:
        """Same as `_settle` for each key; the lot is not atomic."""
        until = time.monotonic() + within
        return {key: self._settle(key, one, _left(until)) for key, one in settlings.items()}

    async def _apeek(self, key: str, within: float = math.inf) -> EntryState:
        """Same as `_peek`, asynchronously."""
        return await self._run(self._peek, key, within)

    async def _aclaim(self, key: str, claiming: Claiming, within: float = math.inf) -> Claim:
        """Same as `_claim`, asynchronously."""
        return await self._run(self._claim, key, claiming, within)

    async def _asettle(self, key: str, settling: Settling, within: float = math.inf) -> bool:
        """Same as `_settle`, asynchronously."""
        return await self._run(self._settle, key, settling, within)

    async def _aclaim_many(
        self, claimings: Mapping[str, Claiming], within: float = math.inf
    ) -> dict[str, Claim]:
        """Same as `_claim_many`, asynchronously."""
        return await self._run(self._claim_many, claimings, within)

    async def _asettle_many(
        self, settlings: Mapping[str, Settling], within: float = math.inf
    ) -> dict[str, bool]:
        """Same as `_settle_many`, asynchronously."""
        return await self._run(self._settle_many, settlings, within)

    def _wrapped(self, key: str, value: object) -> Any:
        """The form in which a value is kept."""
        return self._codec.encode(key, value)

    async def _awrapped(self, key: str, value: object) -> Any:
        """Same as `_wrapped`, asynchronously: what takes long is encoded in a worker thread."""
        if is_heavy(value):
            return await self._run(self._wrapped, key, value)
        return self._wrapped(key, value)

    def _unwrapped(self, key: str, form: Any, kind: type[Any] | None) -> Any:
        """The value of a form that `_wrapped` gave, or of what was under the key."""
        return self._value(key, Record(form), kind)


def _left(until: float) -> float:
    return max(0.0, until - time.monotonic())


def _unchanged(_record: Record | None, _now: float) -> tuple[Change, bool]:
    return UNCHANGED, True
