"""How the one who leads computes a value, stores it, and tells those who wait."""

import functools
import logging
import math
from typing import Any

from jinpy_cache_core.exceptions import (
    CacheException,
    CacheReentryError,
    shown_key,
)
from jinpy_cache_core.loading.context import FactoryContext
from jinpy_cache_core.loading.events import (
    FactoryFailed,
    FactoryTimedOut,
    Filled,
    FillRefused,
)
from jinpy_cache_core.loading.flights import Flight
from jinpy_cache_core.loading.freshness import shortened
from jinpy_cache_core.loading.leases import Filling, Releasing
from jinpy_cache_core.loading.options import Policy
from jinpy_cache_core.loading.requests import Request, called
from jinpy_cache_core.loading.steps import Compute, Plan, Spawn, Wait
from jinpy_cache_core.loading.base import ValuePlans
from jinpy_cache_core.sentinels import MISSING
from jinpy_cache_core.entries.slots import Held

_log = logging.getLogger("jinpy_cache")


class LeadingPlans(ValuePlans):
    """Computing, in the caller or behind it."""

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
            call = functools.partial(called, request.factory, context)
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

    def _behind(self, request: Request, flight: Flight, held: Held | None) -> Plan[None]:
        try:
            yield from self.compute(request, flight, held)
        except Exception as error:  # noqa: BLE001 - there is nobody to raise it to
            if not flight.observed:
                self._note_background_error(request, error)

    def _note_background_error(self, request: Request, error: Exception) -> None:
        self.counters.add("background_errors")
        message = "Computing %s in the background failed."
        _log.warning(message, shown_key(request.key), exc_info=error)
