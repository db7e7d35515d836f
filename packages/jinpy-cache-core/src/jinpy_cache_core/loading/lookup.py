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

from jinpy_cache_core.loading.flights import Flight
from jinpy_cache_core.loading.freshness import is_due
from jinpy_cache_core.loading.leader import LeadingPlans
from jinpy_cache_core.loading.leases import Claim, Claiming, Reason, Standing
from jinpy_cache_core.loading.waiting import Patience, pauses
from jinpy_cache_core.loading.requests import Request
from jinpy_cache_core.loading.steps import Pause, Plan, Spawn, Wait
from jinpy_cache_core.sentinels import MISSING
from jinpy_cache_core.entries.slots import Held, Slot

MOST_BACKING_OFF = 1024
"""How many keys are remembered whose renewal failed; beyond that they may be tried at once."""


class Plans(LeadingPlans):
    """The plans for one backend; each is run by a driver."""

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
