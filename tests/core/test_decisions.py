"""What each operation does to one entry is a pure function of the record and the time."""

import math
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jinpy_cache_core.entries.decisions import (
    UNCHANGED,
    Decision,
    Record,
    adding,
    counting,
    live,
    removing,
    removing_exactly,
    seconds_left,
    storing,
    touching,
)
from jinpy_cache_core.entries.ttl import NEVER, REMOVED
from jinpy_cache_core.exceptions import CacheValueError

NOW = 1000.0

payloads = st.one_of(st.just(b"value"), st.integers(-100, 100).map(lambda n: b"%d" % n))
live_records = st.builds(
    Record, payloads, st.one_of(st.just(NEVER), st.floats(NOW + 1e-3, NOW + 1e6))
)
dead_records = st.builds(Record, payloads, st.one_of(st.floats(-1e6, NOW), st.just(math.nan)))
lifetimes = st.one_of(st.just(REMOVED), st.just(NEVER), st.floats(1e-3, 1e6))


def decided(decision: Decision[Any], record: Record | None) -> Any:
    """What a decision answers now, or the kind of error."""
    try:
        return decision(record, NOW)
    except CacheValueError:
        return CacheValueError


def every_decision(seconds: float) -> list[Decision[Any]]:
    """One of each kind that does not name a record."""
    return [
        storing(b"new", seconds),
        adding(b"new", seconds),
        removing,
        counting(3, seconds),
        touching(seconds),
    ]


@given(st.one_of(st.none(), live_records, dead_records), lifetimes)
def test_a_decision_is_pure(record: Record | None, seconds: float):
    """Asked again it answers the same, so a backend may run it again."""
    for decision in every_decision(seconds):
        assert repr(decided(decision, record)) == repr(decided(decision, record))


@given(dead_records, lifetimes)
def test_an_expired_record_is_no_record(dead: Record, seconds: float):
    """Every decision treats it as absent."""
    assert live(dead, NOW) is None
    assert seconds_left(dead, NOW) is None
    for decision in every_decision(seconds):
        assert decided(decision, None) == decided(decision, dead)


@given(st.one_of(st.none(), live_records), lifetimes.filter(bool))
def test_storing_replaces(record: Record | None, seconds: float):
    """Whatever there was, the new value is there for its own lifetime."""
    assert (Record(b"new", NOW + seconds), None) == storing(b"new", seconds)(record, NOW)


@given(live_records, lifetimes)
def test_adding_leaves_a_live_entry(record: Record, seconds: float):
    """`add` on a live key changes nothing and says so."""
    assert (UNCHANGED, False) == adding(b"new", seconds)(record, NOW)


@given(lifetimes.filter(bool))
def test_adding_fills_an_absent_one(seconds: float):
    """`add` on an absent key stores and says so."""
    assert (Record(b"new", NOW + seconds), True) == adding(b"new", seconds)(None, NOW)


@given(live_records)
def test_a_ttl_of_zero_removes(record: Record):
    """`set` and `touch` remove the entry; `add` and `incr` leave none where there was none."""
    assert (None, None) == storing(b"new", REMOVED)(record, NOW)
    assert (None, True) == touching(REMOVED)(record, NOW)
    assert (None, True) == adding(b"new", REMOVED)(None, NOW)
    assert (None, 3) == counting(3, REMOVED)(None, NOW)


@given(live_records)
def test_removing_tells_whether_there_was_something(record: Record):
    """True for a live entry, False for none."""
    assert (None, True) == removing(record, NOW)
    assert (None, False) == removing(None, NOW)


@given(live_records, live_records)
def test_removing_exactly_spares_a_newer_entry(read: Record, current: Record):
    """`pop` removes what it read, and nothing that was stored since."""
    same = read == current

    assert ((None, True) if same else (UNCHANGED, False)) == removing_exactly(read)(current, NOW)
    assert (UNCHANGED, False) == removing_exactly(read)(None, NOW)


@given(st.integers(-100, 100), st.integers(-100, 100), st.sampled_from([NEVER, NOW + 5]), lifetimes)
def test_counting_keeps_the_deadline(stored: int, amount: int, deadline: float, seconds: float):
    """The sum takes the place of the number and expires when it would have, whatever the ttl."""
    record = Record(b"%d" % stored, deadline)
    total = stored + amount

    assert (Record(b"%d" % total, deadline), total) == counting(amount, seconds)(record, NOW)


@given(st.integers(-100, 100), lifetimes.filter(bool))
def test_counting_begins_at_zero(amount: int, seconds: float):
    """A new counter lives as long as it is told to."""
    assert (Record(b"%d" % amount, NOW + seconds), amount) == counting(amount, seconds)(None, NOW)


@pytest.mark.parametrize(
    "payload", [b"", b"abc", b"1.0", b"+1", b" 1", b"01", b"-0", b"1_0", "\u0661".encode(), b"\xc1"]
)
def test_only_canonical_numbers_are_counted(payload: bytes):
    """What merely looks like a number is none."""
    with pytest.raises(CacheValueError, match="not an int"):
        counting(1, NEVER)(Record(payload), NOW)


@pytest.mark.parametrize(
    "stored, amount", [(2**63 - 1, 1), (-(2**63), -1), (2**63, 0), (10**30, -1)]
)
def test_a_sum_that_does_not_fit_is_refused(stored: int, amount: int):
    """So is any count of a number that does not."""
    with pytest.raises(CacheValueError, match="64-bit"):
        counting(amount, NEVER)(Record(b"%d" % stored), NOW)


@given(live_records, lifetimes.filter(bool))
def test_touching_moves_the_deadline(record: Record, seconds: float):
    """The value stays and lives from now on; an absent key stays absent."""
    moved = attrs.evolve(record, deadline=NOW + seconds)

    assert (moved, True) == touching(seconds)(record, NOW)
    assert (UNCHANGED, False) == touching(seconds)(None, NOW)


@given(live_records)
def test_the_seconds_left_are_those_to_the_deadline(record: Record):
    """Infinite for an entry that never expires."""
    assert record.deadline - NOW == seconds_left(record, NOW)
    assert seconds_left(None, NOW) is None


def test_a_record_does_not_show_its_value():
    """A payload may be personal data."""
    assert "private" not in repr(Record(b"private"))
