"""Several values at once: the factory gets only the keys that nobody has and nobody computes."""

import functools
import inspect
import math
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, cast

import attrs

from jinpy_cache_core.entries.state import CachedValue
from jinpy_cache_core.exceptions import UNREADABLE, CacheReentryError, CacheValueTypeError
from jinpy_cache_core.loading.calls import Call
from jinpy_cache_core.loading.context import FactoryContext
from jinpy_cache_core.loading.events import FactoryFailed
from jinpy_cache_core.loading.flights import Flight
from jinpy_cache_core.loading.leases import (
    Claim,
    Claiming,
    Filling,
    Reason,
    Releasing,
    Standing,
)
from jinpy_cache_core.loading.lookup import Lookup
from jinpy_cache_core.loading.options import Policy
from jinpy_cache_core.loading.requests import Request
from jinpy_cache_core.loading.steps import Breathe, Compute, Plan, original
from jinpy_cache_core.loading.store import LoadingStore, Settling
from jinpy_cache_core.sentinels import MISSING

ManyFactory = Callable[[list[str]], Any]
"""Takes the missing keys and returns a mapping of those that have values, or an awaitable."""

Leads = dict[str, tuple[Flight, Claim]]


SMALL_CHUNK = 200
"""Keys after which the event loop is given away, where a store does not wait."""

LARGE_CHUNK = 1000
"""Keys that a store that has to be waited for is asked about at once."""


