"""`"adaptive"`, the default: learns while running whether recency or frequency pays.

W-TinyLFU (Einziger, Eytan, Friedman, Manes, "Adaptive Software Cache Management", 2018) with two
changes. New entries enter a *window*; what leaves it must have been used more often than the *main*
part's next victim to take its place. The main part is segmented: *probation*, and *protected* for
what was used again there.

* How large the window is decides everything: a small one suits databases and loops, a large one
  suits files and object caches. Caffeine climbs a hill of hit ratios; we listen to ghosts, as ARC
  (Megiddo and Modha, 2003) does. A key that comes back soon after it was turned away from the
  window says that the window was too small, one that was evicted from the main part says the
  opposite. That reacts within a fraction of the capacity where a climber needs many for one step.
* A key that comes back from the window's ghosts goes straight to probation, as in S3-FIFO (Yang et
  al., 2023): it has proved that it is used again, just not soon enough.

Reads reorder nothing. Hits wait in the entry and are taken into account when it comes up as oldest:
it is then queued anew, where an LRU queue would have moved it at once. That is at most one step for
each hit or write before, so choosing takes amortised constant time.
"""

from typing import Final

from jinpy_cache_memory.entry import Entry, Queue
from jinpy_cache_memory.eviction.ghosts import Ghosts
from jinpy_cache_memory.eviction.policy import EvictionPolicy
from jinpy_cache_memory.eviction.sketch import MOST, FrequencySketch

FIRST_WINDOW: Final = 0.01
"""The window's share of the capacity at first."""

WIDEST_WINDOW: Final = 0.99
"""The window's share of the capacity at most."""

STEP: Final = 0.3
"""Entries by which a ghost moves the window's bound."""

PROTECTED: Final = 0.6
"""The protected segment's share of the main part."""

REMEMBERED: Final = 0.25
"""Evictions remembered from each part, as a share of the capacity."""

FIRST_KNOWN: Final = 32
"""Entries that the sketch counts for at first; it grows as they do."""

FROM_WINDOW: Final = 0
FROM_MAIN: Final = 1

HASH_BITS: Final = (1 << 61) - 1
"""The part of a hash that is used; not negative."""


class AdaptiveEviction(EvictionPolicy):
    """A window, and a main part of probation and protected, divided by what ghosts say."""

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self._window = Queue(1)
        self._probation = Queue(2)
        self._protected = Queue(3)
        self._bound = max(1.0, capacity * FIRST_WINDOW)
        self._made_room = False
        self._sketch = FrequencySketch(FIRST_KNOWN)
        self._known = FIRST_KNOWN
        self._full = 0
        self._ghosts = Ghosts(1)

    def add(self, entry: Entry) -> None:
        """Let it into the window, or into the main part if it has come back."""
        hashed = hash(entry.key) & HASH_BITS
        entry.hashed = hashed
        self._sketch.add(hashed, 1)
        place = self._ghosts.recall(hashed)
        if place == FROM_WINDOW:
            self._bound = min(self.capacity * WIDEST_WINDOW, self._bound + STEP)
            self._made_room = False
            self._probation.push(entry)
            return
        if place == FROM_MAIN:
            self._bound = max(1.0, self._bound - STEP)
        window = self._window
        if not self._made_room and window.size >= self._bound:
            self._move(window.oldest, self._probation)
        self._made_room = False
        window.push(entry)
        if self._held() > self._known:
            self._known *= 2
            self._sketch.grow(min(self._known, self.capacity))

    def remove(self, entry: Entry) -> None:
        """Take it out of the segment it is in."""
        if entry.queue == self._window.number:
            self._window.remove(entry)
        elif entry.queue == self._probation.number:
            self._probation.remove(entry)
        else:
            self._protected.remove(entry)

    def victim(self) -> Entry | None:
        """Let the window's oldest contend with the main part's; the one used less goes."""
        if self._held() > 2 * self._full:
            self._fill()
        self._made_room = True
        sketch = self._sketch
        window = self._window
        candidate = self._oldest(window, sketch) if window.size >= self._bound else None
        resident = self._next_of_main(sketch)
        if resident is None:
            candidate = self._oldest(window, sketch)
            if candidate is not None:
                self._evict(candidate, FROM_WINDOW)
            return candidate
        if candidate is None:
            self._evict(resident, FROM_MAIN)
            return resident
        if sketch.estimate(candidate.hashed) > sketch.estimate(resident.hashed):
            self._evict(resident, FROM_MAIN)
            self._move(candidate, self._probation)
            return resident
        self._evict(candidate, FROM_WINDOW)
        return candidate

    def _held(self) -> int:
        return self._window.size + self._probation.size + self._protected.size

    def _fill(self) -> None:
        """Take the size of a cache that is full, or that has doubled by lighter entries."""
        self._full = self._held()
        self.capacity = self._full
        self._sketch.grow(self._full)
        self._ghosts = Ghosts(max(1, int(self._full * REMEMBERED)))

    def _oldest(self, queue: Queue, sketch: FrequencySketch) -> Entry | None:
        """The oldest entry of a queue that was not hit since it was queued; the others go round."""
        while True:
            oldest = queue.oldest
            if oldest is None or oldest.hits == 0:
                return oldest
            self._note_hits(oldest, sketch)
            queue.remove(oldest)
            queue.push(oldest)

    def _next_of_main(self, sketch: FrequencySketch) -> Entry | None:
        """The main part's victim; what was hit on probation is protected before."""
        probation = self._probation
        while True:
            oldest = probation.oldest
            if oldest is None:
                return self._oldest(self._protected, sketch)
            if oldest.hits == 0:
                return oldest
            self._note_hits(oldest, sketch)
            self._move(oldest, self._protected)
            self._relegate(sketch)

    def _relegate(self, sketch: FrequencySketch) -> None:
        """Put the protected segment's oldest back on probation while there are too many."""
        protected = self._protected
        main = protected.size + self._probation.size
        while protected.size > main * PROTECTED:
            oldest = self._oldest(protected, sketch)
            if oldest is None:
                return
            self._move(oldest, self._probation)

    def _note_hits(self, entry: Entry, sketch: FrequencySketch) -> None:
        hits = entry.hits
        entry.hits = 0
        sketch.add(entry.hashed, min(MOST, hits))

    def _evict(self, entry: Entry, place: int) -> None:
        self.remove(entry)
        self._ghosts.remember(entry.hashed, place)

    def _move(self, entry: Entry | None, queue: Queue) -> None:
        if entry is not None:
            self.remove(entry)
            queue.push(entry)
