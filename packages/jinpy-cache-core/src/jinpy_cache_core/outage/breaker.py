"""`Breaker`: whether a store is worth asking, judged by how the last questions to it went.

Closed, everybody asks. After a few failures in a row it opens, and nobody asks: callers go on
without the store at no cost. While it is open, one of them at a time is told to probe, at intervals
that grow and are spread by chance, so that a thousand processes do not come back at one instant.
A probe that is answered closes it.

Which failures count is for the caller to say: a refusal is an answer, and a queue of our own is no
outage. One that has cost a caller all the time it may take opens it at once: two more would cost as
much each, where a needless probe costs a moment.
"""

import random
import threading
import time
from collections.abc import Callable

from jinpy_cache_core.forks import call_in_children

FAILURES = 3
"""How many failures in a row open a breaker."""

FIRST_DELAY = 0.05
"""Seconds from opening to the first probe at most."""

LONGEST_DELAY = 0.5
"""Seconds between two probes at most."""

PROBE_LIFETIME = 30.0
"""Seconds after which a probe of which nobody told the end, as it was interrupted, is forgotten."""


class Breaker:
    """The state of one store, as this process knows it; any thread may tell it and ask it.

    Args:
        failures: How many in a row open it.
        first: Seconds from opening to the first probe at most; doubled for each further one.
        longest: Seconds between two probes at most.
        timer: Returns seconds; injected by tests.
        chance: Returns a number from 0 up to 1; injected by tests.

    Attributes:
        open: Whether the store should not be asked. Reading it is all that a hit pays.
        since: When it opened, on the timer; of the last time if it is closed.
    """

    def __init__(
        self,
        *,
        failures: int = FAILURES,
        first: float = FIRST_DELAY,
        longest: float = LONGEST_DELAY,
        timer: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.open = False
        self.since = 0.0
        self._needed = failures
        self._first = first
        self._longest = longest
        self._timer = timer
        self._chance = chance
        self._renew_locks()
        call_in_children(self._renew_locks)
        self._failed = 0
        self._probes = 0
        self._due = 0.0

    def _renew_locks(self) -> None:
        self._lock = threading.RLock()

    def failed(self, *, at_once: bool = False) -> bool:
        """Note a failure; whether it opened the breaker.

        Args:
            at_once: It is enough by itself.
        """
        with self._lock:
            if self.open:
                return False
            self._failed += 1
            if self._failed < self._needed and not at_once:
                return False
            self.open = True
            self.since = self._timer()
            self._probes = 0
            self._due = self.since + self._delay()
            return True

    def succeeded(self) -> bool:
        """Note an answer of the store; whether it closed the breaker."""
        if not self._failed:  # nearly always; a failure that races with this one counts on
            return False
        with self._lock:
            self._failed = 0
            closed, self.open = self.open, False
            return closed

    def probe(self) -> bool:
        """Whether the caller shall probe the store now; it must tell `probed` how it went."""
        if not self.open or self._timer() < self._due:
            return False
        with self._lock:
            now = self._timer()
            if not self.open or now < self._due:
                return False
            self._due = now + PROBE_LIFETIME
            return True

    def probed(self, *, answered: bool) -> bool:
        """Note how a probe went; whether it closed the breaker."""
        if answered:
            return self.succeeded()
        with self._lock:
            self._probes += 1
            self._due = self._timer() + self._delay()
            return False

    def _delay(self) -> float:
        limit = min(self._longest, self._first * 2.0 ** min(self._probes, 30))
        return limit * (0.5 + 0.5 * self._chance())

    def __repr__(self) -> str:
        return f"<Breaker {'open' if self.open else 'closed'} failures={self._failed}>"
