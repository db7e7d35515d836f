"""What every plan of a backend stands on: its parts, and the values that requests get of it."""

import asyncio
import functools
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

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
from jinpy_cache_core.loading.waiting import Patience
from jinpy_cache_core.loading.requests import Request, called
from jinpy_cache_core.loading.statistics import Counters
from jinpy_cache_core.loading.steps import Ask, Compute
from jinpy_cache_core.sentinels import MISSING
from jinpy_cache_core.entries.slots import Held

if TYPE_CHECKING:
    from jinpy_cache_core.backend.places import Places

_log = logging.getLogger("jinpy_cache")


class ValuePlans:
    """A backend, and what all plans for it share.

    Args:
        backend: Where values are stored.
        timer: Returns seconds for measuring how long things take; injected by tests.
        chance: Returns a number from 0 up to 1; injected by tests.
        pause: Blocks for so many seconds; injected by tests.
        apause: Awaits them.
    """

    def __init__(
        self,
        backend: "Places",
        *,
        timer: Callable[[], float] = time.monotonic,
        chance: Chance = random.random,
        pause: Callable[[float], None] = time.sleep,
        apause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._backend = backend
        self.timer = timer
        self._chance = chance
        self.pause = pause
        self.apause = apause
        self._renewing: dict[str, float] = {}
        self.flights = Flights()
        self.background = Background(backend.name)
        self.counters = Counters()
        self.events = Events(backend.name)

    def now(self) -> float:
        """The time on the backend's clock."""
        return self._backend._now()

    def patience(self, policy: Policy) -> Patience:
        """The patience of a caller who begins to wait now."""
        return Patience(policy.lock_timeout, self.timer)

    def drain(self) -> None:
        """Wait for the background work, before the backend is closed."""
        self._note_left(self.background.drain())

    async def adrain(self) -> None:
        """Same as `drain`, asynchronously."""
        self._note_left(await self.background.adrain())

    def _note_left(self, left: int) -> None:
        if left:
            message = "Cache %r was closed while %d values were still being computed."
            _log.warning(message, self._backend.name, left)

    def stand_in(self, request: Request, held: Held | None) -> Held | None:
        """The value that may be served instead of a new one."""
        if held is None or request.force or request.policy.grace == 0:
            return None
        return held if held.alive(self._backend._now()) else None

    def _instead(self, request: Request, stale: Held | None, why: str) -> Any:
        value = MISSING if stale is None else self._served(request, stale, "slow")
        if value is not MISSING:
            return value
        message = f"There is no value of {shown_key(request.key)} to serve yet: {why}."
        raise self._backend._placed(
            CacheTimeoutError(message), CacheOperation.GET_OR_SET, request.key
        )

    def _served(self, request: Request, stale: Held, reason: str) -> Any:
        self.counters.add("stale_hits")
        self.events.tell(StaleServed, key=request.key, reason=reason)
        return self._value(request, stale)

    def _stale(self, request: Request, held: Held | None) -> Any:
        return MISSING if held is None else self._value_of(request, held.payload)

    def _value(self, request: Request, held: Held) -> Any:
        return self._value_of(request, held.payload)

    def _value_of(self, request: Request, payload: Any) -> Any:
        return self._backend._unwrapped(request.key, payload, request.kind)

    def _unstored(self, request: Request) -> Compute:
        context = FactoryContext(request.key, request.policy.seconds, lambda: MISSING)
        call = functools.partial(called, request.factory, context)
        return Compute(call, ((self.flights, Flight(request.key), context),))

    def _ask(self, operation: str, key: str, *arguments: Any) -> Ask:
        backend = self._backend
        call = getattr(backend, f"_{operation}")
        return Ask(call, getattr(backend, f"_a{operation}"), (key, *arguments))
