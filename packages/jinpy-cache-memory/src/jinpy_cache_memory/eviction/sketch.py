"""How often keys were used lately, in eight bytes a key: a count-min sketch that forgets.

Cormode and Muthukrishnan (2005), with the ageing of Einziger, Friedman and Manes, "TinyLFU" (2017):
after so many counts all counters are halved. A key has two of the fifteen four-bit counters of one
word, so that counting touches one place in memory. Its count is the smaller of the two, which can
be too high when keys collide and is never too low by more than what was forgotten.
"""

from array import array
from typing import Final

MOST: Final = 15
"""Counters stop here: what was used so often is popular, however popular."""

FEWEST: Final = 64
"""Words a sketch has at least; else it has one for each key, or up to twice as many."""

SPAN: Final = 20
"""Counts for each key of the capacity until all are halved."""

LOWER_BITS: Final = 0x777777777777777
"""What is left of a word's counters when each is halved and lends no bit to its neighbour."""


class FrequencySketch:
    """Approximate counts by hash.

    Args:
        capacity: How many keys matter at a time.
    """

    __slots__ = ("_counted", "_mask", "_span", "_words")

    def __init__(self, capacity: int) -> None:
        self._mask = FEWEST - 1
        self._words = array("q", bytes(8 * FEWEST))
        self._counted = 0
        self._span = 0
        self.grow(capacity)

    def grow(self, capacity: int) -> None:
        """Count for more keys from now on; what was counted so far is kept."""
        self._span = capacity * SPAN
        while self._mask < capacity - 1:
            self._words = self._words * 2  # the hash gains a bit, so that each word has two heirs
            self._mask = 2 * self._mask + 1

    def add(self, hashed: int, count: int) -> int:
        """Count a key so many times.

        Args:
            hashed: The key's hash, not negative, of 56 bits at least.
            count: At most `MOST`.

        Returns:
            How often it was counted lately, this included; at most `MOST`.
        """
        index = hashed & self._mask
        word = self._words[index]
        first = (hashed >> 48 & 7) << 2
        second = ((hashed >> 51 & 31) % 7 + 8) << 2
        one = word >> first & MOST
        other = word >> second & MOST
        more = min(MOST - one, count)
        word += more << first
        one += more
        more = min(MOST - other, count)
        word += more << second
        other += more
        self._words[index] = word
        self._counted += count
        if self._counted >= self._span:
            self._counted //= 2
            self._words = array("q", [word >> 1 & LOWER_BITS for word in self._words])
        return min(other, one)

    def estimate(self, hashed: int) -> int:
        """How often a key was counted lately, at most `MOST`."""
        word = self._words[hashed & self._mask]
        one = word >> ((hashed >> 48 & 7) << 2) & MOST
        other = word >> (((hashed >> 51 & 31) % 7 + 8) << 2) & MOST
        return min(other, one)
