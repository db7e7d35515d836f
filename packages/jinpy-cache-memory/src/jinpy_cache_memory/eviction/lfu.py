"""`"lfu"`: what was used least often while it was cached goes; among equals, the oldest.

A queue for each count, as in Shah, Mitra and Matani, "An O(1) algorithm for implementing the LFU
cache eviction scheme" (2010). Hits wait in the entry: it moves up when it comes up as the least.
"""

from typing import Final

from jinpy_cache_memory.entry import Entry, Queue
from jinpy_cache_memory.eviction.policy import LOOKS, EvictionPolicy

HIGHEST: Final = 64
"""Counts are told apart up to here, so that the search for the lowest ends soon."""


class LfuEviction(EvictionPolicy):
    """Queues by count; `Entry.queue` is the count plus one."""

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self._queues = [Queue(count + 1) for count in range(HIGHEST)]

    def add(self, entry: Entry) -> None:
        """Queue it among those never used again."""
        self._queues[0].push(entry)

    def remove(self, entry: Entry) -> None:
        """Take it out of the queue of its count."""
        self._queues[entry.queue - 1].remove(entry)

    def victim(self) -> Entry | None:
        """Take the oldest of the lowest count whose hits have all been counted."""
        count = 0
        looks = LOOKS
        while count < HIGHEST:
            queue = self._queues[count]
            oldest = queue.oldest
            if oldest is None:
                count += 1
                continue
            queue.remove(oldest)
            looks -= 1
            if oldest.hits == 0 or looks == 0:
                return oldest
            reached = min(count + oldest.hits, HIGHEST - 1)
            oldest.hits = 0
            self._queues[reached].push(oldest)
        return None
