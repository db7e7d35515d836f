"""`"lru"`: what was used least recently goes, decided when it comes to going.

Reads do not reorder anything. The oldest entry that was read since it was queued is queued anew
instead of evicted: the second chance of Corbato's CLOCK (1968), which comes so close to LRU that
every operating system uses it in its stead.
"""

from jinpy_cache_memory.entry import Entry
from jinpy_cache_memory.eviction.fifo import FifoEviction
from jinpy_cache_memory.eviction.policy import LOOKS


class LruEviction(FifoEviction):
    """The queue of `"fifo"`, in which an entry that was hit goes round again."""

    def victim(self) -> Entry | None:
        """Take the oldest entry that was not hit since it was queued."""
        queue = self._queue
        looks = LOOKS
        while True:
            oldest = queue.oldest
            if oldest is None:
                return None
            queue.remove(oldest)
            looks -= 1
            if oldest.hits == 0 or looks == 0:
                return oldest
            oldest.hits = 0
            queue.push(oldest)
