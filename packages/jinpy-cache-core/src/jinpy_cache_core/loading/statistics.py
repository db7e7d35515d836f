"""What a cache has done so far, in numbers."""

import threading
from collections import defaultdict, deque
from typing import Final

import attrs

from jinpy_cache_core.forks import call_in_children

MOST_UNSUMMED: Final = 256
"""How many single additions are kept before they are summed up."""


@attrs.frozen(kw_only=True)
class CacheStatistics:
    """A snapshot of the counters of one backend in this process.

    Attributes:
        hits: Reads that found a value; `None` unless the backend is configured with
            `statistics=True`, as counting them costs each of them something.
        misses: Reads that found none; `None` likewise.
        stale_hits: How often a value past its ttl was served.
        fills: Values that were computed and stored.
        refused_fills: Values that were computed and not stored, as their key was invalidated
            meanwhile.
        fill_seconds: Seconds spent computing the values that were stored.
        errors: How often a factory raised.
        background_errors: How many of those nobody was waiting for.
        timeouts: How often a caller stopped waiting for a factory.
        degraded: How often a call went on without its store, as that failed or was known to fail.
        unstored: Values that were computed and returned, but could not be stored.
        unreadable: Entries that could not be read and were computed anew.
        outages: How often the store was given up until a probe is answered.
        evictions: Entries that had to go to make room; `None` where the backend does not count.
    """

    hits: int | None = None
    misses: int | None = None
    stale_hits: int = 0
    fills: int = 0
    refused_fills: int = 0
    fill_seconds: float = 0.0
    errors: int = 0
    background_errors: int = 0
    timeouts: int = 0
    degraded: int = 0
    unstored: int = 0
    unreadable: int = 0
    outages: int = 0
    evictions: int | None = None

    @property
    def hit_ratio(self) -> float | None:
        """Hits among reads, 0 to 1; `None` if reads are not counted or there were none."""
        if self.hits is None or self.misses is None or not self.hits + self.misses:
            return None
        return self.hits / (self.hits + self.misses)

    @property
    def seconds_saved(self) -> float | None:
        """Hits times what a fill took on average; `None` if reads are not counted."""
        if self.hits is None:
            return None
        return self.hits * self.fill_seconds / self.fills if self.fills else 0.0


class Counters:
    """Counters that any thread, signal handler and finaliser may raise, at any instant.

    Raising one is one step, an `append`; the sums are made now and then, by one thread at a time.
    """

    def __init__(self) -> None:
        self._added: deque[tuple[str, float]] = deque()
        self._counts: defaultdict[str, float] = defaultdict(int)
        self._renew_locks()
        call_in_children(self._renew_locks)

    def _renew_locks(self) -> None:
        self._lock = threading.RLock()

    def add(self, name: str, amount: float = 1) -> None:
        """Raise a counter of `CacheStatistics`."""
        self._added.append((name, amount))
        if len(self._added) >= MOST_UNSUMMED:
            self._sum_up()

    def snapshot(self) -> dict[str, float]:
        """All that were ever raised."""
        with self._lock:
            self._sum_up()
            return dict(self._counts)

    def _sum_up(self) -> None:
        added, counts = self._added, self._counts
        popleft = added.popleft
        with self._lock:
            while True:
                try:
                    name, amount = added[0]
                except IndexError:  # here, or in a handler that came between
                    return
                # The interpreter runs handlers after calls and before it goes round, so none
                # between looking at an addition and taking it away: each counts once.
                counts[name] += amount
                popleft()
