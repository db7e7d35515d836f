"""How a value is looked up, computed by one, waited for by the others, and stored: in order.

The order for a caller that found nothing fresh:

1. A flight is registered in this process under a new token, before the store hears of that token,
   so that whoever of this process follows that token finds the flight.
2. The place of the key is claimed, atomically: a fresh value is there after all; or the caller
   leads; or it follows a token. After an invalidation the place holds another token or none, so
   nobody joins a computation that began before it.
3. A leader computes, stores (which is refused if its token no longer stands), and only then lands
   its flight. If it fails or is cancelled, it gives the lead back first and then lands without a
   value: one of its followers leads next.
4. A follower of this process waits for the flight and decodes a copy of its own. One of another
   process looks at the place now and then. Both wait no longer than `lock_timeout`, then take the
   lead over; once they have waited twice that, they compute whoever leads.
"""

import asyncio
import functools
import inspect
import logging
import math
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from jinpy_cache_core.enums import CacheOperation
from jinpy_cache_core.exceptions import (
    CacheException,
    CacheReentryError,
    CacheTimeoutError,
    shown_key,
)
from jinpy_cache_core.loading.background import Background
from jinpy_cache_core.loading.context import FactoryContext
from jinpy_cache_core.loading.events import (
    Events,
    FactoryFailed,
    FactoryTimedOut,
    Filled,
    FillRefused,
    StaleServed,
)
from jinpy_cache_core.loading.flights import Flight, Flights
from jinpy_cache_core.loading.freshness import Chance, is_due, shortened
from jinpy_cache_core.loading.leases import Claim, Claiming, Filling, Reason, Releasing, Standing
from jinpy_cache_core.loading.options import Policy
from jinpy_cache_core.loading.statistics import Counters
from jinpy_cache_core.loading.steps import Ask, Compute, Pause, Plan, Spawn, Wait
from jinpy_cache_core.sentinels import MISSING
from jinpy_cache_core.slots import Held, Slot

if TYPE_CHECKING:
    from jinpy_cache_core.loading.places import Places

T = TypeVar("T")
_log = logging.getLogger("jinpy_cache")

FIRST_PAUSE = 0.005
"""Seconds before a follower looks at another process's lease for the second time."""

LONGEST_PAUSE = 0.25
"""Seconds between two looks at most."""

MOST_BACKING_OFF = 1024
"""How many keys are remembered whose renewal failed; beyond that they may be tried at once."""


@attrs.frozen
class Request:
    """What a caller wants.

    Attributes:
        key: A checked key.
        factory: Computes the value; takes a `FactoryContext` if it has a required parameter.
        policy: How to go about it.
        kind: The class to structure the value into, or `None`.
        force: Whether a value that is there does not count.
    """

    key: str
    factory: Callable[..., Any]
    policy: Policy
    kind: Any = None
    force: bool = False


class Patience:
    """How long one caller waits for others: `lock_timeout` for one leader, and for two at most."""

    def __init__(self, limit: float, timer: Callable[[], float]) -> None:
        self._limit = limit
        self._timer = timer
        self._waits = 0
        self._until = timer() + limit

    @property
    def takeover_age(self) -> float:
        """Seconds from which somebody else's lead is taken over."""
        return self._limit if self._waits < 2 else 0.0

    def left(self) -> float:
        """Seconds left of this wait."""
        return self._until - self._timer()

    def wear(self) -> None:
        """Begin the next wait, if this one is over."""
        if self.left() <= 0:
            self._waits += 1
            self._until = self._timer() + self._limit

    def lose(self) -> None:
        """Wait no more."""
        self._waits = 2


def pauses(chance: Chance) -> Iterator[float]:
    """Seconds between looks at the store: doubling, spread by chance, bounded."""
    pause = FIRST_PAUSE
    while True:
        yield pause * (0.5 + chance())
        pause = min(2 * pause, LONGEST_PAUSE)


