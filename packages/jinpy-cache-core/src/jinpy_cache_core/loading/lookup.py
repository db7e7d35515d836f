"""How a value is looked up, computed by one, waited for by the others, and stored: in order.

The order for a caller that found nothing fresh:

1. A flight is registered in this process under a new token, before the store hears of that token,
   so that whoever of this process follows that token finds the flight.
2. The place of the key is claimed, atomically: a fresh value is there after all; or the caller
   leads; or it follows a token. After an invalidation the place holds another token or none, so
   nobody joins a computation that began before it.
   Callers of one process ask together as long as the question has not been sent (see `desk`).
3. A leader computes, lands its flight for all who wait, and stores (which is refused if its token
   no longer stands). If it fails, those who wait get its error; if it is cancelled, its lease goes
   back in the background and one of those who wait leads next.
4. A follower of this process waits for the flight and decodes a copy of its own. For a leader in
   another process one follower looks at the place now and then, for all. They wait no longer than
   `lock_timeout`, then take the lead over; once they have waited twice that, they compute whoever
   leads. Both timeouts bind followers as they bind the leader.

A store that fails is asked no more in that call: the caller then computes, alone.
"""

import functools
import math
import time
from collections.abc import Callable
from typing import Any

import attrs

from jinpy_cache_core.entries.state import EMPTY, CachedValue, EntryState
from jinpy_cache_core.exceptions import UNREADABLE, CacheException, CacheReentryError
from jinpy_cache_core.loading.base import Loading
from jinpy_cache_core.loading.calls import Call
from jinpy_cache_core.loading.desk import Errand
from jinpy_cache_core.loading.flights import Flight
from jinpy_cache_core.loading.freshness import is_due
from jinpy_cache_core.loading.leader import Leader
from jinpy_cache_core.loading.leases import Claim, Claiming, Reason, Standing
from jinpy_cache_core.loading.requests import Request
from jinpy_cache_core.loading.steps import Breathe, Pause, Plan, Spawn, Wait, carried
from jinpy_cache_core.loading.waiting import Waiting, pauses
from jinpy_cache_core.sentinels import MISSING

RENEWAL_LIFETIME = 30.0
"""Seconds after which a renewal is forgotten of which nobody told the end, as an interrupt came
before its start. One that takes longer holds a lease, which keeps others from beginning."""

MOST_BACKING_OFF = 1024
"""How many keys are remembered whose renewal failed; beyond that they may be tried at once."""


