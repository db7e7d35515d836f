"""The timer wheel gives up every entry once its deadline has passed, and none before."""

import math

from hypothesis import given
from hypothesis import strategies as st

from jinpy_cache_memory.entry import NO_BUCKET, Entry
from jinpy_cache_memory.wheel import TICKS, TimerWheel

ORIGINS = st.sampled_from([-1e6, 0.0, 1_000_000.0, 12345.678])
LIVES = st.one_of(
    st.floats(0.0, 10.0), st.floats(0.0, 1e4), st.floats(0.0, 1e7), st.floats(0.0, 3.2e9)
)
ALL = 2**60
STEPS = st.lists(
    st.one_of(st.floats(0.0, 1.0), st.floats(0.0, 1000.0), st.floats(0.0, 1e8)), max_size=20
)


def entry(deadline: float) -> Entry:
    """Make an entry that nothing holds."""
    return Entry("key", None, deadline, 0)


@given(ORIGINS, st.lists(LIVES, max_size=50), STEPS)
def test_exactly_what_has_expired_comes_out_at_most_a_tick_late(origin, lives, steps):
    """After each advance no entry that came out was live, and none that stayed is a tick late."""
    wheel = TimerWheel(origin)
    scheduled = [entry(origin + life) for life in lives]
    for one in scheduled:
        wheel.add(one)
    now = origin
    inside = set(scheduled)
    for step in steps:
        now += step
        out = set(wheel.advance(now, ALL))
        assert out <= inside
        assert all(one.deadline <= now for one in out)
        inside -= out
        assert all(one.deadline > now - 1 / TICKS for one in inside)
        assert len(inside) == wheel.size


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 20), LIVES, st.floats(0, 100)), max_size=100)
)
def test_scheduling_and_unscheduling_agree_with_a_set(changes):
    """Whatever is added and removed, in any order and at any time, exactly that is scheduled."""
    wheel = TimerWheel(0.0)
    entries = [entry(0.0) for _ in range(21)]
    now = 0.0
    inside: set[Entry] = set()
    for add, number, life, step in changes:
        one = entries[number]
        if one in inside:
            wheel.remove(one)
            inside.discard(one)
        if add:
            one.deadline = now + life
            wheel.add(one)
            inside.add(one)
        now += step
        inside -= set(wheel.advance(now, ALL))
        assert len(inside) == wheel.size
        assert all((one.bucket != NO_BUCKET) == (one in inside) for one in entries)


def test_a_prolonged_entry_is_found_where_it_was_and_scheduled_anew():
    """An entry whose deadline moved on is not given up when its old one comes."""
    wheel = TimerWheel(0.0)
    prolonged, immortal = entry(10.0), entry(10.0)
    wheel.add(prolonged)
    wheel.add(immortal)
    prolonged.deadline, immortal.deadline = 100.0, math.inf

    assert [] == wheel.advance(50.0, ALL)
    assert 1 == wheel.size
    assert [prolonged] == wheel.advance(101.0, ALL)


def test_advancing_over_years_does_not_count_the_ticks():
    """However long nobody wrote, an advance looks at each bucket once: a century is no wait."""
    wheel = TimerWheel(0.0)
    early, late = entry(3e9), entry(3.1e9)
    wheel.add(early)
    wheel.add(late)

    assert [early] == wheel.advance(3e9, ALL)
    assert [late] == wheel.advance(1e15, ALL)
