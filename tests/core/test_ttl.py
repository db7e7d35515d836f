"""A ttl is a number of seconds, a timedelta, infinity or None; an entry ends at its deadline."""

import math
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jinpy_cache_core.entries.ttl import (
    LONGEST,
    NEVER,
    REMOVED,
    deadline_after,
    is_expired,
    ttl_seconds,
)
from jinpy_cache_core.exceptions import CacheValueError, CacheValueTypeError

finite = st.floats(allow_nan=False, allow_infinity=False)
durations = st.one_of(finite, st.integers(), st.timedeltas(), st.just(math.inf))


@given(durations)
def test_every_duration_is_removal_seconds_or_never(ttl: float | timedelta):
    """Nothing else comes out, and always as a float."""
    seconds = ttl_seconds(ttl)

    assert type(seconds) is float
    assert seconds in {REMOVED, NEVER} or 0 < seconds <= LONGEST


@given(durations, durations)
def test_a_longer_duration_never_lives_shorter(one: float | timedelta, other: float | timedelta):
    """The order of ttls is kept."""
    length = [ttl.total_seconds() if isinstance(ttl, timedelta) else ttl for ttl in (one, other)]

    if length[0] <= length[1]:
        assert ttl_seconds(one) <= ttl_seconds(other)


@given(st.floats(min_value=5e-324, max_value=LONGEST))
def test_seconds_are_kept_exactly(seconds: float):
    """No ttl is rounded, however small."""
    assert seconds == ttl_seconds(seconds)


@pytest.mark.parametrize(
    "ttl, seconds",
    [
        (60, 60.0),
        (0.5, 0.5),
        (timedelta(milliseconds=1), 0.001),
        (timedelta(days=1), 86400.0),
        (LONGEST, LONGEST),
        (math.nextafter(LONGEST, math.inf), NEVER),
        (timedelta.max, NEVER),
        (10**400, NEVER),
        (math.inf, NEVER),
        (0, REMOVED),
        (-0.0, REMOVED),
        (-1, REMOVED),
        (-(10**400), REMOVED),
        (timedelta(0), REMOVED),
        (timedelta.min, REMOVED),
    ],
)
def test_particular_durations(ttl: float | timedelta, seconds: float):
    """Over a century is never, zero and less is removal."""
    assert seconds == ttl_seconds(ttl, default=1.0)


def test_none_is_the_default():
    """Without a default, entries never expire."""
    assert NEVER == ttl_seconds(None)
    assert 60.0 == ttl_seconds(None, 60.0)


@pytest.mark.parametrize("ttl", [math.nan, -math.inf])
def test_a_number_that_is_no_duration_is_a_value_error(ttl: float):
    """The message shows it and says what would do."""
    with pytest.raises(CacheValueError, match=rf"ttl={ttl!r}.*math\.inf") as caught:
        ttl_seconds(ttl)

    assert not isinstance(caught.value, TypeError)


@pytest.mark.parametrize(
    "ttl", [True, False, "60", b"60", object(), [60], 1j, Decimal(60), Fraction(60)]
)
def test_another_type_is_a_type_error(ttl: object):
    """Nothing is guessed from a text or a bool; the message names the type."""
    with pytest.raises(CacheValueTypeError, match=type(ttl).__name__) as caught:
        ttl_seconds(ttl)

    assert isinstance(caught.value, (TypeError, ValueError))


def test_a_subclass_of_a_number_is_a_number():
    """Such as those of numpy, or an IntEnum."""

    class Seconds(float):
        pass

    assert 1.5 == ttl_seconds(Seconds(1.5))


@given(finite.filter(lambda now: abs(now) < 1e12), st.floats(min_value=1e-3, max_value=LONGEST))
def test_an_entry_is_expired_from_its_deadline_on(now: float, seconds: float):
    """At the deadline and after it, not before."""
    deadline = deadline_after(seconds, now)

    assert is_expired(deadline, deadline)
    assert is_expired(deadline, math.nextafter(deadline, math.inf))
    assert not is_expired(deadline, math.nextafter(deadline, -math.inf))


def test_never_does_not_come():
    """An endless deadline is in the future of every time."""
    assert NEVER == deadline_after(NEVER, 1e9)
    assert not is_expired(NEVER, 1e308)


def test_an_unreadable_deadline_is_past():
    """An entry with damaged metadata is not immortal."""
    assert is_expired(math.nan, 0.0)
    assert is_expired(-math.inf, 0.0)
