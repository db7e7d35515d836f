"""Callers of one process who want to ask the store the same about one key ask once.

Of the questions about a key one may be under way, and one may be about to be sent. Who comes joins
the one that has not been sent: it will see whatever happened before they came, an invalidation
above all. Nobody joins the one under way, as the store may have answered it before that.
"""

import os
import threading
from typing import Any

from jinpy_cache_core.forks import call_in_children
from jinpy_cache_core.loading.flights import Flight, Landing, running_loop
from jinpy_cache_core.sentinels import MISSING


class Errand(Landing):
    """One question, asked by one caller for all who joined before it was sent.

    Attributes:
        key: What it is about.
        after: The one under way when this one was begun; it is sent once that is over.
        answer: What the others may make of the answer; `MISSING` if there is none for them.
        flight: The computation of this process that the answer is about, which may land before
            those who joined go on.
        failed: Whether the store failed to answer.
    """

    def __init__(self, key: str) -> None:
        super().__init__(running_loop())
        self.key = key
        self.after: Errand | None = None
        self.answer: Any = MISSING
        self.flight: Flight | None = None
        self.failed = False

    def land(self) -> None:
        """Wake everyone who joined."""
        with self._lock:
            waiting = self._end()
        for wake in waiting:
            wake()


class Desk:
    """The errands of one backend in this process, by key."""

    def __init__(self) -> None:
        self._renew()
        call_in_children(self._renew_locks)

    def _renew_locks(self) -> None:
        self._lock = threading.RLock()

    def _renew(self) -> None:
        self._pid = os.getpid()
        self._renew_locks()
        self._sent: dict[str, Errand] = {}
        self._next: dict[str, Errand] = {}
        self._watches: dict[bytes, Errand] = {}

    def watch(self, token: bytes, own: Errand) -> Errand:
        """The watch over a lease of another process; the caller's own, to be kept, if none is."""
        self._open()
        with self._lock:
            return self._watches.setdefault(token, own)

    def watched(self, token: bytes, watch: Errand) -> None:
        """The watch is over, for whatever reason; who waited looks again."""
        with self._lock:
            if self._watches.get(token) is watch:
                del self._watches[token]
        watch.land()

    def _open(self) -> None:
        if self._pid != os.getpid():  # in a forked child: the parent's errands end elsewhere
            self._renew()

    def join(self, own: Errand) -> Errand:
        """The errand about a key that is not sent yet; the caller's own, to be sent, if none is.

        The caller says that it is `done`, whatever happens, once this was called.
        """
        self._open()
        with self._lock:
            errand = self._next.get(own.key)
            if errand is not None:
                return errand
            own.after = self._sent.get(own.key)
            self._next[own.key] = own
            return own

    def sending(self, errand: Errand) -> None:
        """The errand is being sent: who comes from now on does not join it."""
        with self._lock:
            if self._next.get(errand.key) is errand:
                del self._next[errand.key]
            self._sent[errand.key] = errand

    def done(self, errand: Errand) -> None:
        """The errand is over, answered or not."""
        with self._lock:
            _forget(self._sent, errand)  # no loop here: on 3.12 and 3.13 the backward jump of one
            _forget(self._next, errand)  # that ends with a condition is outside the `with`
        errand.after = None
        errand.land()

    def __len__(self) -> int:
        return len(self._sent) + len(self._next) + len(self._watches)


def _forget(errands: dict[str, Errand], errand: Errand) -> None:
    if errands.get(errand.key) is errand:
        del errands[errand.key]
