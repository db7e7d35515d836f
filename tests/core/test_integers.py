"""Counters are signed 64-bit integers, on every backend as on Redis."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jinpy_cache_core.entries.integers import (
    INT64_MAX,
    INT64_MIN,
    add_int64,
    check_amount,
    check_int64,
    negated,
    not_a_counter,
)
from jinpy_cache_core.exceptions import CacheValueError, CacheValueTypeError

near_the_ends = st.one_of(
    st.integers(),
    st.integers(INT64_MIN - 3, INT64_MIN + 3),
    st.integers(INT64_MAX - 3, INT64_MAX + 3),
)


def fits(number: int) -> bool:
    """Whether it is a signed 64-bit integer."""
    return -(2**63) <= number < 2**63


@given(near_the_ends)
def test_an_amount_fits_in_64_bits(number: int):
    """It is returned as it is, or refused."""
    if fits(number):
        assert number == check_amount(number)
    else:
        with pytest.raises(CacheValueError, match="signed 64-bit"):
            check_amount(number)


@pytest.mark.parametrize("amount", [True, False, 1.0, "1", b"1", None, math.inf, 1j])
def test_an_amount_is_an_int(amount: object):
    """Another type is also a TypeError, named in the message."""
    with pytest.raises(CacheValueTypeError, match=type(amount).__name__):
        check_amount(amount)


def test_an_amount_is_an_exact_int():
    """A subclass, such as an IntEnum's member, becomes its number."""

    class Count(int):
        pass

    assert type(check_amount(Count(3))) is int


@given(near_the_ends, near_the_ends)
def test_a_sum_fits_or_is_refused(current: int, amount: int):
    """Both parts and the sum must fit; there is no wrapping around and no float."""
    if fits(current) and fits(current + amount):
        assert current + amount == add_int64(current, amount)
    else:
        with pytest.raises(CacheValueError, match="left as it is"):
            add_int64(current, amount)


@given(near_the_ends)
def test_a_negated_amount_fits_too(amount: int):
    """The smallest integer has no counterpart, so it cannot be counted down by."""
    if fits(amount) and fits(-amount):
        assert -amount == negated(amount)
    else:
        with pytest.raises(CacheValueError):
            negated(amount)


def test_a_huge_number_is_not_printed():
    """Python refuses to print more than 4,300 digits; the message gives the size instead."""
    with pytest.raises(CacheValueError, match="33220 bits"):
        check_int64(10**10000, what="amount")


def test_what_cannot_be_counted_says_the_way_out():
    """The error for text and the like tells to delete the key or to use another."""
    assert "Delete the key first" in not_a_counter().message
