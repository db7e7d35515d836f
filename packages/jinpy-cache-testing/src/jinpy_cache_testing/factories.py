"""Factories for the rows of computing, and waiting for what other threads do."""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

from jinpy_cache_core.backend.base import BaseBackend
from jinpy_cache_testing.sync_view import Half

PATIENCE = 30.0
"""Seconds after which something that should happen at once counts as never."""


class Tally:
    """A factory that returns one value after the other, the last one again and again.

    Args:
        values: What it returns.

    Attributes:
        calls: How often it was called.
    """

    def __init__(self, *values: object) -> None:
        self._values = values
        self._lock = threading.Lock()
        self.calls = 0

    def __call__(self) -> object:
        """Return the next value."""
        with self._lock:
            self.calls += 1
            return self._values[min(self.calls, len(self._values)) - 1]


class Failing:
    """A factory that raises a `LookupError`.

    Attributes:
        calls: How often it was called.
    """

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> str:
        """Fail."""
        self.calls += 1
        message = "no"
        raise LookupError(message)


class Gate:
    """Tells one thread that another has come to a certain point."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def enter(self) -> None:
        """Say that the point is reached."""
        self._event.set()

    def wait(self, patience: float = PATIENCE) -> None:
        """Block until it is.

        Raises:
            AssertionError: It never was.
        """
        assert self._event.wait(patience), "the other thread did not come to its point"


def wait_for_followers(backend: BaseBackend, count: int) -> None:
    """Block until so many callers wait for the computations of a backend in this process.

    Raises:
        AssertionError: They never did.
    """
    until = time.monotonic() + PATIENCE
    while backend._loading.flights.followers() < count:
        assert time.monotonic() < until, f"{count} callers were to wait, and did not"
        time.sleep(0.001)


def of_half(compute: Callable[[], str], half: Half) -> Callable[[], Any]:
    """A slow factory for a half: a coroutine must leave its loop free."""
    if half == "sync":
        return compute

    async def acompute() -> str:
        return await asyncio.to_thread(compute)

    return acompute
