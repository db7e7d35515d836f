"""Several values at once: the factory gets only the keys that nobody has and nobody computes."""

import functools
import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

from jinpy_cache_core.exceptions import CacheReentryError, CacheValueTypeError
from jinpy_cache_core.loading.context import FactoryContext
from jinpy_cache_core.loading.events import FactoryFailed
from jinpy_cache_core.loading.flights import Flight
from jinpy_cache_core.loading.leases import Claim, Reason, Standing
from jinpy_cache_core.loading.lookup import Lookup
from jinpy_cache_core.loading.options import Policy
from jinpy_cache_core.loading.requests import Request
from jinpy_cache_core.loading.steps import Compute, Plan
from jinpy_cache_core.sentinels import MISSING

ManyFactory = Callable[[list[str]], Any]
"""Takes the missing keys and returns a mapping of those that have values, or an awaitable."""

Leads = dict[str, tuple[Flight, Claim]]


def load_many(
    lookup: Lookup, keys: list[str], factory: ManyFactory, policy: Policy, *, force: bool
) -> Plan[dict[str, Any]]:
    """Claim every key, compute those that the caller leads at once, then wait for the others.

    Nobody waits while they lead, so callers with overlapping keys cannot block each other.

    Args:
        lookup: Of the store.
        keys: Those that were not found.
        factory: Takes the keys to compute.
        policy: For all of them; timeouts and early renewal are for single keys.
        force: Whether values that are there do not count.

    Returns:
        The values by key; what the factory left out is left out.
    """
    values: dict[str, Any] = {}
    leads: Leads = {}
    others: list[str] = []
    requests = {key: _single(key, factory, policy, force=force) for key in keys}
    try:
        for key, request in requests.items():
            lookup.loading.flights.refuse_reentry(key)
            reason = Reason.FORCE if force else Reason.MISS
            flight, claim = yield from lookup.claim(request, reason, lookup.loading.waiting(policy))
            if claim.standing is Standing.LEAD:
                leads[key] = flight, claim
            else:
                others.append(key)
        if leads:
            values.update((yield from _lead(lookup, requests, leads, factory)))
    except GeneratorExit:
        raise
    except BaseException as error:
        for flight, _ in leads.values():
            if not flight.landed:
                yield from lookup.leader.give_up(flight)
                flight.land(error=error)
        raise
    finally:
        for flight, _ in leads.values():
            lookup.loading.flights.end(flight)
            flight.land()
    for key in others:
        value = yield from lookup.load(requests[key])
        if value is not MISSING:
            values[key] = value
    return values


def _lead(
    lookup: Lookup, requests: dict[str, Request], leads: Leads, factory: ManyFactory
) -> Plan[dict[str, Any]]:
    contexts = {
        key: FactoryContext(key, requests[key].policy.seconds, lambda: MISSING) for key in leads
    }
    start, began = lookup.loading.now(), lookup.loading.timer()
    parts = tuple((lookup.loading.flights, leads[key][0], contexts[key]) for key in leads)
    try:
        computed = yield Compute(functools.partial(factory, list(leads)), parts)
    except Exception as error:
        stale = yield from _failed(lookup, requests, leads, error)
        if stale is None:
            raise
        return stale
    found = _checked(computed)
    cost = max(0.0, lookup.loading.timer() - began) / len(leads)
    values: dict[str, Any] = {}
    for key, (flight, claim) in leads.items():
        if key not in found:
            yield from lookup.leader.give_up(flight)
            flight.land()
            continue
        values[key] = found[key]
        payload = yield from lookup.leader.store(
            requests[key], flight, contexts[key], claim.cached, found[key], (start, cost)
        )
        flight.land(payload)
    return values


def _failed(
    lookup: Lookup, requests: dict[str, Request], leads: Leads, error: Exception
) -> Plan[dict[str, Any] | None]:
    """Serve stale values, if every key has one that may be."""
    lookup.loading.counters.add("errors")
    lookup.loading.events.tell(FactoryFailed, key=next(iter(leads)), error=error, background=False)
    if isinstance(error, CacheReentryError):
        return None
    stale = {
        key: lookup.loading.stand_in(requests[key], claim.cached)
        for key, (_, claim) in leads.items()
    }
    if any(cached is None for cached in stale.values()):
        return None
    values: dict[str, Any] = {}
    for key, cached in stale.items():
        if cached is not None:
            flight = leads[key][0]
            values[key] = yield from lookup.leader.serve_for_a_while(requests[key], flight, cached)
    return values


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
