"""What every plan for a store stands on: its parts, how the store is asked, and what it answers.

All questions to the store go through `Loading.ask`, which is where a failure becomes a miss: the
call is then *degraded*, and asks the store nothing more. What the store does not answer is never
the caller's trouble, unless they insist (`on_error="raise"`).
"""

import asyncio
import functools
import logging
import random
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

from jinpy_cache_core.entries.state import CachedValue
from jinpy_cache_core.enums import CacheOperation
from jinpy_cache_core.exceptions import (
    UNREADABLE,
    CacheClosedError,
    CacheConfigurationError,
    CacheException,
    CacheTimeoutError,
    shown_key,
)
from jinpy_cache_core.loading.background import Background
from jinpy_cache_core.loading.calls import Call
from jinpy_cache_core.loading.context import FactoryContext
from jinpy_cache_core.loading.desk import Desk
from jinpy_cache_core.loading.events import (
    Events,
    OutageBegan,
    OutageEnded,
    StaleServed,
    StoreFailed,
    Unreadable,
)
from jinpy_cache_core.loading.exits import watch_exit
from jinpy_cache_core.loading.failures import RecentFailures
from jinpy_cache_core.loading.flights import Flight, Flights
from jinpy_cache_core.loading.freshness import Chance
from jinpy_cache_core.loading.journal import Journal
from jinpy_cache_core.loading.options import Policy
from jinpy_cache_core.loading.requests import Request, called
from jinpy_cache_core.loading.returns import Returns
from jinpy_cache_core.loading.statistics import Counters
from jinpy_cache_core.loading.steps import Ask, Compute, Plan
from jinpy_cache_core.loading.store import LoadingStore
from jinpy_cache_core.loading.waiting import Waiting
from jinpy_cache_core.outage.breaker import Breaker
from jinpy_cache_core.sentinels import MISSING

_log = logging.getLogger("jinpy_cache")

FINAL = (CacheClosedError, CacheConfigurationError)
"""What no call goes on without: the program is wrong, not the store."""

