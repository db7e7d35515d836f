"""What the adaptive policy remembers of the keys it has evicted."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jinpy_cache_memory.eviction.history import (
    COUNT_BITS,
    FROM_MAIN,
    FROM_WINDOW,
    HASH_BITS,
    MOST,
    NOT_LATELY,
    REST_SHIFT,
    SLOTS,
    History,
)

CAPACITY = 100
LATELY = 64
SLOT_BITS = (CAPACITY * SLOTS - 1).bit_length()
"""The lowest bits of a hash, which say the slot: the table is a power of two in size."""

hashes = st.integers(0, (1 << HASH_BITS) - 1)
places = st.sampled_from([FROM_WINDOW, FROM_MAIN])
counts = st.integers(1, MOST)
epochs = st.integers(0, 4000)


def known_by(hashed: int) -> tuple[int, int]:
    """What the history knows a key by: its slot and the part of its hash kept there."""
    return hashed & (1 << SLOT_BITS) - 1, hashed >> REST_SHIFT


def elsewhere(hashed: int) -> int:
    """A hash of another slot."""
    return hashed ^ 1


@given(hashes, places, counts, epochs, st.integers(0, 31))
def test_a_key_that_is_back_is_known(hashed, place, count, epoch, later):
    """From where it was evicted, and how often it was used, halved for each epoch since."""
    history = History(CAPACITY, LATELY)
    history.remember(hashed, place, count, epoch)
    assert place << COUNT_BITS | count >> later == history.recall(hashed, epoch + later)


@given(hashes, hashes, places, counts, epochs)
@example(0, 1 << SLOT_BITS - 1, FROM_WINDOW, 1, 0)  # they differ in the highest bit of the slot,
@example(0, 1 << SLOT_BITS, FROM_WINDOW, 1, 0)  # in bits that nothing keeps, lowest
@example(0, 1 << REST_SHIFT - 1, FROM_WINDOW, 1, 0)  # and highest,
@example(0, 1 << REST_SHIFT, FROM_WINDOW, 1, 0)  # and in the lowest bit of what is kept.
def test_a_key_that_was_never_evicted_is_unknown(hashed, other, place, count, epoch):
    """Nothing is said of it unless its slot and the kept part of its hash are another key's."""
    history = History(CAPACITY, LATELY)
    assert 0 == history.recall(hashed, epoch)
    history.remember(other, place, count, epoch)
    alike = known_by(hashed) == known_by(other)
    assert (place << COUNT_BITS | count if alike else 0) == history.recall(hashed, epoch)


@given(hashes, places, counts)
def test_the_last_eviction_takes_the_slot(hashed, place, count):
    """Two keys of one slot: the older one is forgotten."""
    history = History(CAPACITY, LATELY)
    other = hashed ^ (1 << HASH_BITS - 1)
    history.remember(hashed, place, count, 0)
    history.remember(other, place, count, 0)
    assert 0 == history.recall(hashed, 0)
    assert place << COUNT_BITS | count == history.recall(other, 0)


@given(hashes, places, counts, st.integers(1, 100))
def test_only_evictions_from_the_same_place_make_one_old(hashed, place, count, lately):
    """After so many the place is forgotten and the count is kept; half as many are too few."""
    history = History(CAPACITY, lately)
    history.remember(hashed, place, count, 0)
    for _ in range(2 * lately):
        history.remember(elsewhere(hashed), FROM_WINDOW + FROM_MAIN - place, 1, 0)
    for _ in range(lately // 2):
        history.remember(elsewhere(hashed), place, 1, 0)
    assert place == history.recall(hashed, 0) >> COUNT_BITS
    for _ in range(lately - lately // 2):
        history.remember(elsewhere(hashed), place, 1, 0)
    assert NOT_LATELY << COUNT_BITS | count == history.recall(hashed, 0)


@pytest.mark.parametrize("capacity", [16, 100, 1000, 1025, 100_000])
def test_it_takes_few_bytes_for_each_entry(capacity):
    """A quarter of what an entry and its place in a dict take, at most."""
    slots = History(capacity, capacity // 4)._slots
    assert 16 * capacity <= slots.itemsize * len(slots) <= 32 * capacity
