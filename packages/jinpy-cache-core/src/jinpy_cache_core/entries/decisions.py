"""What each operation does to one entry, decided without touching a store.

A decision is a function of the record that is stored now (or `None`) and of the time; it answers
what to do with the entry and what to tell the caller. A backend runs it atomically: in a lock, in
a write transaction. Because decisions are pure, a backend may run one again when its write has to
be retried, and every backend counts, expires and refuses alike.
"""

from typing import Final, Protocol, TypeVar

from jinpy_cache_core.entries.integers import add_int64, not_a_counter, parse_integer
from jinpy_cache_core.entries.records import UNCHANGED, Change, Decision, Record
from jinpy_cache_core.entries.state import is_layered, state_of, visible
from jinpy_cache_core.entries.ttl import is_expired

T = TypeVar("T")


def live(record: Record | None, now: float) -> Record | None:
    """The record as operations see it: unless it has expired, is stale, or is only a lease."""
    if record is None or is_expired(record.deadline, now):
        return None
    return visible(record, now) if is_layered(record.payload) else record


def storing(payload: bytes, seconds: float) -> Decision[None]:
    """`set`: store for `seconds`; a ttl of zero removes."""

    def decide(_current: Record | None, now: float) -> tuple[Change, None]:
        return (Record(payload, now + seconds) if seconds else None), None

    return decide


def adding(payload: bytes, seconds: float) -> Decision[bool]:
    """`add`: store only if absent; whether it was."""

    def decide(current: Record | None, now: float) -> tuple[Change, bool]:
        if live(current, now) is not None:
            return UNCHANGED, False
        return (Record(payload, now + seconds) if seconds else None), True

    return decide


def removing(current: Record | None, now: float) -> tuple[Change, bool]:
    """`delete`: whether a live entry was removed."""
    return None, live(current, now) is not None


def removing_exactly(expected: Record) -> Decision[bool]:
    """Remove the entry only if it is still the one that was read: `pop`'s second half."""

    def decide(current: Record | None, now: float) -> tuple[Change, bool]:
        if live(current, now) == expected:
            return None, True
        return UNCHANGED, False

    return decide


class IntegerForm(Protocol):
    """How a store writes the integers that it counts with, where it is not plain text."""

    def parse(self, payload: bytes, /) -> int | None:
        """The integer that a payload is, or `None` if it is anything else."""
        ...

    def write(self, number: int, /) -> bytes:
        """An integer as a payload."""
        ...


class _PlainText:
    """Decimal text, in which every store can count by itself."""

    parse = staticmethod(parse_integer)
    write = staticmethod(b"%d".__mod__)


PLAIN_TEXT: Final[IntegerForm] = _PlainText()
"""How integers are stored unless they are signed."""


def counting(amount: int, seconds: float, form: IntegerForm = PLAIN_TEXT) -> Decision[int]:
    """`incr`: the new count; a missing key starts at 0, an existing expiry is kept.

    The decision raises `CacheValueError` for an entry that is no 64-bit integer and for a sum that
    would be none; a backend must leave the entry as it is when a decision raises.
    """

    def decide(current: Record | None, now: float) -> tuple[Change, int]:
        record = live(current, now)
        if record is None:
            total = add_int64(0, amount)
            return (Record(form.write(total), now + seconds) if seconds else None), total
        stored = form.parse(record.payload)
        if stored is None:
            raise not_a_counter()
        total = add_int64(stored, amount)
        return Record(form.write(total), record.deadline), total

    return decide


def touching(seconds: float) -> Decision[bool]:
    """`touch`: give a live entry a new lifetime; a ttl of zero removes it."""

    def decide(current: Record | None, now: float) -> tuple[Change, bool]:
        touched = state_of(current, now).touched(now, seconds)
        return (UNCHANGED, False) if touched is None else (touched.record(), True)

    return decide


def seconds_left(record: Record | None, now: float) -> float | None:
    """`ttl`: `None` for no live entry, `math.inf` for one that never expires."""
    record = live(record, now)
    return None if record is None else record.deadline - now
