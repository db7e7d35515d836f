"""What is in the place of a key: a value, the lease of whoever is computing one, both, or nothing.

A value without grace and without a need to be renewed early is stored as the codec wrote it, so
that most reads never come here. Two layers may stand around it, each an envelope:

    lease( since, token, freshness( soft expiry, grace, start, cost, the codec's payload ) )

Either may be missing, and a lease may have nothing inside: then nobody has a value yet, and every
operation but those of this layer sees an absent key. Since the lease is in the place of the key,
whatever overwrites or removes the entry revokes it at no cost, on every store. And since each layer
holds the next one verbatim, what a codec has signed stays as it was signed.
"""

from typing import Any, Final

import attrs

from jinpy_cache_core.entries.envelope import Envelope
from jinpy_cache_core.entries.records import Record
from jinpy_cache_core.entries.ttl import NEVER, is_expired
from jinpy_cache_core.exceptions import CacheSerializationError

LEASE_LIFETIME: Final = 3600.0
"""Seconds after which a value that was computed under a lease is not stored any more."""

CLOCK_TOLERANCE: Final = 0.05
"""Seconds that two clocks may be apart before that is corrected, where a store tells."""

_FRESHNESS_FLAGS: Final = 0b1100_0011
_LEASE_FLAG: Final = 0b1


@attrs.frozen
class CachedValue:
    """A value in its place.

    Attributes:
        payload: What the codec wrote; in a backend that holds objects, its stored form.
        soft_deadline: When the value becomes stale, on the backend's clock; `math.inf` for never.
        grace: Seconds past that for which it may be served as a stale one.
        start: When computing it began, if it was computed by this layer with a reason to note it.
        cost: Seconds that computing it took.
    """

    payload: Any = attrs.field(repr=False)
    soft_deadline: float = NEVER
    grace: float = 0.0
    start: float | None = None
    cost: float | None = None

    @property
    def deadline(self) -> float:
        """When the value is gone for good."""
        return self.soft_deadline + self.grace

    @property
    def plain(self) -> bool:
        """Whether there is nothing to note but the value and one deadline."""
        return self.grace == 0 and self.cost is None

    def fresh(self, now: float) -> bool:
        """Whether it may be served without a reason."""
        return not is_expired(self.soft_deadline, now)

    def alive(self, now: float) -> bool:
        """Whether it may be served at all."""
        return not is_expired(self.deadline, now)

    def moved(self, soft_deadline: float) -> "CachedValue":
        """The same value, stale from another time on, with its grace."""
        return attrs.evolve(self, soft_deadline=soft_deadline)

    def stretched(self, soft_deadline: float) -> "CachedValue":
        """The same value, fresh until another time, but not longer than it would have lived."""
        until = min(soft_deadline, self.deadline)
        return attrs.evolve(self, soft_deadline=until, grace=self.deadline - until)


@attrs.frozen
class Lease:
    """Somebody is computing the value.

    Attributes:
        token: 16 random bytes, drawn when the place had no lease: the generation of the value.
        since: When the present leader took the lead, on the backend's clock.
    """

    token: bytes
    since: float


@attrs.frozen
class EntryState:
    """What is in the place of a key.

    Attributes:
        cached: The value, fresh or stale.
        lease: The lease of whoever is computing the next one.
    """

    cached: CachedValue | None = None
    lease: Lease | None = None

    @property
    def deadline(self) -> float:
        """When nothing of it means anything any more."""
        ends = [] if self.lease is None else [self.lease.since + LEASE_LIFETIME]
        return max(ends if self.cached is None else [*ends, self.cached.deadline])

    def at(self, now: float) -> "EntryState":
        """The same without a value that is gone for good, and without a lease that nobody has.

        No clock is wrong by `LEASE_LIFETIME`: a lease from further ahead is forged, or the clock
        was set back, and its time would be in the way of every write that keeps it.
        """
        cached, lease = self.cached, self.lease
        if cached is not None and not cached.alive(now):
            cached = None
        if lease is not None and not lease.since - now <= LEASE_LIFETIME:
            lease = None
        unchanged = cached is self.cached and lease is self.lease
        return self if unchanged else EntryState(cached, lease)

    def fresh(self, now: float) -> CachedValue | None:
        """The value, if it is fresh."""
        return self.cached if self.cached is not None and self.cached.fresh(now) else None

    def touched(self, now: float, seconds: float) -> "EntryState | None":
        """The same with a new lifetime for a fresh value, none for 0 seconds; `None` without."""
        cached = self.fresh(now)
        if cached is None:
            return None
        return EntryState(cached.moved(now + seconds), self.lease) if seconds else EMPTY

    def record(self) -> Record | None:
        """What to store, `None` for nothing."""
        cached, lease = self.cached, self.lease
        if cached is None:
            if lease is None:
                return None
            return Record(_leased(lease, b""), self.deadline)
        if lease is None:
            return Record(cached.payload if cached.plain else _freshness(cached), cached.deadline)
        # An empty payload would be taken for none, and a deadline would be that of the lease.
        bare = cached.plain and cached.deadline == NEVER and cached.payload
        body = cached.payload if bare else _freshness(cached)
        return Record(_leased(lease, body), self.deadline)


