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

import functools
import math
from typing import Any

from jinpy_cache_core.entries.state import CachedValue, EntryState
from jinpy_cache_core.loading.base import Loading
from jinpy_cache_core.loading.flights import Flight
from jinpy_cache_core.loading.freshness import is_due
from jinpy_cache_core.loading.leader import Leader
from jinpy_cache_core.loading.leases import Claim, Claiming, Reason, Standing
from jinpy_cache_core.loading.requests import Request
from jinpy_cache_core.loading.steps import Pause, Plan, Spawn, Wait
from jinpy_cache_core.loading.waiting import Waiting, pauses
from jinpy_cache_core.sentinels import MISSING

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

    def of(self, request: Request) -> Plan[Any]:
        """The plan for a request; with `plain_hits` the caller has looked the value up already."""
        known_missing = request.policy.plain_hits or request.force
        return self.load(request) if known_missing else self.lookup(request)

    def lookup(self, request: Request) -> Plan[Any]:
        """A fresh value, renewed in the background if it is due; else as `load`."""
        state: EntryState = yield self.loading.ask("peek", request.key)
        now = self.loading.now()
        cached = state.fresh(now)
        value = MISSING if cached is None else self.loading.value(request, cached)
        if value is MISSING or cached is None:
            return (yield from self.load(request))
        due = state.lease is None and is_due(cached, now, request.policy, self.loading.chance)
        if due and now >= self._renewing.get(request.key, -math.inf):
            self._renewing[request.key] = math.inf
            ended = functools.partial(self._renewed, request.key)
            if not (yield Spawn(self._renew(request, cached), ended)):
                ended()
        return value

    def load(self, request: Request) -> Plan[Any]:
        """Find, compute or wait for a value."""
        self.loading.flights.refuse_reentry(request.key)
        waiting = self.loading.waiting(request.policy)
        reason = Reason.FORCE if request.force else Reason.MISS
        while True:
            flight, claim = yield from self.claim(request, reason, waiting)
            if claim.standing is Standing.LEAD:
                return (yield from self.leader.lead(request, flight, claim.cached))
            if claim.standing is Standing.FOUND and claim.cached is not None:
                value = self.loading.value(request, claim.cached)
            else:
                value = yield from self._follow(request, claim, waiting)
            if value is not MISSING:
                return value
            if claim.standing is Standing.FOUND:  # written by a newer release: to be left in place
                return (yield self.loading.unstored(request))

    def claim(
        self, request: Request, reason: Reason, waiting: Waiting, renewing: float | None = None
    ) -> Plan[tuple[Flight, Claim]]:
        """Claim the place of the key; the flight is registered only for who leads."""
        flight = self.loading.flights.begin(request.key)
        claiming = Claiming(flight.token, waiting.takeover_age, reason, renewing)
        try:
            claim: Claim = yield self.loading.ask("claim", request.key, claiming)
        except BaseException:
            self.loading.flights.end(flight)
            raise
        if claim.standing is Standing.LEAD:
            self.loading.flights.lead(flight, claim.token)
        else:
            self.loading.flights.end(flight)
        return flight, claim

    def _renew(self, request: Request, cached: CachedValue) -> Plan[None]:
        """Compute a fresh value anew, unless somebody else is at it or has done so."""
        try:
            waiting = self.loading.waiting(request.policy)
            flight, claim = yield from self.claim(request, Reason.REFRESH, waiting, cached.start)
            if claim.standing is Standing.LEAD:
                flight.observed = False
                yield from self.leader.compute(request, flight, claim.cached)
        except Exception as error:  # noqa: BLE001 - there is nobody to raise it to
            self.leader.note_background_error(request, error)
            again = self.loading.now() + request.policy.grace_backoff
            if len(self._renewing) >= MOST_BACKING_OFF:
                self._renewing.clear()
            self._renewing[request.key] = again
        finally:
            self._renewed(request.key)

    def _renewed(self, key: str) -> None:
        if self._renewing.get(key) == math.inf:
            self._renewing.pop(key, None)

    def _follow(self, request: Request, claim: Claim, waiting: Waiting) -> Plan[Any]:
        """Wait for the leader; `MISSING` to claim again."""
        stale = self.loading.stand_in(request, claim.cached)
        soft = math.inf if stale is None else request.policy.soft_timeout
        limit = min(soft, waiting.left())
        flight = self.loading.flights.find(claim.token)
        if flight is not None:
            landed = yield Wait(flight, limit)
            if landed:
                given_up = flight.payload is MISSING
                return MISSING if given_up else self.loading.value_of(request, flight.payload)
            if landed is None:
                waiting.give_up()
        elif not (yield from self._watch(request, claim, self.loading.timer() + limit)):
            return MISSING
        if stale is not None and limit == soft:
            return self.loading.served(request, stale, "waiting")
        waiting.next_wait()
        return MISSING

    def _watch(self, request: Request, claim: Claim, until: float) -> Plan[bool]:
        """Look at the place until something has changed (False) or the time is over (True)."""
        for pause in pauses(self.loading.chance):
            state: EntryState = yield self.loading.ask("peek", request.key)
            if state.lease is None or state.lease.token != claim.token:
                return False
            left = until - self.loading.timer()
            if left <= 0:
                return True
            if self.loading.flights.find(claim.token) is not None:
                return False
            yield Pause(min(pause, left))
        raise AssertionError  # pragma: no cover - pauses never end
