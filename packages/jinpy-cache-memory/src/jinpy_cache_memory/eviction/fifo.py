"""`"fifo"`: what was stored first goes first, read or not."""

from jinpy_cache_memory.entry import Entry, Queue
from jinpy_cache_memory.eviction.policy import EvictionPolicy


class FifoEviction(EvictionPolicy):
    """One queue, never reordered; a new value for a key does not give it a new turn."""

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
        """Take the oldest."""
        oldest = self._queue.oldest
        if oldest is not None:
            self._queue.remove(oldest)
        return oldest
