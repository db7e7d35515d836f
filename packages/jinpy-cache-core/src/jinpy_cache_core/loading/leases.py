"""Who may compute a value, and whose value is stored: decisions about one state.

The rule that makes invalidation win: a token is drawn when a state has no lease, that is, after the
last invalidation; a value is stored only where the token under which it was computed still stands.
Whoever computes under that token began after it was drawn, so it does not matter who leads: a lead
may be taken over from one that died or is slow without costing the slow one its value.

Each class is a `Decision`: called with the stored record and the time, atomically. A backend that
holds something else than records calls `decide` with what it makes a `EntryState` of.
"""

from enum import Enum
from typing import Any, Literal, TypeAlias, TypeVar

import attrs

from jinpy_cache_core.entries.records import UNCHANGED, Change, Record, Unchanged
from jinpy_cache_core.entries.state import EMPTY, CachedValue, EntryState, Lease, state_of

T = TypeVar("T")

SAME_START = 1.0
"""Seconds that two accounts of one beginning may be apart."""

NextState: TypeAlias = EntryState | Literal[Unchanged.UNCHANGED]
"""What shall be in the place from now on, or `UNCHANGED`."""


class Standing(Enum):
    """What a claim came to."""

    FOUND = "found"
    LEAD = "lead"
    FOLLOW = "follow"


class Reason(Enum):
    """Why a value is wanted."""

    MISS = "there is none"
    REFRESH = "it should be renewed"
    FORCE = "whatever is there or under way is too old"


@attrs.frozen
class Claim:
    """The answer to a claim.

    Attributes:
        standing: The value was found, or the caller computes it, or follows who computes it.
        token: The generation to compute or wait for; empty when the value was found.
        cached: The value there is: fresh when it was found, else perhaps a stale one.
    """

    standing: Standing
    token: bytes = b""
    cached: CachedValue | None = None


@attrs.frozen
class Claiming:
    """Ask for a value or for the right to compute it.

    Attributes:
        token: What the generation is called if it begins here.
        takeover_age: Seconds after which somebody else's lead is taken over, and so many ahead of
            our clock from which it is not believed; 0 to take over whatever is there.
        reason: Why the value is wanted.
        renewing: The value that should be renewed; another one is good enough.
        unreadable: The stored form of a value that the caller could not read; any other is good.

    A lease with our own token is ours: an earlier try got it, and its answer was lost.
    """

    token: bytes
    takeover_age: float
    reason: Reason = Reason.MISS
    renewing: CachedValue | None = None
    unreadable: Any = None

    @property
    def plain(self) -> bool:
        """Whether any fresh value will do."""
        return self.reason is Reason.MISS and self.unreadable is None

    def __call__(self, record: Record | None, now: float) -> tuple[Change, Claim]:
        """Decide about a record."""
        return _stored(*self.decide(state_of(record, now), now))

    def decide(self, state: EntryState, now: float) -> tuple[NextState, Claim]:
        """Decide; the change only ever adds or renews a lease."""
        if self._is_good(state.fresh(now)):
            return UNCHANGED, Claim(Standing.FOUND, cached=state.cached)
        lease = state.lease
        if lease is None or lease.token == self.token or self.reason is Reason.FORCE:
            token = self.token
        elif abs(now - lease.since) < self.takeover_age:  # the leader's clock may be ahead of ours
            return UNCHANGED, Claim(Standing.FOLLOW, lease.token, state.cached)
        else:
            token = lease.token
        return EntryState(state.cached, Lease(token, now)), Claim(
            Standing.LEAD, token, state.cached
        )

    def _is_good(self, fresh: CachedValue | None) -> bool:
        if fresh is None or self.reason is Reason.FORCE:
            return False
        if self.unreadable is not None and _is_same(fresh.payload, self.unreadable):
            return False
        return self.renewing is None or not _is_of_one_computation(fresh, self.renewing)


@attrs.frozen
class Filling:
    """Store a computed value, if its generation still stands.

    Attributes:
        token: The generation that it was computed under.
        cached: The value with its deadlines counted from zero; `None` to remove what is there.
    """

    token: bytes
    cached: CachedValue | None

    def __call__(self, record: Record | None, now: float) -> tuple[Change, bool]:
        """Decide about a record."""
        return _stored(*self.decide(state_of(record, now), now))

    def decide(self, state: EntryState, now: float) -> tuple[NextState, bool]:
        """Decide; whether it was stored."""
        if not _stands(state, self.token):
            return UNCHANGED, False
        if self.cached is None:
            return EMPTY, True
        return EntryState(self.cached.moved(now + self.cached.soft_deadline)), True


@attrs.frozen
class Releasing:
    """Give up the lead without a value; a stale one stays, perhaps as a fresh one for a while.

    Attributes:
        token: The generation that is given up.
        backoff: Seconds for which the stale value is served before anyone tries again.
    """

    token: bytes
    backoff: float = 0.0

    def __call__(self, record: Record | None, now: float) -> tuple[Change, bool]:
        """Decide about a record."""
        return _stored(*self.decide(state_of(record, now), now))

    def decide(self, state: EntryState, now: float) -> tuple[NextState, bool]:
        """Decide; whether there was something to give up."""
        if not _stands(state, self.token):
            return UNCHANGED, False
        cached = state.cached
        if cached is not None and self.backoff and not cached.fresh(now):
            cached = cached.stretched(now + self.backoff)
        return EntryState(cached), True


def _stored(change: NextState, result: T) -> tuple[Change, T]:
    return (UNCHANGED if isinstance(change, Unchanged) else change.record()), result


def _is_same(form: object, other: object) -> bool:
    """Whether two stored forms are the same: bytes by value, objects by identity."""
    return form is other or (type(form) is bytes and form == other)


def _is_of_one_computation(value: CachedValue, other: CachedValue) -> bool:
    """Whether two reads found the same value.

    A store that keeps the time tells of when its computation began by its own clock, a little
    differently each time, but what it cost is what the one who computed it measured.
    """
    if value.start is None or other.start is None:
        return value.start is other.start
    same = value.cost == other.cost and _is_same(value.payload, other.payload)
    return same and abs(value.start - other.start) < SAME_START


def _stands(state: EntryState, token: bytes) -> bool:
    return state.lease is not None and state.lease.token == token
