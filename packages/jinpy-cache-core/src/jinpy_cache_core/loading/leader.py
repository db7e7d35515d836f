"""How the one who leads computes a value, tells those who wait, and stores it.

The value is handed to everyone who waits as soon as it is there: a store that is slow or dead costs
nobody anything but the next hit. The flight can be found until the store has answered, so that who
comes meanwhile, and still finds the lease under which it was computed, gets the value too.

A leader that dies does not wait for the store: it lands its flight, and its lease goes back in the
background (see `returns`).
"""

import functools
import math
from typing import Any

from jinpy_cache_core.entries.state import CachedValue
from jinpy_cache_core.exceptions import CacheException, CacheReentryError, shown_key
from jinpy_cache_core.loading.base import Loading
from jinpy_cache_core.loading.calls import Call
from jinpy_cache_core.loading.context import FactoryContext
from jinpy_cache_core.loading.events import (
    FactoryFailed,
    FactoryTimedOut,
    Filled,
    FillRefused,
    StoreFailed,
)
from jinpy_cache_core.loading.flights import Flight
from jinpy_cache_core.loading.freshness import shortened
from jinpy_cache_core.loading.leases import Filling, Releasing
from jinpy_cache_core.loading.options import Policy
from jinpy_cache_core.loading.requests import Request, called
from jinpy_cache_core.loading.steps import Ask, Compute, Plan, Spawn, Wait, carried, original
from jinpy_cache_core.sentinels import MISSING


