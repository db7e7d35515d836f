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

from jinpy_cache_core.envelope import Envelope
from jinpy_cache_core.exceptions import CacheSerializationError
from jinpy_cache_core.records import Record
from jinpy_cache_core.ttl import NEVER, is_expired

LEASE_LIFETIME: Final = 3600.0
"""Seconds after which a value that was computed under a lease is not stored any more."""

_FRESHNESS_FLAGS: Final = 0b1100_0011
_LEASE_FLAG: Final = 0b1


@attrs.frozen
class Held:
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

    def moved(self, soft_deadline: float) -> "Held":
        """The same value, stale from another time on, with its grace."""
        return attrs.evolve(self, soft_deadline=soft_deadline)

    def stretched(self, soft_deadline: float) -> "Held":
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
class Slot:
    """What is in the place of a key.

    Attributes:
        held: The value, fresh or stale.
        lease: The lease of whoever is computing the next one.
    """

    held: Held | None = None
    lease: Lease | None = None

    @property
    def deadline(self) -> float:
        """When nothing of it means anything any more."""
        ends = [] if self.lease is None else [self.lease.since + LEASE_LIFETIME]
        return max(ends if self.held is None else [*ends, self.held.deadline])

    def at(self, now: float) -> "Slot":
        """The same without a value that is gone for good."""
        held = self.held
        return self if held is None or held.alive(now) else Slot(None, self.lease)

    def fresh(self, now: float) -> Held | None:
        """The value, if it is fresh."""
        return self.held if self.held is not None and self.held.fresh(now) else None

    def touched(self, now: float, seconds: float) -> "Slot | None":
        """The same with a new lifetime for a fresh value, none for 0 seconds; `None` without."""
        held = self.fresh(now)
        if held is None:
            return None
        return Slot(held.moved(now + seconds), self.lease) if seconds else EMPTY

    def record(self) -> Record | None:
        """What to store, `None` for nothing."""
        held, lease = self.held, self.lease
        if held is None:
            if lease is None:
                return None
            return Record(_leased(lease, b""), self.deadline)
        if lease is None:
            return Record(held.payload if held.plain else _freshness(held), held.deadline)
        # An empty payload would be taken for none, and a deadline would be that of the lease.
        bare = held.plain and held.deadline == NEVER and held.payload
        body = held.payload if bare else _freshness(held)
        return Record(_leased(lease, body), self.deadline)


EMPTY: Final = Slot()
"""Nothing there."""


def is_layered(payload: bytes) -> bool:
    """Whether a payload is more than what the codec wrote."""
    return (
        len(payload) >= 4
        and payload[0] == 0xC1
        and bool(payload[3] & _FRESHNESS_FLAGS or payload[2] & _LEASE_FLAG)
    )


def slot_of(record: Record | None, now: float) -> Slot:
    """What a stored record means at this time; what cannot be understood is left to the codec."""
    if record is None or is_expired(record.deadline, now):
        return EMPTY
    payload = record.payload
    if not is_layered(payload):
        return Slot(Held(payload, record.deadline))
    try:
        lease, payload = _without_lease(payload)
        held = _held(payload, record.deadline if lease is None else NEVER) if payload else None
    except CacheSerializationError:
        return Slot(Held(record.payload, record.deadline))
    return Slot(held, lease).at(now)


def visible(record: Record, now: float) -> Record | None:
    """What everyone but this layer sees of a layered record: its fresh value, or nothing."""
    held = slot_of(record, now).fresh(now)
    return None if held is None else Record(held.payload, held.soft_deadline)


def _freshness(held: Held) -> bytes:
    return Envelope(
        payload=held.payload,
        soft_expiry=None if held.soft_deadline == NEVER else held.soft_deadline,
        grace=held.grace,
        start_time=held.start,
        fill_cost=held.cost,
    ).pack()


def _leased(lease: Lease, body: bytes) -> bytes:
    return Envelope(payload=body, lease=lease.token, start_time=lease.since).pack()


def _without_lease(payload: bytes) -> tuple[Lease | None, bytes]:
    if not payload[2] & _LEASE_FLAG:
        return None, payload
    envelope = Envelope.unpack(payload)
    since = 0.0 if envelope.start_time is None else envelope.start_time
    return Lease(envelope.lease or b"", since), envelope.payload


def _held(payload: bytes, deadline: float) -> Held:
    if not is_layered(payload):
        return Held(payload, deadline)
    envelope = Envelope.unpack(payload)
    return Held(
        envelope.payload,
        NEVER if envelope.soft_expiry is None else envelope.soft_expiry,
        envelope.grace or 0.0,
        envelope.start_time,
        envelope.fill_cost,
    )