class _Many:
    """One call for several keys.

    Args:
        lookup: Of the store.
        factory: Takes the keys to compute.
        policy: For all of them.
        call: What the call may still ask of the store.
        force: Whether values that are there do not count.
    """

    def __init__(
        self, lookup: Lookup, factory: ManyFactory, policy: Policy, call: Call, *, force: bool
    ) -> None:
        self.lookup = lookup
        self.loading = lookup.loading
        self.leader = lookup.leader
        self.factory = factory
        self.policy = policy
        self.call = call
        self.force = force
        self.waiting = self.loading.waiting(policy)
        self.values: dict[str, Any] = {}
        self.unreadable: dict[str, Any] = {}

    def load(self, keys: list[str]) -> Plan[dict[str, Any]]:
        """Claim every key, compute those that the caller leads at once, then wait for the others.

        What others gave up is claimed again; what they left out is left out.
        """
        loading = self.loading
        for key in keys:
            loading.flights.refuse_reentry(key)
        while keys:
            leads: Leads = {}
            follows: dict[str, Claim] = {}
            again: list[str] = []
            newer: list[str] = []
            try:
                claims = yield from self._claim(keys, leads)
                for key, claim in claims.items():
                    self._sort(key, claim, follows, again, newer)
                if leads:
                    yield from self._lead(leads)
            except BaseException as error:
                for flight, _ in leads.values():
                    loading.flights.end(flight)
                    loading.give_back(flight)
                    flight.land(error=original(error))
                raise
            finally:
                for flight, _ in leads.values():
                    loading.flights.end(flight)
                    flight.land()
            for key in newer:
                value = yield loading.unstored(self._request(key))
                self._keep(key, value)
            for key, claim in follows.items():
                request = self._request(key)
                value = yield from self.lookup.follow(request, self.call, claim, self.waiting)
                if value is MISSING:
                    again.append(key)
                else:
                    self._keep(key, value)
            keys = again
        return self.values

    def _sort(
        self,
        key: str,
        claim: Claim,
        follows: dict[str, Claim],
        again: list[str],
        newer: list[str],
    ) -> None:
        """What to do about a key that the caller does not lead."""
        if claim.standing is Standing.FOLLOW:
            follows[key] = claim
        elif claim.cached is not None:
            found = self._found(key, claim.cached)
            if found is None:
                again.append(key)
            elif not found:  # written by a newer release
                newer.append(key)

    def _keep(self, key: str, value: Any) -> None:
        if value is not MISSING:
            self.values[key] = value

    def _request(self, key: str) -> Request:
        return _single(key, self.factory, self.policy, force=self.force)

    def _found(self, key: str, cached: CachedValue) -> bool | None:
        """Whether a value that was found is ours to read; `None` to claim its place again."""
        try:
            value: Any = self.loading.value_of(self._request(key), cached.payload)
        except UNREADABLE as error:
            if self.call.insists or key in self.unreadable:
                raise
            self.loading.unreadable(key, error)
            self.unreadable[key] = cached.payload
            return None
        self._keep(key, value)
        return value is not MISSING

    def _claim(self, keys: list[str], leads: Leads) -> Plan[dict[str, Claim]]:
        """The claims that others won or that found something; `leads` gets those of the caller."""
        loading = self.loading
        flights: dict[str, Flight] = {}
        claims: dict[str, Claim] = {}
        try:
            for chunk in _chunks(keys, loading.store):
                mine = {key: loading.flights.begin(key) for key in chunk}
                flights.update(mine)
                claims.update((yield from self._claim_chunk(mine)))
                yield Breathe()
        except BaseException:
            for flight in flights.values():
                loading.flights.end(flight)
                loading.give_back(flight)
            raise
        others: dict[str, Claim] = {}
        for key, claim in claims.items():
            flight = flights[key]
            if claim.standing is Standing.LEAD:
                loading.flights.lead(flight, claim.token)
                leads[key] = flight, claim
            else:
                flight.leased = False
                loading.flights.end(flight)
                others[key] = claim
        return others

    def _claim_chunk(self, flights: dict[str, Flight]) -> Plan[dict[str, Claim]]:
        """Ask for some of the keys; a store that does not answer leaves the caller alone."""
        loading, call = self.loading, self.call
        reason = Reason.FORCE if self.force else Reason.MISS
        age = self.waiting.takeover_age
        claimings = {
            key: Claiming(flight.token, age, reason, None, self.unreadable.get(key))
            for key, flight in flights.items()
        }
        for flight in flights.values():
            flight.leased = not call.degraded
        claims: dict[str, Claim] | None = yield from loading.ask(
            call, "claim_many", claimings, key=next(iter(flights)), instead=None
        )
        if claims is None:
            claims = {key: Claim(Standing.LEAD, flight.token) for key, flight in flights.items()}
            for flight in flights.values():
                loading.give_back(flight)
        return claims

    def _lead(self, leads: Leads) -> Plan[None]:
        loading = self.loading
        contexts = {key: FactoryContext(key, self.policy.seconds, lambda: MISSING) for key in leads}
        start, began = loading.now(), loading.timer()
        parts = tuple((loading.flights, leads[key][0], contexts[key]) for key in leads)
        try:
            computed = yield Compute(functools.partial(self.factory, list(leads)), parts)
        except Exception as error:
            if not (yield from self._failed(leads, error)):
                raise
            return
        found = _checked(computed)
        cost = max(0.0, loading.timer() - began) / len(leads)
        yield from self._store(leads, contexts, found, (start, cost))

    def _store(
        self,
        leads: Leads,
        contexts: dict[str, FactoryContext],
        found: Mapping[str, Any],
        measured: tuple[float, float],
    ) -> Plan[None]:
        """Hand the values to everyone, and store those that are wanted, all at once."""
        settlings: dict[str, Settling] = {}
        for number, (key, (flight, claim)) in enumerate(leads.items(), 1):
            if not number % SMALL_CHUNK:
                yield Breathe()
            if key not in found:
                settlings[key] = Releasing(flight.token)
                continue
            value = self.values[key] = found[key]
            request, context = self._request(key), contexts[key]
            payload = yield from self.leader.form(
                request, self.call, flight, context, claim.cached, value
            )
            if payload is not MISSING and self.leader.keeps(self.policy, context, value):
                settlings[key] = self.leader.filling(
                    self.policy, flight, context, payload, measured
                )
            else:
                settlings[key] = Releasing(flight.token)
            flight.land(payload, value=value if payload is MISSING else MISSING)
        done = yield from self._settle(leads, settlings)
        for key, settling in settlings.items():
            flight = leads[key][0]
            if isinstance(settling, Filling):
                self.leader.note_stored(flight, measured[1], done.get(key))
            elif key not in done:
                self.loading.give_back(flight)
            flight.leased = False

    def _settle(self, leads: Leads, settlings: dict[str, Settling]) -> Plan[dict[str, bool]]:
        leased = [key for key in settlings if leads[key][0].leased]
        done: dict[str, bool] = {}
        for chunk in _chunks(leased, self.loading.store):
            ending = {key: settlings[key] for key in chunk}
            done.update(
                (
                    yield from self.loading.ask(
                        self.call, "settle_many", ending, key=chunk[0], instead={}
                    )
                )
            )
            yield Breathe()
        return done

    def _failed(self, leads: Leads, error: Exception) -> Plan[bool]:
        """Serve stale values, if every key has one that may be; whether that is so."""
        loading, raised = self.loading, original(error)
        loading.counters.add("errors")
        first = next(iter(leads))
        loading.events.tell(FactoryFailed, key=first, error=raised, background=False)
        served: dict[str, Any] = {}
        if not isinstance(error, CacheReentryError):
            for key, (_, claim) in leads.items():
                request = self._request(key)
                stale = loading.stand_in(request, claim.cached)
                value = MISSING if stale is None else loading.served(request, stale, "failed")
                if value is MISSING:
                    served = {}
                    break
                served[key] = value
        if served:
            self.values.update(served)
        backoff = self.policy.grace_backoff if served else 0.0
        settlings: dict[str, Settling] = {
            key: Releasing(flight.token, backoff) for key, (flight, _) in leads.items()
        }
        if loading.store._gives_back_at_once:
            yield from self._give_back(leads, settlings)
        for flight, claim in leads.values():
            loading.flights.end(flight)
            if served and claim.cached is not None:
                flight.land(claim.cached.payload)
            else:
                flight.land(error=raised)
        yield from self._give_back(leads, settlings)
        return bool(served)

    def _give_back(self, leads: Leads, settlings: dict[str, Settling]) -> Plan[None]:
        """Give the leads back while the store answers; its error is nobody's."""
        call, self.call = self.call, Call(Policy(), self.call.left, degraded=self.call.degraded)
        done = yield from self._settle(leads, settlings)
        call.degraded, self.call = self.call.degraded, call
        for key, (flight, _) in leads.items():
            if key not in done:
                self.loading.give_back(flight)
            flight.leased = False


