"""What goes wrong again and again, logged once a state and counted.

The first of a kind is logged at once. More of the same kind are counted and logged as one line a
minute, for as long as they go on.
"""

import logging
import threading
import time
from collections.abc import Callable

from jinpy_cache_core.forks import call_in_children

INTERVAL = 60.0
"""Seconds between two lines of one kind."""

MOST_KINDS = 256
"""How many kinds are remembered; beyond that all are forgotten, and may be logged again."""

_log = logging.getLogger("jinpy_cache")


class Journal:
    """The log of one backend.

    Args:
        timer: Returns seconds; injected by tests.
        log: Where to write.
    """

    def __init__(
        self, timer: Callable[[], float] = time.monotonic, log: logging.Logger = _log
    ) -> None:
        self._timer = timer
        self._log = log
        self._renew_locks()
        call_in_children(self._renew_locks)
        self._kinds: dict[object, tuple[float, int]] = {}

    def _renew_locks(self) -> None:
        self._lock = threading.RLock()

    def warn(self, kind: object, message: str, *args: object, error: object = None) -> None:
        """Log a warning, unless one of its kind was logged within the last minute.

        Args:
            kind: What counts as the same; hashable.
            message: With `%s` for each of `args`.
            args: What goes into the message.
            error: An exception whose traceback belongs to the first line of its kind.
        """
        now = self._timer()
        with self._lock:
            last, unsaid = self._kinds.get(kind, (None, 0))
            if last is not None and now - last < INTERVAL:
                self._kinds[kind] = (last, unsaid + 1)
                return
            if len(self._kinds) >= MOST_KINDS:
                self._kinds.clear()
            self._kinds[kind] = (now, 0)
        if unsaid:
            message += f" ({unsaid:,} more like this since the last line.)"
        trace = error if last is None and isinstance(error, BaseException) else None
        self._log.warning(message, *args, exc_info=trace)

    def forget(self, kind: object) -> int:
        """End a state, so that the next of its kind is logged at once; how many went unsaid."""
        with self._lock:
            return self._kinds.pop(kind, (None, 0))[1]