class Plans:
    """The plans for one backend; each is run by a driver.

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

    # -- Looking up ------------------------------------------------------------------------------

    def of(self, request: Request) -> Plan[Any]:
        """The plan for a request; with `plain_hits` the caller has looked the value up already."""
        known_missing = request.policy.plain_hits or request.force
        return self.load(request) if known_missing else self.lookup(request)

    def lookup(self, request: Request) -> Plan[Any]:
        """A fresh value, renewed in the background if it is due; else as `load`."""
        slot: Slot = yield self._ask("peek", request.key)
        now = self._backend._now()
        held = slot.fresh(now)
        value = MISSING if held is None else self._value(request, held)
        if value is MISSING or held is None:
            return (yield from self.load(request))
        due = slot.lease is None and is_due(held, now, request.policy, self._chance)
        if due and now >= self._renewing.get(request.key, -math.inf):
            self._renewing[request.key] = math.inf
            ended = functools.partial(self._renewed, request.key)
            if not (yield Spawn(self._renew(request, held), ended)):
                ended()
        return value

    def load(self, request: Request) -> Plan[Any]:
        """Find, compute or wait for a value."""
        self.flights.refuse_reentry(request.key)
        patience = self.patience(request.policy)
        reason = Reason.FORCE if request.force else Reason.MISS
        while True:
            flight, claim = yield from self.claim(request, reason, patience)
            if claim.standing is Standing.LEAD:
                return (yield from self._lead(request, flight, claim.held))
            if claim.standing is Standing.FOUND and claim.held is not None:
                value = self._value(request, claim.held)
            else:
                value = yield from self._follow(request, claim, patience)
            if value is not MISSING:
                return value
            if claim.standing is Standing.FOUND:  # written by a newer release: to be left in place
                return (yield self._unstored(request))

    def claim(
        self, request: Request, reason: Reason, patience: Patience, renewing: float | None = None
    ) -> Plan[tuple[Flight, Claim]]:
        """Claim the place of the key; the flight is registered only for who leads."""
        flight = self.flights.begin(request.key)
        claiming = Claiming(flight.token, patience.takeover_age, reason, renewing)
        try:
            claim: Claim = yield self._ask("claim", request.key, claiming)
        except BaseException:
            self.flights.end(flight)
            raise
        if claim.standing is Standing.LEAD:
            self.flights.lead(flight, claim.token)
        else:
            self.flights.end(flight)
        return flight, claim

    # -- Leading ---------------------------------------------------------------------------------

    def _lead(self, request: Request, flight: Flight, held: Held | None) -> Plan[Any]:
        """Compute, in the caller if it would wait for ever, else in the background."""
        stale = self.stand_in(request, held)
        limit = request.policy.limit(stale=stale is not None)
        if limit == math.inf:
            return (yield from self.compute(request, flight, held))
        if not (yield Spawn(self._behind(request, flight, held), flight.land, flight)):
            self.flights.end(flight)
            flight.land()
            yield self._ask("settle", request.key, Releasing(flight.token))
            return self._instead(request, stale, "too many unfinished factories are running")
        try:
            landed = yield Wait(flight, limit)
        except BaseException:
            flight.observed = False
            raise
        if landed and flight.payload is not MISSING:
            return self._value_of(request, flight.payload)
        if landed and isinstance(flight.error, Exception):
            raise flight.error
        if landed:
            return self._instead(request, stale, "its computation was cancelled")
        flight.observed = False
        self.counters.add("timeouts")
        self.events.tell(FactoryTimedOut, key=request.key, seconds=limit)
        return self._instead(request, stale, f"its factory takes longer than {limit:g} s")

    def compute(self, request: Request, flight: Flight, held: Held | None) -> Plan[Any]:
        """Run the factory, store its value if the token still stands, and land the flight."""
        stale = functools.partial(self._stale, request, held)
        context = FactoryContext(request.key, request.policy.seconds, stale)
        start, began = self._backend._now(), self.timer()
        try:
            call = functools.partial(_call, request.factory, context)
            try:
                value = yield Compute(call, ((self.flights, flight, context),))
            except Exception as error:  # noqa: BLE001 - a stale value may stand in
                return (yield from self._failed(request, flight, held, error))
            cost = max(0.0, self.timer() - began)
            payload = yield from self.store(request, flight, context, held, value, (start, cost))
            flight.land(payload)
            as_stored = context.unmodified or request.kind is not None
            return self._value_of(request, payload) if as_stored else value
        except GeneratorExit:  # nobody runs this plan any more, so nothing can be asked
            raise
        except BaseException as error:
            yield from self.give_up(flight)
            flight.land(error=error)
            raise
        finally:
            self.flights.end(flight)
            flight.land()

    def store(
        self,
        request: Request,
        flight: Flight,
        context: FactoryContext,
        held: Held | None,
        value: Any,
        measured: tuple[float, float],
    ) -> Plan[Any]:
        """Store a computed value, if it is wanted and its token still stands; what is stored."""
        policy, (start, cost) = request.policy, measured
        if context.skipped or not (policy.cache_if is None or policy.cache_if(value)):
            yield self._ask("settle", request.key, Releasing(flight.token))
            try:
                return self._backend._wrapped(request.key, value)
            except CacheException:  # whoever else waits has to compute it
                return MISSING
        if context.unmodified and held is not None:
            payload = held.payload
        else:
            payload = self._backend._wrapped(request.key, value)
        filling = Filling(flight.token, self._held(policy, context.ttl, payload, start, cost))
        stored = yield self._ask("settle", request.key, filling)
        self.counters.add("fills" if stored else "refused_fills")
        if stored:
            self.counters.add("fill_seconds", cost)
        self.events.tell(Filled if stored else FillRefused, key=request.key, seconds=cost)
        return payload

    def _held(
        self, policy: Policy, ttl: float, payload: Any, start: float, cost: float
    ) -> Held | None:
        seconds = shortened(ttl, policy.jitter, self._chance)
        if not seconds:
            return None
        if policy.plain_hits:
            return Held(payload, seconds, policy.grace if seconds != math.inf else 0.0)
        return Held(payload, seconds, policy.grace, start, cost)

    def _failed(
        self, request: Request, flight: Flight, held: Held | None, error: Exception
    ) -> Plan[Any]:
        """Serve the stale value for a while, if that is allowed, else raise."""
        self.counters.add("errors")
        background = not flight.observed
        self.events.tell(FactoryFailed, key=request.key, error=error, background=background)
        stale = self.stand_in(request, held)
        renewal = stale is not None and stale.fresh(self._backend._now())
        if stale is None or renewal or isinstance(error, CacheReentryError):
            raise error
        _log.warning("The factory of %s failed: %r", shown_key(request.key), error)
        return (yield from self.serve_for_a_while(request, flight, stale))

    def serve_for_a_while(self, request: Request, flight: Flight, stale: Held) -> Plan[Any]:
        """Let a stale value pass for a fresh one until the factory may be asked again."""
        releasing = Releasing(flight.token, request.policy.grace_backoff)
        yield self._ask("settle", request.key, releasing)
        flight.land(stale.payload)
        return self._served(request, stale, "failed")

    def give_up(self, flight: Flight) -> Plan[None]:
        """Give the lead back, so that a follower takes it; the error that led here is kept."""
        try:
            yield self._ask("settle", flight.key, Releasing(flight.token))
        except Exception as failure:  # noqa: BLE001 - it costs others their lock_timeout
            _log.warning("Giving back the lease of %s failed: %r", shown_key(flight.key), failure)

    # -- In the background -----------------------------------------------------------------------

    def _behind(self, request: Request, flight: Flight, held: Held | None) -> Plan[None]:
        try:
            yield from self.compute(request, flight, held)
        except Exception as error:  # noqa: BLE001 - there is nobody to raise it to
            if not flight.observed:
                self._note_background_error(request, error)

    def _renew(self, request: Request, held: Held) -> Plan[None]:
        """Compute a fresh value anew, unless somebody else is at it or has done so."""
        try:
            patience = self.patience(request.policy)
            flight, claim = yield from self.claim(request, Reason.REFRESH, patience, held.start)
            if claim.standing is Standing.LEAD:
                flight.observed = False
                yield from self.compute(request, flight, claim.held)
        except Exception as error:  # noqa: BLE001 - there is nobody to raise it to
            self._note_background_error(request, error)
            again = self._backend._now() + request.policy.grace_backoff
            if len(self._renewing) >= MOST_BACKING_OFF:
                self._renewing.clear()
            self._renewing[request.key] = again
        finally:
            self._renewed(request.key)

    def _renewed(self, key: str) -> None:
        if self._renewing.get(key) == math.inf:
            self._renewing.pop(key, None)

    def _note_background_error(self, request: Request, error: Exception) -> None:
        self.counters.add("background_errors")
        message = "Computing %s in the background failed."
        _log.warning(message, shown_key(request.key), exc_info=error)

    # -- Following -------------------------------------------------------------------------------

    def _follow(self, request: Request, claim: Claim, patience: Patience) -> Plan[Any]:
        """Wait for the leader; `MISSING` to claim again."""
        stale = self.stand_in(request, claim.held)
        soft = math.inf if stale is None else request.policy.soft_timeout
        limit = min(soft, patience.left())
        flight = self.flights.find(claim.token)
        if flight is not None:
            landed = yield Wait(flight, limit)
            if landed:
                given_up = flight.payload is MISSING
                return MISSING if given_up else self._value_of(request, flight.payload)
            if landed is None:
                patience.lose()
        elif not (yield from self._watch(request, claim, self.timer() + limit)):
            return MISSING
        if stale is not None and limit == soft:
            return self._served(request, stale, "waiting")
        patience.wear()
        return MISSING

    def _watch(self, request: Request, claim: Claim, until: float) -> Plan[bool]:
        """Look at the place until something has changed (False) or the time is over (True)."""
        for pause in pauses(self._chance):
            slot: Slot = yield self._ask("peek", request.key)
            if slot.lease is None or slot.lease.token != claim.token:
                return False
            left = until - self.timer()
            if left <= 0:
                return True
            if self.flights.find(claim.token) is not None:
                return False
            yield Pause(min(pause, left))
        raise AssertionError  # pragma: no cover - pauses never end

    # -- Values ----------------------------------------------------------------------------------

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
        call = functools.partial(_call, request.factory, context)
        return Compute(call, ((self.flights, Flight(request.key), context),))

    def _ask(self, operation: str, key: str, *arguments: Any) -> Ask:
        backend = self._backend
        call = getattr(backend, f"_{operation}")
        return Ask(call, getattr(backend, f"_a{operation}"), (key, *arguments))


def _call(factory: Callable[..., Any], context: FactoryContext) -> Any:
    return factory(context) if takes_context(factory) else factory()


def takes_context(factory: Callable[..., Any]) -> bool:
    """Whether a factory has a required positional parameter."""
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):  # some builtins have no signature
        return False
    return any(
        one.default is one.empty and one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)
        for one in parameters
    )
