"""Factories that failed a moment ago, by key: for who does not want to ask them again at once."""

import threading
from collections.abc import Callable
from types import TracebackType

from jinpy_cache_core.forks import call_in_children

MOST = 1024
"""How many keys are remembered; beyond that all are forgotten."""


class RecentFailures:
    """The failures of one backend in this process.

    Args:
        timer: Returns seconds.
    """

    def __init__(self, timer: Callable[[], float]) -> None:
        self._timer = timer
        self._renew_locks()
        call_in_children(self._renew_locks)
        self._by_key: dict[str, tuple[float, Exception, TracebackType | None]] = {}

    def _renew_locks(self) -> None:
        self._lock = threading.RLock()

    def note(self, key: str, error: Exception, seconds: float) -> None:
        """Remember an error for so many seconds; 0 for not at all."""
        if not seconds:
            return
        with self._lock:
            if len(self._by_key) >= MOST:
                self._by_key.clear()
            self._by_key[key] = (self._timer() + seconds, error, error.__traceback__)

    def forget(self, key: str) -> None:
        """Forget what is remembered of a key: its factory has succeeded."""
        if self._by_key:
            with self._lock:
                self._by_key.pop(key, None)

    def recent(self, key: str) -> Exception | None:
        """The error of a key that is still remembered, as it was when it was raised."""
        if not self._by_key:
            return None
        with self._lock:
            known = self._by_key.get(key)
            if known is None:
                return None
            until, error, trace = known
            if self._timer() >= until:
                del self._by_key[key]
                return None
        return error.with_traceback(trace)
