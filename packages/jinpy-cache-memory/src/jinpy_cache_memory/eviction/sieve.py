"""`"sieve"`: a hand sweeps from old to new and takes the first entry that was not used since.

Zhang et al., "SIEVE is Simpler than LRU" (NSDI 2024). Unlike a second chance, what was used stays
where it is, so that new entries are sifted quickly; good for web caches, weak against scans.
"""

from jinpy_cache_memory.entry import Entry, Queue
from jinpy_cache_memory.eviction.policy import LOOKS, EvictionPolicy


class SieveEviction(EvictionPolicy):
    """One queue and a hand."""

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self._queue = Queue(1)
        self._hand: Entry | None = None

    def add(self, entry: Entry) -> None:
        """Queue it as the newest."""
        self._queue.push(entry)

    def remove(self, entry: Entry) -> None:
        """Take it out; a hand that points at it moves on."""
        if entry is self._hand:
            self._hand = entry.newer
        self._queue.remove(entry)

    def victim(self) -> Entry | None:
        """Sweep until something was not hit, and take that."""
        looks = LOOKS
        while True:
            entry = self._hand
            if entry is None:
                entry = self._queue.oldest
                if entry is None:
                    return None
            self._hand = entry.newer
            looks -= 1
            if entry.hits == 0 or looks == 0:
                self._queue.remove(entry)
                return entry
            entry.hits = 0
