"""`"adaptive"`, the default: learns while running whether recency or frequency pays.

W-TinyLFU (Einziger, Eytan, Friedman, Manes, "Adaptive Software Cache Management", 2018) with three
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
* Entries carry their own counts, and the ghosts' are kept with them, so that there is no sketch of
  all keys: one look at the history tells all there is to know of a key that is back.

Reads reorder nothing. Hits wait in the entry and are taken into account when it comes up as oldest:
it is then queued anew, where an LRU queue would have moved it at once. That is at most one step for
each hit or write before, so choosing takes amortised constant time, and `LOOKS` steps at most.
"""

import math
from typing import Final

from jinpy_cache_memory.entry import Entry, Queue
from jinpy_cache_memory.eviction.history import (
    COUNT_BITS,
    FROM_MAIN,
    FROM_WINDOW,
    HASH_BITS,
    MOST,
    History,
)
from jinpy_cache_memory.eviction.policy import LOOKS, EvictionPolicy
from jinpy_cache_memory.native_int import i64

FIRST_WINDOW: Final = 0.01
"""The window's share of the capacity at first."""

WIDEST_WINDOW: Final = 0.99
"""The window's share of the capacity at most."""

STEP: Final = 0.3
"""Entries by which a ghost moves the window's bound."""

PROTECTED: Final = 6
"""The protected segment's share of the main part, in tenths."""

LATELY: Final = 4
"""Evictions from a place are recent for this part of the capacity: a quarter."""

EPOCH_LENGTH: Final = 20
"""Uses for each entry of the capacity until all counts are halved."""

LARGEST: Final = 2**48
"""A capacity that is never reached."""

HASH: Final = (1 << HASH_BITS) - 1

# An entry's note, from the lowest bit: how often it was used, the epoch of that, its key's hash.
EPOCH: Final = (1 << 12) - 1
USES_BITS: Final = 16


class AdaptiveEviction(EvictionPolicy):
    """A window, and a main part of probation and protected, divided by what ghosts say."""

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self._window = Queue(1)
        self._probation = Queue(2)
        self._protected = Queue(3)
        self._bound = max(1.0, capacity * FIRST_WINDOW)
        self._wide: i64 = math.ceil(self._bound)
        self._made_room = False
        self._looks: i64 = LOOKS
        self._full: i64 = 0
        self._history = History(1, 1)
        self._epoch: i64 = 0
        self._counted: i64 = 0
        self._halving: i64 = min(capacity, LARGEST) * EPOCH_LENGTH

    def add(self, entry: Entry) -> None:
        """Let it into the window, or into the main part if it has come back."""
        hashed = _hash_of(entry.key)
        known = self._history.recall(hashed, self._epoch)
        entry.note = hashed << USES_BITS | self._epoch << COUNT_BITS | known & MOST
        self._count(entry, 1)
        place = known >> COUNT_BITS
        if place == FROM_WINDOW:
            self._widen(STEP)
            self._made_room = False
            self._probation.push(entry)
            return
        if place == FROM_MAIN:
            self._widen(-STEP)
        window = self._window
        if not self._made_room and window.size >= self._wide:
            self._move(window.oldest, self._probation)
        self._made_room = False
        window.push(entry)

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
        self._looks = LOOKS
        window = self._window
        candidate = self._oldest(window) if window.size >= self._wide else None
        resident = self._next_of_main()
        if resident is None:
            candidate = self._oldest(window)
            if candidate is not None:
                self._evict(candidate, FROM_WINDOW)
            return candidate
        if candidate is None:
            self._evict(resident, FROM_MAIN)
            return resident
        if self._uses(candidate) > self._uses(resident):
            self._evict(resident, FROM_MAIN)
            self._move(candidate, self._probation)
            return resident
        self._evict(candidate, FROM_WINDOW)
        return candidate

    def _widen(self, entries: float) -> None:
        """Move the window's bound by a fraction of an entry."""
        self._bound = max(1.0, min(self.capacity * WIDEST_WINDOW, self._bound + entries))
        self._wide = math.ceil(self._bound)

    def _held(self) -> i64:
        return self._window.size + self._probation.size + self._protected.size

    def _fill(self) -> None:
        """Take the size of a cache that is full, or that has doubled by lighter entries."""
        self._full = self._held()
        self.capacity = self._full
        self._halving = self._full * EPOCH_LENGTH
        self._history = History(self._full, max(1, self._full // LATELY))

    def _oldest(self, queue: Queue) -> Entry | None:
        """The oldest entry of a queue that was not hit since it was queued; the others go round."""
        while True:
            oldest = queue.oldest
            if oldest is None or oldest.hits == 0 or self._looks <= 0:
                return oldest
            self._looks -= 1
            self._count_hits(oldest)
            queue.remove(oldest)
            queue.push(oldest)

    def _next_of_main(self) -> Entry | None:
        """The main part's victim; what was hit on probation is protected before."""
        probation = self._probation
        while True:
            oldest = probation.oldest
            if oldest is None:
                return self._oldest(self._protected)
            if oldest.hits == 0 or self._looks <= 0:
                return oldest
            self._looks -= 1
            self._count_hits(oldest)
            self._move(oldest, self._protected)
            self._relegate()

    def _relegate(self) -> None:
        """Put the protected segment's oldest back on probation while there are too many."""
        protected = self._protected
        main = protected.size + self._probation.size
        while protected.size * 10 > main * PROTECTED and self._looks > 0:
            self._looks -= 1
            oldest = self._oldest(protected)
            if oldest is None:
                return
            self._move(oldest, self._probation)

    def _count_hits(self, entry: Entry) -> None:
        hits = entry.hits
        entry.hits = 0
        self._count(entry, min(MOST, hits))

    def _count(self, entry: Entry, times: i64) -> None:
        uses = min(MOST, self._uses(entry) + times)
        entry.note = entry.note >> USES_BITS << USES_BITS | self._epoch << COUNT_BITS | uses
        self._counted += times
        if self._counted >= self._halving:
            self._counted //= 2
            self._epoch = (self._epoch + 1) & EPOCH

    def _uses(self, entry: Entry) -> i64:
        """How often an entry was used, halved for each epoch since."""
        note = entry.note
        age = (self._epoch - (note >> COUNT_BITS)) & EPOCH
        # A machine word must not be shifted by more bits than it has.
        return (note & MOST) >> age if age < COUNT_BITS else 0

    def _evict(self, entry: Entry, place: i64) -> None:
        self.remove(entry)
        hashed = entry.note >> USES_BITS
        self._history.remember(hashed, place, self._uses(entry), self._epoch)

    def _move(self, entry: Entry | None, queue: Queue) -> None:
        if entry is not None:
            self.remove(entry)
            queue.push(entry)


def _hash_of(key: str) -> i64:
    hashed: i64 = hash(key)
    return hashed & HASH