DRAIN_SECONDS = 1.0
"""How long closing waits for leases on their way back."""


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
        self.desk = Desk()
        self.background = Background(store.name)
        self.counters = Counters()
        self.events = Events(store.name)
        self.journal = Journal()
        self.outage = Breaker()
        self.failures = RecentFailures(self._elapsed)
        self.returns = Returns(store, self.journal)
        self._comes_back: set[type] = set()
        watch_exit(self, signals=store._shared)

    def now(self) -> float:
        """The time on the backend's clock."""
        return self.store._now()

    def _elapsed(self) -> float:
        return self.timer()

    def waiting(self, policy: Policy) -> Waiting:
        """The waiting of a caller who begins it now."""
        return Waiting(policy.lock_timeout, self.timer)

    def call(self, policy: Policy, *, degraded: bool = False) -> Call:
        """The state of a call that begins now."""
        return Call(policy, self.store._store_seconds, degraded=degraded)

    # -- Asking the store -------------------------------------------------------------------------

    def ask(self, call: Call, what: str, *arguments: Any, key: str, instead: Any) -> Plan[Any]:
        """Ask the store, unless that has failed before or is known to fail.

        Args:
            call: Who asks.
            what: The method of the store, without its underscore.
            arguments: For it.
            key: What it is about.
            instead: The answer of a store that cannot be asked.
        """
        if call.degraded or ((self.outage.open or call.left <= 0) and not self.may_ask(call)):
            if not call.degraded:
                call.degraded = True
                self.counters.add("degraded")
            return instead
        store = self.store
        began = time.monotonic()
        try:
            answer = yield Ask(
                getattr(store, f"_{what}"), getattr(store, f"_a{what}"), arguments, call.left
            )
        except CacheException as error:
            self.store_failed(call, error, key, reading=what == "peek" or what.startswith("claim"))
            return instead
        finally:
            if call.left != _FOREVER:
                call.left = max(0.0, call.left - (time.monotonic() - began))
        self.answered()
        return answer

    def may_ask(self, call: Call) -> bool:
        """Whether to ask a store that is given up: only for who insists on its error."""
        self.probe()
        return call.insists

    def answered(self) -> None:
        """Note that the store answered."""
        if self.outage.succeeded():
            self._outage_ended()

    def store_failed(self, call: Call, error: CacheException, key: str, *, reading: bool) -> None:
        """Go on without the store, if the call may.

        Raises:
            CacheException: The error, if it may not.
        """
        if isinstance(error, FINAL) and reading:
            raise error
        self.note_outage(error)
        if call.insists:
            raise error
        call.degraded = True
        self.counters.add("degraded")
        self.events.tell(StoreFailed, key=key, error=error, reading=reading)
        if not self.outage.open:  # else the one line of the outage has said it
            kind = type(error), reading
            self.journal.warn(kind, "The cache %r was gone without: %s", self.store.name, error)

    def note_outage(self, error: CacheException) -> None:
        """Count a failure of the store; several in a row, and it is not asked any more.

        So it is after one for which a caller has waited in full while nobody was answered.
        """
        if not self.store._is_outage(error):
            return
        silent = self.store._is_silent(error)
        if self.store._has_answered():
            self.answered()
        if self.outage.failed(at_once=silent):
            self.counters.add("outages")
            self.events.tell(OutageBegan, key="", error=error)
            message = "The cache %r does not answer; it is left alone until it does. Last: %s"
            self.journal.warn("outage", message, self.store.name, error)

    def _outage_ended(self) -> None:
        seconds = time.monotonic() - self.outage.since
        self.events.tell(OutageEnded, key="", seconds=seconds)
        message = "The cache %r answers again, after %.1f s."
        self.journal.warn("outage over", message, self.store.name, seconds)

    def probe(self) -> None:
        """Have the store asked in the background whether it answers again, if that is due."""
        if not self.outage.probe():
            return
        name = f"jinpy-cache-{self.store.name}-probe"
        try:
            threading.Thread(target=self._probe, name=name, daemon=True).start()
        except RuntimeError:  # no more threads to be had
            self.outage.probed(answered=False)

    def _probe(self) -> None:
        answered = False
        try:
            self.store._reach()
            answered = True
        except CacheException as error:
            # It answered, if only with a refusal; or it is closed, so nobody asks any more.
            answered = not self.store._is_outage(error)
        finally:
            if self.outage.probed(answered=answered):
                self._outage_ended()

    def failed_read(self, error: CacheException, policy: Policy, key: str) -> Call:
        """The call whose first look at the store failed, which goes on without it if it may.

        Raises:
            CacheException: The error, if it may not.
        """
        call = self.call(policy)
        if isinstance(error, UNREADABLE) and not call.insists:
            return call  # whoever claims the place of the key finds what cannot be read
        self.store_failed(call, error, key, reading=True)
        if error.began is not None:
            call.began = error.began
        return call

    # -- Giving back -----------------------------------------------------------------------------

    def give_back(self, flight: Flight) -> None:
        """Have the lease of a flight given back in the background, if there may be one."""
        if flight.leased:
            flight.leased = False
            self.returns.add(flight.key, flight.token)

    def leave(self, seconds: float) -> None:
        """Give back every lease that this process holds: it ends."""
        held = [(flight.key, flight.token) for flight in self.flights.leased()]
        if self.store._shared and (held or self.returns):
            self.returns.empty(seconds, held)

    def drain(self) -> None:
        """Wait for the background work, before the backend is closed."""
        self._note_left(self.background.drain())
        self.returns.drain(DRAIN_SECONDS)

    async def adrain(self) -> None:
        """Same as `drain`, asynchronously."""
        self._note_left(await self.background.adrain())
        if self.returns:
            await asyncio.to_thread(self.returns.drain, DRAIN_SECONDS)

    def _note_left(self, left: int) -> None:
        if left:
            message = "Cache %r was closed while %d values were still being computed."
            _log.warning(message, self.store.name, left)

    # -- Values ----------------------------------------------------------------------------------

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
        """The stale value, counted as such; `MISSING` if it cannot be read."""
        value = self.value(request, stale)
        if value is not MISSING:
            self.counters.add("stale_hits")
            self.events.tell(StaleServed, key=request.key, reason=reason)
        return value

    def stale(self, request: Request, cached: CachedValue | None) -> Any:
        """The value that a factory may look at; `MISSING` for none."""
        return MISSING if cached is None else self.value(request, cached)

    def value(self, request: Request, cached: CachedValue) -> Any:
        """The value of a cached one, for this request; `MISSING` if it is of no use to it."""
        try:
            return self.value_of(request, cached.payload)
        except UNREADABLE as error:
            if request.policy.on_error == "raise":
                raise
            self.unreadable(request.key, error)
            return MISSING

    def unreadable(self, key: str, error: CacheException) -> None:
        """Note that what is stored could not be read, so that it is computed anew."""
        self.counters.add("unreadable")
        self.events.tell(Unreadable, key=key, error=error)
        self.journal.warn(
            ("unreadable", type(error)),
            "An entry of the cache %r cannot be read and is computed anew: %s",
            self.store.name,
            error,
        )

    def value_of(self, request: Request, payload: Any) -> Any:
        """The value of a stored form, for this request."""
        return self.store._unwrapped(request.key, payload, request.kind)

    def refuse_unreadable(self, key: str, value: object, payload: Any) -> None:
        """Make sure that what is to be stored comes back: a later read is too late to say so.

        A class is tried once. What may hold others is tried each time, unless it is large: then
        it is read when it is read.

        Raises:
            CacheException: It does not.
        """
        kind = type(value)
        if not self.store._shared or kind in _COMES_BACK or kind in self._comes_back:
            return
        holds_others = kind in _HOLDS_OTHERS
        if holds_others and len(payload) > MOST_TRIED:
            return
        self.store._unwrapped(key, payload, None)
        if not holds_others and len(self._comes_back) < MOST_CLASSES:
            self._comes_back.add(kind)

    def unstored(self, request: Request) -> Compute:
        """The step that computes a value which is not to be stored."""
        context = FactoryContext(request.key, request.policy.seconds, lambda: MISSING)
        call = functools.partial(called, request.factory, context)
        return Compute(call, ((self.flights, Flight(request.key), context),))


_COMES_BACK = frozenset((type(None), bool, int, float, str, bytes))
"""Types whose values every serializer that takes them gives back."""

_HOLDS_OTHERS = frozenset((list, dict, tuple, set, frozenset))
"""Types whose values come back if what they hold does."""

MOST_TRIED = 16_384
"""Bytes of a stored form that is read once before it is stored, to see whether it comes back."""

MOST_CLASSES = 1024
"""How many classes are remembered to come back; further ones are tried each time."""

_FOREVER = float("inf")
