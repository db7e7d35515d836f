"""Which keys were evicted lately, from where, and how often they had been used.

A table in 16 to 32 bytes for each entry of the cache. A key has one slot, which the last eviction
takes, so that nothing is searched, linked or removed. Rarely a key is mistaken for another, which
misleads a statistic by one and nothing else.

Counts are halved in every new epoch, as in the ageing of Einziger, Friedman and Manes, "TinyLFU"
(2017): each is kept with the epoch it was made in, and halved when it is looked at.
"""

from array import array
from typing import Final

from jinpy_cache_memory.native_int import i64

MOST: Final = 15
"""Counts stop here: what was used so often is popular, however popular."""

NOT_LATELY: Final = 0
FROM_WINDOW: Final = 1
FROM_MAIN: Final = 2
"""From where a key was evicted."""

SLOTS: Final = 4
"""Slots for each entry of the cache, or up to twice as many."""

FEWEST: Final = 64

# A slot, from the lowest bit: the count, its epoch, whether the main part held the key, the time in
# units of evictions from there, a part of the hash. These are 30 bits, one digit of an `int`.
COUNT_BITS: Final = 4
EPOCH: Final = (1 << 5) - 1
MAIN_SHIFT: Final = 9
TIME_SHIFT: Final = 10
TIME: Final = (1 << 8) - 1
FINGERPRINT_SHIFT: Final = 18
FINGERPRINT: Final = (1 << 12) - 1

HASH_BITS: Final = 44
"""Bits of a hash that are told apart: the lowest say the slot, the highest are kept in it."""

REST_SHIFT: Final = HASH_BITS - 12


class History:
    """The last evictions from the window and from the main part.

    Args:
        capacity: How many entries the cache holds.
        lately: How many evictions from the same place ago is lately; counted in units of a
            sixteenth to an eighth of it.
    """

    __slots__ = ("_from_main", "_from_window", "_lately", "_mask", "_slots", "_unit_shift")

    def __init__(self, capacity: int, lately: int) -> None:
        size = FEWEST
        while size < capacity * SLOTS:
            size *= 2
        self._slots = array("i", [0]) * size
        self._mask: i64 = size - 1
        self._unit_shift: i64 = max(0, lately.bit_length() - 4)
        self._lately: i64 = lately >> self._unit_shift
        self._from_window: i64 = 0
        self._from_main: i64 = 0

    def remember(self, hashed: i64, place: i64, count: i64, epoch: i64) -> None:
        """Record an eviction.

        Args:
            hashed: The key's hash, of `HASH_BITS` bits.
            place: From where it was evicted.
            count: How often it was used lately, at most `MOST`.
            epoch: The present one.
        """
        main: i64 = 0
        if place == FROM_MAIN:
            main = 1
            number = self._from_main = self._from_main + 1
        else:
            number = self._from_window = self._from_window + 1
        self._slots[hashed & self._mask] = (
            hashed >> REST_SHIFT << FINGERPRINT_SHIFT
            | (number >> self._unit_shift & TIME) << TIME_SHIFT
            | main << MAIN_SHIFT
            | (epoch & EPOCH) << COUNT_BITS
            | count
        )

    def recall(self, hashed: i64, epoch: i64) -> i64:
        """What is known of a key that is back.

        Args:
            hashed: Its hash, of `HASH_BITS` bits.
            epoch: The present one.

        Returns:
            How often it was used lately, in the lowest `COUNT_BITS`, and above that from where it
            was evicted, if that was lately.
        """
        slot: i64 = self._slots[hashed & self._mask]
        if slot == 0 or slot >> FINGERPRINT_SHIFT != hashed >> REST_SHIFT:
            return 0
        place, number = FROM_WINDOW, self._from_window
        if slot >> MAIN_SHIFT & 1:
            place, number = FROM_MAIN, self._from_main
        if ((number >> self._unit_shift) - (slot >> TIME_SHIFT)) & TIME >= self._lately:
            place = NOT_LATELY
        halvings = (epoch - (slot >> COUNT_BITS)) & EPOCH
        return place << COUNT_BITS | (slot & MOST) >> halvings