class Leader:
    """Computing, in the caller or behind it.

    Args:
        loading: The store, and what all plans for it share.
    """

    def __init__(self, loading: Loading) -> None:
        self._loading = loading

    def lead(
        self, request: Request, call: Call, flight: Flight, cached: CachedValue | None
    ) -> Plan[Any]:
        """Compute, in the caller if it would wait for ever, else in the background."""
        stale = self._loading.stand_in(request, cached)
        limit = request.policy.limit(stale=stale is not None)
        if limit == math.inf:
            return (yield from self.compute(request, call, flight, cached))
        if not (yield Spawn(self._behind(request, call, flight, cached), flight.land, flight)):
            self._loading.flights.end(flight)
            self._loading.give_back(flight)
            flight.land()
            return self._loading.instead(request, stale, "too many factories are running")
        try:
            landed = yield Wait(flight, max(0.0, limit - call.waited))
        except BaseException:
            flight.observed = False
            raise
        if not landed:
            flight.observed = False
            return self.timed_out(request, stale, limit)
        if flight.payload is not MISSING:
            return self._loading.value_of(request, flight.payload)
        if flight.value is not MISSING:
            return flight.value
        if isinstance(flight.error, Exception):
            raise carried(flight.error.with_traceback(flight.trace))
        return self._loading.instead(request, stale, "its computation was cancelled")

    def timed_out(self, request: Request, stale: CachedValue | None, limit: float) -> Any:
        """What a caller gets who has waited for a factory as long as it may."""
        self._loading.counters.add("timeouts")
        self._loading.events.tell(FactoryTimedOut, key=request.key, seconds=limit)
        return self._loading.instead(request, stale, f"its factory takes longer than {limit:g} s")

    def compute(
        self, request: Request, call: Call, flight: Flight, cached: CachedValue | None
    ) -> Plan[Any]:
        """Run the factory, land the flight, and store the value if the token still stands."""
        loading = self._loading
        stale = functools.partial(loading.stale, request, cached)
        context = FactoryContext(request.key, request.policy.seconds, stale)
        start, began = loading.now(), loading.timer()
        try:
            factory = functools.partial(called, request.factory, context)
            try:
                value = yield Compute(factory, ((loading.flights, flight, context),))
            except Exception as error:  # noqa: BLE001 - a stale value may stand in
                return (yield from self._failed(request, call, flight, cached, error))
            cost = max(0.0, loading.timer() - began)
            payload = yield from self.store(
                request, call, flight, context, cached, value, (start, cost)
            )
            as_stored = context.unmodified or request.kind is not None
            if as_stored and payload is not MISSING:
                return loading.value_of(request, payload)
            return value
        except BaseException as error:
            loading.flights.end(flight)
            loading.give_back(flight)
            flight.land(error=original(error))
            raise
        finally:
            loading.flights.end(flight)
            flight.land()

    def store(
        self,
        request: Request,
        call: Call,
        flight: Flight,
        context: FactoryContext,
        cached: CachedValue | None,
        value: Any,
        measured: tuple[float, float],
    ) -> Plan[Any]:
        """Hand a computed value to everyone, and store it if it is wanted; its stored form."""
        loading, key, cost = self._loading, request.key, measured[1]
        payload = yield from self.form(request, call, flight, context, cached, value)
        if not self.keeps(request.policy, context, value):
            flight.land(payload)
            yield from self.release(call, flight)
            return payload
        if payload is MISSING:
            flight.land(value=value)
            yield from self.release(call, flight)
            return MISSING
        filling = self.filling(request.policy, flight, context, payload, measured)
        flight.land(payload)
        stored = yield from loading.ask(call, "settle", key, filling, key=key, instead=None)
        self.note_stored(flight, cost, stored)
        return payload

    def form(
        self,
        request: Request,
        call: Call,
        flight: Flight,
        context: FactoryContext,
        cached: CachedValue | None,
        value: Any,
    ) -> Plan[Any]:
        """The form in which a value is stored; `MISSING` if it cannot be."""
        if context.unmodified and cached is not None:
            return cached.payload
        store = self._loading.store
        try:
            payload = yield Ask(store._wrapped, store._awrapped, (request.key, value))
            if request.kind is None and not context.skipped:
                self._loading.refuse_unreadable(request.key, value, payload)
            return payload
        except CacheException as error:
            if call.insists and self.keeps(request.policy, context, value):
                raise
            if self.keeps(request.policy, context, value):
                self._unstored(request.key, error)
            return MISSING

    def keeps(self, policy: Policy, context: FactoryContext, value: Any) -> bool:
        """Whether a value is to be stored."""
        return not context.skipped and (policy.cache_if is None or policy.cache_if(value))

    def filling(
        self,
        policy: Policy,
        flight: Flight,
        context: FactoryContext,
        payload: Any,
        measured: tuple[float, float],
    ) -> Filling:
        """What stores a value."""
        return Filling(flight.token, self._cached_value(policy, context.ttl, payload, *measured))

    def note_stored(self, flight: Flight, cost: float, stored: bool | None) -> None:
        """Count how storing went: done, refused, or `None` where the store was not there."""
        loading = self._loading
        if stored is None:
            loading.counters.add("unstored")
            loading.give_back(flight)
            return
        flight.leased = False
        loading.failures.forget(flight.key)
        loading.counters.add("fills" if stored else "refused_fills")
        if stored:
            loading.counters.add("fill_seconds", cost)
        loading.events.tell(Filled if stored else FillRefused, key=flight.key, seconds=cost)

    def _unstored(self, key: str, error: CacheException) -> None:
        loading = self._loading
        loading.counters.add("unstored")
        loading.events.tell(StoreFailed, key=key, error=error, reading=False)
        message = "A value was computed and returned, but the cache %r cannot store it: %s"
        loading.journal.warn(("unstored", type(error)), message, loading.store.name, error)

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
        self,
        request: Request,
        call: Call,
        flight: Flight,
        cached: CachedValue | None,
        error: Exception,
    ) -> Plan[Any]:
        """Serve the stale value for a while, if that is allowed, else raise."""
        loading, raised = self._loading, original(error)
        loading.counters.add("errors")
        background = not flight.observed
        loading.events.tell(FactoryFailed, key=request.key, error=raised, background=background)
        reentry = isinstance(error, CacheReentryError)
        if isinstance(raised, Exception) and not reentry:
            loading.failures.note(request.key, raised, request.policy.failure_ttl)
        stale = loading.stand_in(request, cached)
        renewal = stale is not None and stale.fresh(loading.now())
        if stale is not None and not renewal and not reentry:
            message = "The factory of %s failed: %r"
            kind = ("factory", type(raised))
            loading.journal.warn(kind, message, shown_key(request.key), raised)
            value = yield from self.serve_for_a_while(request, call, flight, stale)
            if value is not MISSING:
                return value
        if loading.store._gives_back_at_once:
            loading.give_back(flight)  # before anyone who waits looks at the place again
        loading.flights.end(flight)
        flight.land(error=raised)
        yield from self.release(call, flight)
        raise error

    def serve_for_a_while(
        self, request: Request, call: Call, flight: Flight, stale: CachedValue
    ) -> Plan[Any]:
        """Let a stale value pass for a fresh one until the factory may be asked again."""
        value = self._loading.served(request, stale, "failed")
        if value is not MISSING:
            if not self._loading.store._gives_back_at_once:
                flight.land(stale.payload)
            yield from self.release(call, flight, request.policy.grace_backoff)
            flight.land(stale.payload)
        return value

    def release(self, call: Call, flight: Flight, backoff: float = 0.0) -> Plan[None]:
        """Give the lead back, in the caller while the store answers, else in the background."""
        if not flight.leased:
            return
        releasing = Releasing(flight.token, backoff)
        calm = Call(Policy(), call.left, degraded=call.degraded)  # its error is nobody's
        done = yield from self._loading.ask(
            calm, "settle", flight.key, releasing, key=flight.key, instead=None
        )
        call.degraded = calm.degraded
        if done is None:
            self._loading.give_back(flight)
        flight.leased = False

    def _behind(
        self, request: Request, call: Call, flight: Flight, cached: CachedValue | None
    ) -> Plan[None]:
        try:
            yield from self.compute(request, call, flight, cached)
        except Exception as error:  # noqa: BLE001 - there is nobody to raise it to
            if not flight.observed:
                self.note_background_error(request, error)

    def note_background_error(self, request: Request, error: Exception) -> None:
        """Count and log what nobody waits for."""
        loading, raised = self._loading, original(error)
        loading.counters.add("background_errors")
        message = "Computing %s in the background failed."
        kind = ("background", type(raised))
        loading.journal.warn(kind, message, shown_key(request.key), error=raised)
