"""A hierarchical timer wheel: which entries have expired, in amortised constant time.

Varghese and Lauck, "Hashed and Hierarchical Timing Wheels" (SOSP 1987), as Caffeine uses it.
Level 0 has a bucket for each of the next 64 ticks; a bucket of each higher level spans 64 of the
level below. An entry lies in the bucket of its deadline, or
of an earlier one if its life was prolonged; when time reaches a bucket of a higher
level, its entries move down, at most four times in a life. There is no thread: writes advance it.

A bucket that time has reached is set aside whole, in one step, and emptied by a number of entries
at a time, so that a million that are due together cost no write more than its share. The first
entry of a chain says where the chain hangs; what the others say may be of a time before that.

The wheel is coarse and only reclaims memory; whether an entry is expired is decided exactly, from
its deadline, when it is read.
"""

import math
from typing import Final

from jinpy_cache_memory.entry import NO_BUCKET, Entry

NEVER: Final = math.inf

TICKS: Final = 16.0
"""Ticks in a second: an expired entry waits a sixteenth of a second at most for the next write."""

BITS: Final = 6
BUCKETS: Final = 64
LEVELS: Final = 5
"""They span 4 seconds, 4 minutes, 4.5 hours, 12 days and 2 years; what lives longer goes round."""

ON_TIME: Final = BUCKETS * LEVELS
"""The buckets of the wheel itself; behind them stand those that time has reached."""


class TimerWheel:
    """Entries by the time of their deadline.

    Args:
        now: The present, in seconds on the clock of the deadlines.

    Attributes:
        size: How many entries are scheduled.
    """

    __slots__ = ("_buckets", "_tick", "size")

    def __init__(self, now: float) -> None:
        self._buckets: list[Entry | None] = [None] * ON_TIME
        self._tick = math.floor(now * TICKS)
        self.size = 0

    def add(self, entry: Entry) -> None:
        """Schedule an entry that is not scheduled; its deadline is finite."""
        due = max(math.floor(entry.deadline * TICKS) + 1, self._tick + 1)
        ahead = due - self._tick
        level = 0
        while ahead >= BUCKETS and level < LEVELS - 1:
            ahead >>= BITS
            level += 1
        if ahead >= BUCKETS:  # beyond the wheel: into its farthest bucket, then again
            due = self._tick + ((BUCKETS - 1) << (BITS * level))
        bucket = (level << BITS) + ((due >> (BITS * level)) & (BUCKETS - 1))
        first = self._buckets[bucket]
        if first is not None:
            first.before = entry
        entry.after = first
        entry.bucket = bucket
        self._buckets[bucket] = entry
        self.size += 1

    def remove(self, entry: Entry) -> None:
        """Take out an entry that is scheduled."""
        before = entry.before
        after = entry.after
        if before is None:
            self._buckets[entry.bucket] = after
        else:
            before.after = after
        if after is not None:
            after.before = before
            after.bucket = entry.bucket
        entry.before = None
        entry.after = None
        entry.bucket = NO_BUCKET
        self.size -= 1

    @property
    def late(self) -> bool:
        """Whether buckets that time has reached are not empty yet."""
        return len(self._buckets) > ON_TIME

    def is_behind(self, now: float) -> bool:
        """Tell whether advancing to the present could find anything."""
        return self.size > 0 and (now * TICKS >= self._tick + 1 or len(self._buckets) > ON_TIME)

    def advance(self, now: float, most: int) -> list[Entry]:
        """Move on to the present.

        Args:
            now: In seconds; a time before the last one moves nothing.
            most: How many entries to look at.

        Returns:
            Those of them that have expired, taken out of the wheel.
        """
        tick = math.floor(now * TICKS)
        last = self._tick
        if tick > last:
            self._tick = tick
            if self.size > 0:
                for level in range(LEVELS):
                    shift = BITS * level
                    passed = (tick >> shift) - (last >> shift)
                    if passed == 0:
                        break
                    start = last >> shift
                    for step in range(1, min(passed, BUCKETS) + 1):
                        self._set_aside((level << BITS) + ((start + step) & (BUCKETS - 1)))
        return self._expire(now, most)

    def _set_aside(self, bucket: int) -> None:
        first = self._buckets[bucket]
        if first is not None:
            self._buckets[bucket] = None
            first.bucket = len(self._buckets)
            self._buckets.append(first)

    def _expire(self, now: float, most: int) -> list[Entry]:
        """Empty what was set aside, the last bucket first."""
        expired: list[Entry] = []
        buckets = self._buckets
        while len(buckets) > ON_TIME:
            entry = buckets[len(buckets) - 1]
            if entry is None:
                buckets.pop()
                continue
            if most == 0:
                break
            most -= 1
            self.remove(entry)
            if entry.deadline <= now:
                expired.append(entry)
            elif entry.deadline != NEVER:
                self.add(entry)
        return expired
