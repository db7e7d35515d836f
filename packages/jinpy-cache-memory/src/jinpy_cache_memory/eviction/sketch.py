"""How often keys were used lately, in a few bytes a key: a count-min sketch that forgets.

Cormode and Muthukrishnan (2005), with the ageing of Einziger, Friedman and Manes, "TinyLFU" (2017):
after so many counts all counters are halved. A key's count is the smaller of its two counters,
which can be too high when keys collide and is never too low by more than what was forgotten.
"""

from typing import Final

MOST: Final = 15
"""Counters stop here: what was used so often is popular, however popular."""

CELLS: Final = 8
"""Counters a key has in each of the two rows, so that few keys share one."""

FEWEST: Final = 256
"""Counters a row has at least."""

SPAN: Final = 20
"""Counts for each key of the capacity until all are halved."""

ROW_BITS: Final = 26
"""How far apart the bits of the hash lie that choose the counters of the two rows."""

HALVES: Final = bytes(count // 2 for count in range(256))
"""What becomes of each count when the sketch ages."""


class FrequencySketch:
    """Approximate counts by hash.

    Args:
        capacity: How many keys matter at a time.
    """

    __slots__ = ("_counted", "_first", "_mask", "_second", "_span")

    def __init__(self, capacity: int) -> None:
        self._mask = FEWEST - 1
        self._first = bytearray(FEWEST)
        self._second = bytearray(FEWEST)
        self._counted = 0
        self._span = 0
        self.grow(capacity)

    def grow(self, capacity: int) -> None:
        """Count for more keys from now on; what was counted so far is kept."""
        self._span = capacity * SPAN
        while self._mask + 1 < capacity * CELLS:
            # The hash gains a bit, so that each counter has two heirs.
            self._first = self._first * 2
            self._second = self._second * 2
            self._mask = 2 * self._mask + 1

    def add(self, hashed: int, count: int) -> None:
        """Count a key so many times."""
        first = hashed & self._mask
        second = (hashed >> ROW_BITS) & self._mask
        self._first[first] = min(self._first[first] + count, MOST)
        self._second[second] = min(self._second[second] + count, MOST)
        self._counted += count
        if self._counted >= self._span:
            self._first = self._first.translate(HALVES)
            self._second = self._second.translate(HALVES)
            self._counted //= 2

    def estimate(self, hashed: int) -> int:
        """How often a key was counted lately, at most `MOST`."""
        first = self._first[hashed & self._mask]
        second = self._second[(hashed >> ROW_BITS) & self._mask]
        return min(second, first)
