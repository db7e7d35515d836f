"""What an eviction policy is: it chooses which entry goes when the cache is full.

A policy knows nothing of values, deadlines or locks. The engine calls it under its lock, only for
writes and evictions; reads merely raise `Entry.hits`, which the policy looks at when it comes to
choosing. Every method does a constant amount of work, amortised over the hits and writes before it,
and looks at `LOOKS` entries at most: where more than that were read since it looked last, the next
one goes although it was read.
"""

from typing import Final

from jinpy_cache_memory.entry import Entry

LOOKS: Final = 1024
"""Entries that one choice looks at; with a million that were all read, 60 microseconds."""


class EvictionPolicy:
    """Holds every cached entry in queues of its own, and chooses victims.

    Args:
        capacity: How many entries are expected at most, at least 1.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity

    def add(self, entry: Entry) -> None:
        """Begin to hold an entry that was just stored under a new key."""
        raise NotImplementedError

    def remove(self, entry: Entry) -> None:
        """Let go of an entry that was deleted or has expired."""
        raise NotImplementedError

    def victim(self) -> Entry | None:
        """Choose the entry that goes, let go of it and return it; `None` if none is held."""
        raise NotImplementedError


class NoEviction(EvictionPolicy):
    """For a cache without limits: nothing is held, nothing is chosen."""

    def add(self, entry: Entry) -> None:
        """Hold nothing."""

    def remove(self, entry: Entry) -> None:
        """Hold nothing."""

    def victim(self) -> Entry | None:
        """Choose nothing."""
        return None
