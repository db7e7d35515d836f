"""How long a caller waits for others, and how often it looks."""

from collections.abc import Callable, Iterator

from jinpy_cache_core.loading.freshness import Chance

FIRST_PAUSE = 0.005
"""Seconds before a follower looks at another process's lease for the second time."""

LONGEST_PAUSE = 0.05
"""Seconds between two looks at most."""


class Waiting:
    """How long one caller waits for others: `lock_timeout` for one leader, and for two at most."""

    def __init__(self, limit: float, timer: Callable[[], float]) -> None:
        self.limit = self._limit = limit
        self._timer = timer
        self._waits = 0
        self._asked = False
        self._until = timer() + limit

    @property
    def waited(self) -> bool:
        """Whether a whole wait is over already."""
        return self._waits > 0

    @property
    def takeover_age(self) -> float:
        """Seconds from which somebody else's lead is taken over.

        Who asks again has come round; a wait that is over by then counts, however it ended, so
        that leaders who follow upon each other cannot keep a caller for ever.
        """
        if self._asked:
            self.next_wait()
        self._asked = True
        return self._limit if self._waits < 2 else 0.0

    def left(self) -> float:
        """Seconds left of this wait."""
        return self._until - self._timer()

    def next_wait(self) -> None:
        """Begin the next wait, if this one is over."""
        if self.left() <= 0:
            self._waits += 1
            self._until = self._timer() + self._limit

    def give_up(self) -> None:
        """Wait no more."""
        self._waits = 2


def pauses(chance: Chance) -> Iterator[float]:
    """Seconds between looks at the store: doubling, spread by chance, bounded."""
    pause = FIRST_PAUSE
    while True:
        yield pause * (0.5 + chance())
        pause = min(2 * pause, LONGEST_PAUSE)
