"""What every plan for a store stands on: its parts, and the values that requests get of it."""

import asyncio
import functools
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any

from jinpy_cache_core.entries.state import CachedValue
from jinpy_cache_core.enums import CacheOperation
from jinpy_cache_core.exceptions import (
    CacheTimeoutError,
    shown_key,
)
from jinpy_cache_core.loading.background import Background
from jinpy_cache_core.loading.context import FactoryContext
from jinpy_cache_core.loading.events import (
    Events,
    StaleServed,
)
from jinpy_cache_core.loading.flights import Flight, Flights
from jinpy_cache_core.loading.freshness import Chance
from jinpy_cache_core.loading.options import Policy
from jinpy_cache_core.loading.requests import Request, called
from jinpy_cache_core.loading.statistics import Counters
from jinpy_cache_core.loading.steps import Ask, Compute
from jinpy_cache_core.loading.store import LoadingStore
from jinpy_cache_core.loading.waiting import Waiting
from jinpy_cache_core.sentinels import MISSING

_log = logging.getLogger("jinpy_cache")


class Loading:
    """A store, and what all plans for it share.

    Args:
        store: Where values are kept.
        timer: Returns seconds for measuring how long things take; injected by tests.
        chance: Returns a number from 0 up to 1; injected by tests.
        pause: Blocks for so many seconds; injected by tests.
        apause: Awaits them.
    """

    def __init__(
        self,
        store: LoadingStore,
        *,
        timer: Callable[[], float] = time.monotonic,
        chance: Chance = random.random,
        pause: Callable[[float], None] = time.sleep,
        apause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.store = store
        self.timer = timer
        self.chance = chance
        self.pause = pause
        self.apause = apause
        self.flights = Flights()
        self.background = Background(store.name)
        self.counters = Counters()
        self.events = Events(store.name)

    def now(self) -> float:
        """The time on the backend's clock."""
        return self.store._now()

    def waiting(self, policy: Policy) -> Waiting:
        """The waiting of a caller who begins it now."""
        return Waiting(policy.lock_timeout, self.timer)

    def drain(self) -> None:
        """Wait for the background work, before the backend is closed."""
        self._note_left(self.background.drain())

    async def adrain(self) -> None:
        """Same as `drain`, asynchronously."""
        self._note_left(await self.background.adrain())

    def _note_left(self, left: int) -> None:
        if left:
            message = "Cache %r was closed while %d values were still being computed."
            _log.warning(message, self.store.name, left)

    def stand_in(self, request: Request, cached: CachedValue | None) -> CachedValue | None:
        """The value that may be served instead of a new one."""
        if cached is None or request.force or request.policy.grace == 0:
            return None
        return cached if cached.alive(self.store._now()) else None

    def instead(self, request: Request, stale: CachedValue | None, why: str) -> Any:
        """The stale value, if there is one; else a timeout that says why."""
        value = MISSING if stale is None else self.served(request, stale, "slow")
        if value is not MISSING:
            return value
        message = f"There is no value of {shown_key(request.key)} to serve yet: {why}."
        raise self.store._placed(
            CacheTimeoutError(message), CacheOperation.GET_OR_SET, (request.key,)
        )

    def served(self, request: Request, stale: CachedValue, reason: str) -> Any:
        """The stale value, counted as such."""
        self.counters.add("stale_hits")
        self.events.tell(StaleServed, key=request.key, reason=reason)
        return self.value(request, stale)

    def stale(self, request: Request, cached: CachedValue | None) -> Any:
        """The value that a factory may look at; `MISSING` for none."""
        return MISSING if cached is None else self.value_of(request, cached.payload)

    def value(self, request: Request, cached: CachedValue) -> Any:
        """The value of a cached one, for this request."""
        return self.value_of(request, cached.payload)

    def value_of(self, request: Request, payload: Any) -> Any:
        """The value of a stored form, for this request."""
        return self.store._unwrapped(request.key, payload, request.kind)

    def unstored(self, request: Request) -> Compute:
        """The step that computes a value which is not to be stored."""
        context = FactoryContext(request.key, request.policy.seconds, lambda: MISSING)
        call = functools.partial(called, request.factory, context)
        return Compute(call, ((self.flights, Flight(request.key), context),))

    def ask(self, operation: str, key: str, *arguments: Any) -> Ask:
        """The step that asks the store."""
        store = self.store
        call = getattr(store, f"_{operation}")
        return Ask(call, getattr(store, f"_a{operation}"), (key, *arguments))
