"""Which keys were evicted lately, and from where, in eight bytes a key.

A table of fingerprints, one slot for each hash: a newer ghost takes the slot of an older one, so
that nothing has to be searched, linked or removed. Rarely a ghost is lost to another or mistaken
for one, which misleads a statistic by one and nothing else.
"""

from array import array
from typing import Final

NO_GHOST: Final = -1
"""The key was not evicted lately."""

FINGERPRINT: Final = (1 << 22) - 1
FINGERPRINT_SHIFT: Final = 39
AGE: Final = (1 << 38) - 1
"""A slot holds 22 bits of the hash, 38 of the number of the eviction, one of the place."""

SLOTS: Final = 2
"""Slots for each ghost that is remembered, so that few share one."""


class Ghosts:
    """The last evictions from each of two places, 0 and 1.

    Args:
        memory: How many evictions from each place are remembered.
    """

    __slots__ = ("_counts", "_mask", "_memory", "_slots")

    def __init__(self, memory: int) -> None:
        size = 64
        while size < 2 * memory * SLOTS:
            size *= 2
        self._memory = memory
        self._mask = size - 1
        self._slots = array("q", bytes(8 * size))
        self._counts = [0, 0]

    def remember(self, hashed: int, place: int) -> None:
        """Record that a key was evicted from a place."""
        number = (self._counts[place] + 1) & AGE
        self._counts[place] = number
        fingerprint = (hashed >> 32) & FINGERPRINT
        self._slots[hashed & self._mask] = (
            (fingerprint << FINGERPRINT_SHIFT) | (number << 1) | place
        )

    def recall(self, hashed: int) -> int:
        """From where a key was evicted lately, or `NO_GHOST`; it is forgotten thereby."""
        index = hashed & self._mask
        slot = self._slots[index]
        if slot == 0 or slot >> FINGERPRINT_SHIFT != (hashed >> 32) & FINGERPRINT:
            return NO_GHOST
        place = slot & 1
        if self._counts[place] - ((slot >> 1) & AGE) >= self._memory:
            return NO_GHOST
        self._slots[index] = 0
        return place
