"""How the one who leads computes a value, stores it, and tells those who wait."""

import functools
import logging
import math
from typing import Any

from jinpy_cache_core.entries.state import CachedValue
from jinpy_cache_core.exceptions import (
    CacheException,
    CacheReentryError,
    shown_key,
)
from jinpy_cache_core.loading.base import Loading
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
from jinpy_cache_core.sentinels import MISSING

_log = logging.getLogger("jinpy_cache")


class Leader:
    """Computing, in the caller or behind it.

    Args:
        loading: The store, and what all plans for it share.
    """

    def __init__(self, loading: Loading) -> None:
        self._loading = loading

    def lead(self, request: Request, flight: Flight, cached: CachedValue | None) -> Plan[Any]:
        """Compute, in the caller if it would wait for ever, else in the background."""
        stale = self._loading.stand_in(request, cached)
        limit = request.policy.limit(stale=stale is not None)
        if limit == math.inf:
            return (yield from self.compute(request, flight, cached))
        if not (yield Spawn(self._behind(request, flight, cached), flight.land, flight)):
            self._loading.flights.end(flight)
            flight.land()
            yield self._loading.ask("settle", request.key, Releasing(flight.token))
            return self._loading.instead(request, stale, "too many factories are running")
        try:
            landed = yield Wait(flight, limit)
        except BaseException:
            flight.observed = False
            raise
        if landed and flight.payload is not MISSING:
            return self._loading.value_of(request, flight.payload)
        if landed and isinstance(flight.error, Exception):
            raise flight.error
        if landed:
            return self._loading.instead(request, stale, "its computation was cancelled")
        flight.observed = False
        self._loading.counters.add("timeouts")
        self._loading.events.tell(FactoryTimedOut, key=request.key, seconds=limit)
        return self._loading.instead(request, stale, f"its factory takes longer than {limit:g} s")

    def compute(self, request: Request, flight: Flight, cached: CachedValue | None) -> Plan[Any]:
        """Run the factory, store its value if the token still stands, and land the flight."""
        stale = functools.partial(self._loading.stale, request, cached)
        context = FactoryContext(request.key, request.policy.seconds, stale)
        start, began = self._loading.now(), self._loading.timer()
        try:
            call = functools.partial(called, request.factory, context)
            try:
                value = yield Compute(call, ((self._loading.flights, flight, context),))
            except Exception as error:  # noqa: BLE001 - a stale value may stand in
                return (yield from self._failed(request, flight, cached, error))
            cost = max(0.0, self._loading.timer() - began)
            payload = yield from self.store(request, flight, context, cached, value, (start, cost))
            flight.land(payload)
            as_stored = context.unmodified or request.kind is not None
            return self._loading.value_of(request, payload) if as_stored else value
        except GeneratorExit:  # nobody runs this plan any more, so nothing can be asked
            raise
        except BaseException as error:
            yield from self.give_up(flight)
            flight.land(error=error)
            raise
        finally:
            self._loading.flights.end(flight)
            flight.land()

    def store(
        self,
        request: Request,
        flight: Flight,
        context: FactoryContext,
        cached: CachedValue | None,
        value: Any,
        measured: tuple[float, float],
    ) -> Plan[Any]:
        """Store a computed value, if it is wanted and its token still stands; what is stored."""
        policy, (start, cost) = request.policy, measured
        if context.skipped or not (policy.cache_if is None or policy.cache_if(value)):
            yield self._loading.ask("settle", request.key, Releasing(flight.token))
            try:
                return self._loading.store._wrapped(request.key, value)
            except CacheException:  # whoever else waits has to compute it
                return MISSING
        if context.unmodified and cached is not None:
            payload = cached.payload
        else:
            payload = self._loading.store._wrapped(request.key, value)
        filling = Filling(
            flight.token, self._cached_value(policy, context.ttl, payload, start, cost)
        )
        stored = yield self._loading.ask("settle", request.key, filling)
        self._loading.counters.add("fills" if stored else "refused_fills")
        if stored:
            self._loading.counters.add("fill_seconds", cost)
        self._loading.events.tell(Filled if stored else FillRefused, key=request.key, seconds=cost)
        return payload

    def _cached_value(
        self, policy: Policy, ttl: float, payload: Any, start: float, cost: float
    ) -> CachedValue | None:
        seconds = shortened(ttl, policy.jitter, self._loading.chance)
        if not seconds:
            return None
        if policy.plain_hits:
            return CachedValue(payload, seconds, policy.grace if seconds != math.inf else 0.0)
        return CachedValue(payload, seconds, policy.grace, start, cost)

    def _failed(
        self, request: Request, flight: Flight, cached: CachedValue | None, error: Exception
    ) -> Plan[Any]:
        """Serve the stale value for a while, if that is allowed, else raise."""
        self._loading.counters.add("errors")
        background = not flight.observed
        self._loading.events.tell(
            FactoryFailed, key=request.key, error=error, background=background
        )
        stale = self._loading.stand_in(request, cached)
        renewal = stale is not None and stale.fresh(self._loading.now())
        if stale is None or renewal or isinstance(error, CacheReentryError):
            raise error
        _log.warning("The factory of %s failed: %r", shown_key(request.key), error)
        return (yield from self.serve_for_a_while(request, flight, stale))

    def serve_for_a_while(self, request: Request, flight: Flight, stale: CachedValue) -> Plan[Any]:
        """Let a stale value pass for a fresh one until the factory may be asked again."""
        releasing = Releasing(flight.token, request.policy.grace_backoff)
        yield self._loading.ask("settle", request.key, releasing)
        flight.land(stale.payload)
        return self._loading.served(request, stale, "failed")

    def give_up(self, flight: Flight) -> Plan[None]:
        """Give the lead back, so that a follower takes it; the error that led here is kept."""
        try:
            yield self._loading.ask("settle", flight.key, Releasing(flight.token))
        except Exception as failure:  # noqa: BLE001 - it costs others their lock_timeout
            _log.warning("Giving back the lease of %s failed: %r", shown_key(flight.key), failure)

    def _behind(self, request: Request, flight: Flight, cached: CachedValue | None) -> Plan[None]:
        try:
            yield from self.compute(request, flight, cached)
        except Exception as error:  # noqa: BLE001 - there is nobody to raise it to
            if not flight.observed:
                self.note_background_error(request, error)

    def note_background_error(self, request: Request, error: Exception) -> None:
        """Count and log what nobody waits for."""
        self._loading.counters.add("background_errors")
        message = "Computing %s in the background failed."
        _log.warning(message, shown_key(request.key), exc_info=error)