class Lookup:
    """The plans for one store; each is run by a driver.

    Args:
        loading: The store, and what all plans for it share.
    """

    def __init__(self, loading: Loading) -> None:
        self.loading = loading
        self.leader = Leader(loading)
        self._renewing: dict[str, float] = {}

    def of(self, request: Request, call: Call | None = None) -> Plan[Any]:
        """The plan for a request; with `plain_hits` the caller has looked the value up already.

        Args:
            request: What is wanted.
            call: The call whose first look failed, if it did.
        """
        known_missing = request.policy.plain_hits or request.force
        if call is None:
            call = self.loading.call(request.policy)
        return self.load(request, call) if known_missing else self.lookup(request, call)

    def lookup(self, request: Request, call: Call) -> Plan[Any]:
        """A fresh value, renewed in the background if it is due; else as `load`."""
        state: EntryState = yield from self.loading.ask(
            call, "peek", request.key, key=request.key, instead=EMPTY
        )
        now = self.loading.now()
        cached = state.fresh(now)
        value = MISSING if cached is None else self.loading.value(request, cached)
        if value is MISSING or cached is None:
            return (yield from self.load(request, call))
        due = state.lease is None and is_due(cached, now, request.policy, self.loading.chance)
        if due and now >= self._renewing.get(request.key, -math.inf):
            mark = self._renewing[request.key] = now + RENEWAL_LIFETIME
            ended = functools.partial(self._renewed, request.key, mark)
            if not (yield Spawn(self._renew(request, cached, ended), ended)):
                ended()
        return value

    def load(self, request: Request, call: Call) -> Plan[Any]:
        """Find, compute or wait for a value."""
        self.loading.flights.refuse_reentry(request.key)
        waiting = self.loading.waiting(request.policy)
        reason = Reason.FORCE if request.force else Reason.MISS
        unreadable: Any = None
        while True:
            failed = self.loading.failures.recent(request.key)
            if failed is not None and not request.force:
                raise carried(failed)
            together = None
            if call.degraded and not request.force:
                together = self.loading.flights.find_alone(request.key, call.began)
            if together is not None:
                flight, claim = together, Claim(Standing.FOLLOW, together.token)
            else:
                flight, claim = yield from self.claim(
                    request, call, reason, waiting, unreadable=unreadable
                )
            if claim.standing is Standing.LEAD:
                return (yield from self.leader.lead(request, call, flight, claim.cached))
            if claim.standing is Standing.FOUND and claim.cached is not None:
                try:
                    value = self.loading.value_of(request, claim.cached.payload)
                except UNREADABLE as error:
                    if call.insists or unreadable is not None:
                        raise
                    self.loading.unreadable(request.key, error)
                    unreadable = claim.cached.payload
                    continue
                if value is MISSING:  # written by a newer release: to be left in place
                    return (yield self.loading.unstored(request))
            else:
                value = yield from self.follow(request, call, claim, waiting, flight)
            if value is not MISSING:
                return value

    def claim(
        self,
        request: Request,
        call: Call,
        reason: Reason,
        waiting: Waiting,
        *,
        renewing: CachedValue | None = None,
        unreadable: Any = None,
    ) -> Plan[tuple[Flight, Claim]]:
        """Claim the place of the key, together with others.

        Returns:
            The flight of who leads, if it is one of this process, and what the claim came to.
        """
        alone = (
            reason is not Reason.MISS
            or unreadable is not None
            or waiting.waited
            or call.degraded
            or self.loading.store._gives_back_at_once
        )
        if not alone:
            desk = self.loading.desk
            errand = own = Errand(request.key)
            try:
                errand = desk.join(own)
                if errand is own:
                    return (yield from self._send(request, call, waiting, own))
            finally:
                if errand is own:  # also if an exception came while it was put on the desk
                    desk.done(own)
            return (yield from self._join(request, call, waiting, errand))
        claiming = Claiming(b"", waiting.takeover_age, reason, renewing, unreadable)
        return (yield from self._claim(request, call, claiming))

    def _send(
        self, request: Request, call: Call, waiting: Waiting, errand: Errand
    ) -> Plan[tuple[Flight, Claim]]:
        """Claim for everyone who joins before the claim is sent."""
        try:
            if errand.after is None:
                yield Breathe()  # whoever is about to ask as well joins
            else:
                yield from self._wait_for(call, waiting, errand.after)
            self.loading.desk.sending(errand)
            claiming = Claiming(b"", waiting.takeover_age, Reason.MISS)
            flight, claim = yield from self._claim(request, call, claiming)
            if call.degraded:
                errand.failed = True
                errand.answer = Claim(Standing.FOLLOW, flight.token)
            elif claim.standing is Standing.LEAD:
                errand.answer = Claim(Standing.FOLLOW, claim.token, claim.cached)
            else:
                errand.answer = claim
            errand.flight = self.loading.flights.find(claim.token) or flight
        except CacheException:
            errand.failed = True
            raise
        return flight, claim

    def _join(
        self, request: Request, call: Call, waiting: Waiting, errand: Errand
    ) -> Plan[tuple[Flight, Claim]]:
        """Take part in somebody else's claim."""
        landed = yield from self._wait_for(call, waiting, errand)
        if landed and errand.failed and call.insists:
            return (yield from self._claim(request, call, Claiming(b"", waiting.takeover_age)))
        if landed and errand.answer is not MISSING:
            return errand.flight or Flight(request.key), errand.answer
        if landed and not call.degraded:  # whoever was to send it is gone
            return (yield from self.claim(request, call, Reason.MISS, waiting))
        claiming = Claiming(b"", waiting.takeover_age, Reason.MISS)
        return (yield from self._claim(request, call, claiming))

    def _wait_for(self, call: Call, waiting: Waiting, errand: Errand) -> Plan[bool]:
        """Wait for somebody else's question; whether it is over. If it failed, so did ours.

        One that is not over in the time that a caller waits for others is taken from the desk:
        who was to send it may be gone, without having been able to say so.
        """
        began = time.monotonic()
        patience = max(0.0, waiting.left())
        landed: bool | None = yield Wait(errand, min(call.left, patience))
        call.left = max(0.0, call.left - (time.monotonic() - began))
        if landed is False and call.left > 0:
            self.loading.desk.done(errand)
        elif landed is False or errand.failed:
            call.degraded = not call.insists
            self.loading.counters.add("degraded")
        return bool(landed)

    def _claim(
        self, request: Request, call: Call, claiming: Claiming
    ) -> Plan[tuple[Flight, Claim]]:
        flight = self.loading.flights.begin(request.key)
        claiming = attrs.evolve(claiming, token=flight.token)
        alone = Claim(Standing.LEAD, flight.token)
        flight.leased = not call.degraded
        try:
            claim: Claim = yield from self.loading.ask(
                call, "claim", request.key, claiming, key=request.key, instead=alone
            )
        except BaseException:
            self.loading.flights.end(flight)
            self.loading.give_back(flight)  # whether it was got is unknown
            raise
        if claim is alone:
            self.loading.give_back(flight)
            self.loading.flights.lead_alone(flight)
        elif claim.standing is Standing.LEAD:
            self.loading.flights.lead(flight, claim.token)
        else:
            flight.leased = False
            self.loading.flights.end(flight)
        return flight, claim

    def _renew(
        self, request: Request, cached: CachedValue, ended: Callable[[], None]
    ) -> Plan[None]:
        """Compute a fresh value anew, unless somebody else is at it or has done so."""
        try:
            call = self.loading.call(request.policy)
            waiting = self.loading.waiting(request.policy)
            flight, claim = yield from self.claim(
                request, call, Reason.REFRESH, waiting, renewing=cached
            )
            if call.degraded:  # nobody needs the value now, and it could not be stored
                self.loading.flights.end(flight)
                flight.land()
            elif claim.standing is Standing.LEAD:
                flight.observed = False
                yield from self.leader.compute(request, call, flight, claim.cached)
        except Exception as error:  # noqa: BLE001 - there is nobody to raise it to
            self.leader.note_background_error(request, error)
            again = self.loading.now() + request.policy.grace_backoff
            if len(self._renewing) >= MOST_BACKING_OFF:
                self._renewing.clear()
            self._renewing[request.key] = again
        finally:
            ended()

    def _renewed(self, key: str, mark: float) -> None:
        if self._renewing.get(key) == mark:  # else it failed, and is left alone for a while
            self._renewing.pop(key, None)

    def follow(
        self,
        request: Request,
        call: Call,
        claim: Claim,
        waiting: Waiting,
        led: Flight | None = None,
    ) -> Plan[Any]:
        """Wait for the leader; `MISSING` to claim again.

        Args:
            request: What is wanted.
            call: Who wants it.
            claim: What the claim came to.
            waiting: How long the caller waits.
            led: The leader's flight, if it has the claim's token; it may have landed since.
        """
        loading, policy = self.loading, request.policy
        stale = loading.stand_in(request, claim.cached)
        limit = policy.limit(stale=stale is not None)
        bound, left = limit - call.waited, waiting.left()
        patience = max(0.0, min(bound, left))
        began = loading.timer()
        flight = led
        if flight is None or flight.token != claim.token:
            flight = loading.flights.find(claim.token)
        if flight is not None:
            landed: bool | None = yield Wait(flight, patience)
            if landed:
                return (yield from self._landed(request, flight, stale))
        else:
            landed = yield from self._wait_for_others(request, call, claim, patience)
        call.waited += max(0.0, loading.timer() - began)
        if landed:
            return MISSING
        if landed is None:
            waiting.give_up()
        elif bound <= left:
            if stale is None or policy.soft_timeout > limit:
                return self.leader.timed_out(request, stale, limit)
            value = loading.served(request, stale, "waiting")
            if value is not MISSING:
                return value
        waiting.next_wait()
        return MISSING

    def _wait_for_others(
        self, request: Request, call: Call, claim: Claim, patience: float
    ) -> Plan[bool | None]:
        """Wait for a leader of another process, one follower of this one looking for all.

        Whether something has changed; `None` if waiting would block it.
        """
        desk = self.loading.desk
        watch = own = Errand(request.key)
        try:
            watch = desk.watch(claim.token, own)
            if watch is own:
                return (yield from self._watch(request, call, claim, patience))
        finally:
            if watch is own:
                desk.watched(claim.token, own)
        landed: bool | None = yield Wait(watch, patience)
        if landed is False:
            desk.watched(claim.token, watch)
        return landed

    def _landed(self, request: Request, flight: Flight, stale: CachedValue | None) -> Plan[Any]:
        """What a follower makes of a computation that is over; `MISSING` to claim again."""
        if flight.payload is not MISSING:
            return self.loading.value_of(request, flight.payload)
        if flight.value is not MISSING:  # nobody can store it, so nobody needs to wait in turn
            return (yield self.loading.unstored(request))
        error = flight.error
        if not isinstance(error, Exception) or isinstance(error, CacheReentryError):
            return MISSING
        if not request.policy.share_errors:
            return MISSING
        if stale is not None:
            value = self.loading.served(request, stale, "failed")
            if value is not MISSING:
                return value
        raise carried(error.with_traceback(flight.trace))

    def _watch(self, request: Request, call: Call, claim: Claim, patience: float) -> Plan[bool]:
        """Look at the place until something has changed (True) or the time is over (False)."""
        budget, until = call.left, self.loading.timer() + patience
        for pause in pauses(self.loading.chance):
            call.left = budget  # following bounds itself; the store may be slow each time anew
            state: EntryState = yield from self.loading.ask(
                call, "peek", request.key, key=request.key, instead=EMPTY
            )
            if state.lease is None or state.lease.token != claim.token:
                return True
            left = until - self.loading.timer()
            if left <= 0:
                return False
            if self.loading.flights.find(claim.token) is not None:
                return True
            yield Pause(min(pause, left))
        raise AssertionError  # pragma: no cover - pauses never end