def _chunks(keys: list[str], store: LoadingStore) -> Iterator[list[str]]:
    size = SMALL_CHUNK if store._gives_back_at_once else LARGE_CHUNK
    return (keys[at : at + size] for at in range(0, len(keys), size))


def load_many(
    lookup: Lookup,
    keys: list[str],
    factory: ManyFactory,
    policy: Policy,
    *,
    force: bool,
    call: Call | None = None,
) -> Plan[dict[str, Any]]:
    """Claim every key, compute those that the caller leads at once, then wait for the others.

    Nobody waits while they lead, so callers with overlapping keys cannot block each other.

    Args:
        lookup: Of the store.
        keys: Those that were not found.
        factory: Takes the keys to compute.
        policy: For all of them; timeouts and early renewal are for single keys.
        force: Whether values that are there do not count.
        call: The call whose first look failed, if it did.

    Returns:
        The values by key; what the factory left out is left out.
    """
    if call is None:
        call = lookup.loading.call(policy)
    policy = attrs.evolve(policy, soft_timeout=math.inf, hard_timeout=math.inf)
    return _Many(lookup, factory, policy, call, force=force).load(keys)


def _single(key: str, factory: ManyFactory, policy: Policy, *, force: bool) -> Request:
    """The request of one of many keys, for when its leader has given up."""

    def compute(context: FactoryContext) -> Any:
        found = factory([key])
        if inspect.isawaitable(found):
            return _awaited(cast("Awaitable[object]", found), context)
        return _picked(found, context)

    return Request(key, compute, policy, force=force)


async def _awaited(found: Awaitable[object], context: FactoryContext) -> Any:
    return _picked(await found, context)


def _picked(found: object, context: FactoryContext) -> Any:
    values = _checked(found)
    if context.key in values:
        return values[context.key]
    context.skip()
    return MISSING


def _checked(found: object) -> Mapping[str, Any]:
    if isinstance(found, Mapping):
        return cast("Mapping[str, Any]", found)
    message = (
        "The factory of get_or_set_many takes a list of keys and returns a mapping of key to value,"
        f" not {type(found).__name__}."
    )
    raise CacheValueTypeError(message)
