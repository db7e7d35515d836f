"""Threads for the rows of concurrency: started at once, bounded in time, nothing swallowed."""

import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 30.0
"""Seconds after which something that should end at once counts as a deadlock."""


def together(count: int, work: Callable[[int], T], *, patience: float = PATIENCE) -> list[T]:
    """Run `work(0)` to `work(count - 1)` in as many threads, let go at one instant.

    Args:
        count: How many threads.
        work: What each does with its number.
        patience: Seconds to wait for all of them.

    Returns:
        What each returned, by number.

    Raises:
        AssertionError: One did not end in time: a deadlock.
        BaseException: The first that any of them raised.
    """
    start = threading.Barrier(count)
    results: dict[int, T] = {}
    errors: list[BaseException] = []

    def run(number: int) -> None:
        try:
            start.wait(patience)
            results[number] = work(number)
        except BaseException as error:  # noqa: BLE001 - raised again by the caller's thread
            errors.append(error)

    threads = [threading.Thread(target=run, args=(n,), daemon=True) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(patience)
    if errors:
        raise errors[0]
    stuck = sum(thread.is_alive() for thread in threads)
    assert not stuck, f"{stuck} of {count} threads did not end within {patience} seconds"
    return [results[number] for number in range(count)]


def bounded(work: Callable[[], T], *, patience: float = PATIENCE) -> T:
    """Run in a thread of its own, so that a deadlock fails the test instead of hanging it."""
    (result,) = together(1, lambda _: work(), patience=patience)
    return result


@contextmanager
def restless(interval: float = 1e-6) -> Generator[None]:
    """Make the interpreter switch threads as often as it can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(interval)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
