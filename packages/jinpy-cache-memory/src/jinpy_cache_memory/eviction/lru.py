"""`"lru"`: what was used least recently goes, decided when it comes to going.

Reads do not reorder anything. The oldest entry that was read since it was queued is queued anew
instead of evicted: the second chance of Corbato's CLOCK (1968), which comes so close to LRU that
every operating system uses it in its stead.
"""

from jinpy_cache_memory.entry import Entry, Queue
from jinpy_cache_memory.eviction.policy import EvictionPolicy


class LruEviction(EvictionPolicy):
    """One queue; an entry that was hit goes round again."""

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self._queue = Queue(1)

    def add(self, entry: Entry) -> None:
        """Queue it as the newest."""
        self._queue.push(entry)

    def remove(self, entry: Entry) -> None:
        """Take it out."""
        self._queue.remove(entry)

    def victim(self) -> Entry | None:
        """Take the oldest entry that was not hit since it was queued."""
        queue = self._queue
        while True:
            oldest = queue.oldest
            if oldest is None:
                return None
            queue.remove(oldest)
            if oldest.hits == 0:
                return oldest
            oldest.hits = 0
            queue.push(oldest)
