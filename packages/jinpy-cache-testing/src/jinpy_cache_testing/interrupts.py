"""Exceptions from signal handlers, raised at random instants of a call, as Ctrl-C and timeouts are.

An interval timer fires within microseconds of the beginning of each call; its handler raises
`Interrupt` in the main thread, wherever that is. So it must be used from the main thread.
"""

import contextlib
import random
import signal
import threading
from collections.abc import Callable, Generator, Sequence

EARLIEST, LATEST = 1e-6, 40e-6
"""Seconds after which the timer fires; a call takes about as long."""


class Interrupt(BaseException):
    """What the handler raises; no `except Exception` may stop it."""


class Storm:
    """Calls operations and interrupts them.

    Args:
        seed: Of the choice of operations and instants.

    Attributes:
        interrupted: How many calls ended by an interrupt.
        finished: How many calls came to their end.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - not for secrets
        self._armed = False
        self.interrupted = 0
        self.finished = 0

    @contextlib.contextmanager
    def raging(self) -> Generator["Storm"]:
        """Install the handler for a while."""
        before = signal.signal(signal.SIGALRM, self._strike)
        try:
            yield self
        finally:
            self._armed = False
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

    def _strike(self, _signal: int, _frame: object) -> None:
        if self._armed:
            self._armed = False
            raise Interrupt

    def call(self, operations: Sequence[Callable[[], object]]) -> bool:
        """Call one of the operations, chosen by chance; whether it came to its end."""
        operation = self._random.choice(operations)
        delay = self._random.uniform(EARLIEST, LATEST)
        try:
            self._armed = True
            signal.setitimer(signal.ITIMER_REAL, delay)
            operation()
            self._armed = False
        except Interrupt:
            self.interrupted += 1
            return False
        self.finished += 1
        return True


def works_elsewhere(probe: Callable[[], object], seconds: float = 20.0) -> bool:
    """Whether a call in another thread comes to its end: no lock was left behind."""
    done: list[bool] = []

    def run() -> None:
        probe()
        done.append(True)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    return done == [True]