EMPTY: Final = EntryState()
"""Nothing there."""


def is_layered(payload: bytes) -> bool:
    """Whether a payload is more than what the codec wrote."""
    return (
        len(payload) >= 4
        and payload[0] == 0xC1
        and bool(payload[3] & _FRESHNESS_FLAGS or payload[2] & _LEASE_FLAG)
    )


def state_of(record: Record | None, now: float) -> EntryState:
    """What a stored record means at this time; what cannot be understood is left to the codec."""
    if record is None or is_expired(record.deadline, now):
        return EMPTY
    payload = record.payload
    if not is_layered(payload):
        return EntryState(CachedValue(payload, record.deadline))
    try:
        lease, payload = _without_lease(payload)
        cached = (
            _cached_value(payload, record.deadline if lease is None else NEVER) if payload else None
        )
    except CacheSerializationError:
        return EntryState(CachedValue(record.payload, record.deadline))
    return _by_the_stores_clock(EntryState(cached, lease), record.deadline).at(now)


def _by_the_stores_clock(state: EntryState, deadline: float) -> EntryState:
    """A state whose times are told by the store that keeps it, not by the host that wrote it.

    What a host writes ends when the state does, by that host's clock. A store with a clock of its
    own says when that is by ours; what lies between is how far the two hosts' clocks are apart.
    """
    if state == EMPTY or NEVER in (deadline, state.deadline):
        return state
    apart = deadline - state.deadline
    if abs(apart) <= CLOCK_TOLERANCE:
        return state
    cached, lease = state.cached, state.lease
    if cached is not None and cached.soft_deadline != NEVER:
        start = None if cached.start is None else cached.start + apart
        cached = attrs.evolve(cached, soft_deadline=cached.soft_deadline + apart, start=start)
    if lease is not None:
        lease = Lease(lease.token, lease.since + apart)
    return EntryState(cached, lease)


def visible(record: Record, now: float) -> Record | None:
    """What everyone but this layer sees of a layered record: its fresh value, or nothing."""
    cached = state_of(record, now).fresh(now)
    return None if cached is None else Record(cached.payload, cached.soft_deadline)


def _freshness(cached: CachedValue) -> bytes:
    return Envelope(
        payload=cached.payload,
        soft_expiry=None if cached.soft_deadline == NEVER else cached.soft_deadline,
        grace=cached.grace,
        start_time=cached.start,
        fill_cost=cached.cost,
    ).pack()


def _leased(lease: Lease, body: bytes) -> bytes:
    return Envelope(payload=body, lease=lease.token, start_time=lease.since).pack()


def _without_lease(payload: bytes) -> tuple[Lease | None, bytes]:
    if not payload[2] & _LEASE_FLAG:
        return None, payload
    envelope = Envelope.unpack(payload)
    since = 0.0 if envelope.start_time is None else envelope.start_time
    return Lease(envelope.lease or b"", since), envelope.payload


def _cached_value(payload: bytes, deadline: float) -> CachedValue:
    if not is_layered(payload):
        return CachedValue(payload, deadline)
    envelope = Envelope.unpack(payload)
    return CachedValue(
        envelope.payload,
        NEVER if envelope.soft_expiry is None else envelope.soft_expiry,
        envelope.grace or 0.0,
        envelope.start_time,
        envelope.fill_cost,
    )
