"""The lock in front of LMDB's own: one that can be given up.

LMDB serialises writers with a mutex that waits for ever, and a stopped process keeps it. Writers
here take an `flock` first and ask for LMDB's mutex only once they have it, so that a wait can end
in `CacheTimeoutError`. The kernel releases an `flock` with its holder, killed or not, so nothing is
ever broken by guessing. Readers take no lock at all.

An `flock` has no timeout either: it is tried, and tried again after pauses that double up to a
millisecond. Meanwhile its holder does one transaction after the other on warm caches: measured with
four processes that do nothing but write, together they write as much as one does alone, and no less
than with LMDB's mutex alone.

**Interrupts.** Whoever takes the lock does so like this, or with `within`, which does it for him:

    if lock.is_mine():
        raise lock.reentered()
    try:
        lock.acquire(timeout)
        with lock.gate_left:
            try:
                ...
            finally:
                flock(lock.descriptor, LOCK_UN)
    except BaseException:
        lock.forsake()
        raise

The gate is left in a single step of the interpreter; what an exception leaves behind, before the
`with` is entered or where it comes into the `finally`, `forsake` gives back: the gate knows its
owner, and an `flock` that the process holds while nobody holds the gate is nobody's.
"""

import contextlib
import math
import os
import time
from collections.abc import Callable
from contextvars import ContextVar
from fcntl import LOCK_EX, LOCK_NB, LOCK_UN, flock
from functools import partial
from io import FileIO
from pathlib import Path
from threading import RLock
from typing import Any, Final, TypeVar

from jinpy_cache_core import CacheBackendError, CacheTimeoutError
from jinpy_cache_file.directory import open_own, open_regular
from jinpy_cache_file.interrupts import OnLeaving, owned

T = TypeVar("T")

LOCK_NAME: Final = "write.lock"

_EXCLUSIVE: Final = LOCK_EX | LOCK_NB
_LONGEST_NOTE: Final = 256
_FIRST_PAUSE: Final = 0.0001
_LONGEST_PAUSE: Final = 0.001

WAIT_UNTIL: Final = ContextVar("WAIT_UNTIL", default=math.inf)
"""When a wait must end that began before it came here, in seconds of the monotonic clock."""

_CLOSING_PATIENCE: Final = 5.0
"""Seconds that a thread which closes the lock waits for one that writes."""


class LockClosedError(Exception):
    """The lock was replaced or given up while somebody waited for it."""


class WriteLock:
    """Mutual exclusion of writers across threads and processes; not reentrant.

    The threads of this process are excluded by a gate, as an `flock` is held by all of them. Who
    has the lock has the gate; who waits for another process has not.

    Args:
        directory: Whose `write.lock` it is.

    Attributes:
        path: The file.
        descriptor: The open file, or -1.
        gate: What excludes the threads of this process.
        gate_left: Leaving a `with` of it gives the gate back.
        is_mine: Tells whether this very thread has the lock.
    """

    def __init__(self, directory: Path) -> None:
        self.path = self._place = directory / LOCK_NAME
        self.descriptor = -1
        self._file: FileIO | None = None
        self._renew_gate()

    def _renew_gate(self) -> None:
        self.gate = RLock()
        self.is_mine: Callable[[], bool] = owned(self.gate)
        self.gate_left = OnLeaving(self.gate.__exit__)

    def move(self, place: Path) -> None:
        """Open the file at another path from now on, which leads to the same directory."""
        self._place = place / LOCK_NAME

    def open(self, *, readonly: bool = False) -> None:
        """Open the file, which is made if it is missing and never removed; close the old one.

        Args:
            readonly: The file can be read only, as nothing will be written.

        Raises:
            OSError: It cannot be opened.
        """
        file = open_regular(self._place, os.O_RDONLY) if readonly else open_own(self._place)
        if not self.with_nobody_writing(partial(self._adopt, file)):
            raise kept_too_long(self.path, _CLOSING_PATIENCE)

    def noted(self) -> bytes:
        """What the last `note` wrote."""
        try:
            return os.pread(self.descriptor, _LONGEST_NOTE, 0)
        except OSError:
            return b""

    def note(self, text: bytes) -> None:
        """Write something into the lock file for those who come later; best effort."""
        with contextlib.suppress(OSError):
            os.pwrite(self.descriptor, text, 0)
            os.ftruncate(self.descriptor, len(text))

    def reentered(self) -> CacheBackendError:
        """The error of a handler or finaliser that has interrupted its own thread's write."""
        message = (
            f"This thread is in the middle of a write to {str(self.path.parent)!r}: a signal "
            "handler or a finaliser has interrupted it there, and must not write. Nothing was "
            "written; reads work. Let the handler set a flag, and write afterwards."
        )
        return CacheBackendError(message)

    def locked(self) -> bool:
        """Whether some thread of this process has the lock."""
        if self.is_mine() or not self.gate.acquire(False):
            return True
        self.gate.release()
        return False

    def acquire(self, timeout: float) -> None:
        """Take the lock, waiting at most `timeout` seconds; see this module on how to call it.

        Raises:
            CacheTimeoutError: Somebody else kept it all the time.
            LockClosedError: It was closed, or its file cannot be opened.
        """
        if self.gate.acquire(False):
            try:
                flock(self.descriptor, _EXCLUSIVE)
            except (OSError, ValueError) as error:
                self._give_way(error)
            else:
                return
        self._wait(timeout)

    def forsake(self) -> None:
        """Give back what an exception has left behind, if it has; another may come into this."""
        try:
            if self.is_mine() or self.gate.acquire(False):
                with self.gate_left:
                    self._unlock()
        except BaseException:
            if self.is_mine():
                with self.gate_left:
                    self._unlock()
            raise

    def _unlock(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            flock(self.descriptor, LOCK_UN)

    def within(self, timeout: float, work: Callable[..., T], *args: Any) -> T:
        """Do something while holding the lock.

        Raises:
            CacheTimeoutError: Somebody else kept it all the time.
            LockClosedError: It was closed, or its file cannot be opened.
            CacheBackendError: This thread holds it already.
        """
        if self.is_mine():
            raise self.reentered()
        try:
            self.acquire(timeout)
            with self.gate_left:
                try:
                    return work(*args)
                finally:
                    flock(self.descriptor, LOCK_UN)
        except BaseException:
            self.forsake()
            raise

    def with_nobody_writing(
        self, work: Callable[[], object], patience: float = _CLOSING_PATIENCE
    ) -> bool:
        """Do something while no other thread of this process writes.

        Returns:
            Whether it was done; not if another thread keeps writing for seconds.
        """
        entered = self.is_mine()
        try:
            if not self.gate.acquire(timeout=patience):
                return False
            with self.gate_left:
                work()
        except BaseException:
            if not entered:
                self.forsake()
            raise
        return True

    def close(self) -> None:
        """Close the file once no thread of this process has the lock; the lock is no more."""
        self.with_nobody_writing(partial(self._adopt, None))

    def _adopt(self, file: FileIO | None) -> None:
        self.descriptor = -1 if file is None else file.fileno()
        previous, self._file = self._file, file
        if previous is not None:
            previous.close()

    def forget(self) -> None:
        """Close the file in a forked child, where the thread that holds the lock does not exist."""
        self._adopt(None)
        self._renew_gate()

    def _give_way(self, error: Exception) -> None:
        self.gate.release()
        if self.descriptor < 0:
            raise LockClosedError from error
        if not isinstance(error, BlockingIOError):
            raise error

    def _wait(self, timeout: float) -> None:
        give_up = min(time.monotonic() + timeout, WAIT_UNTIL.get())
        pause = _FIRST_PAUSE
        while (left := give_up - time.monotonic()) > 0:
            if self.gate.acquire(True, left):
                try:
                    flock(self.descriptor, _EXCLUSIVE)
                except (OSError, ValueError) as error:
                    self._give_way(error)
                else:
                    return
            time.sleep(min(pause, left))
            pause = min(2 * pause, _LONGEST_PAUSE)
        raise kept_too_long(self.path, timeout)


def kept_too_long(path: Path, timeout: float) -> CacheTimeoutError:
    """The error of somebody who waited in vain.

    Args:
        path: Of the lock file.
        timeout: How long, in seconds.
    """
    message = (
        f"Another writer kept the lock {str(path)!r} for longer than lock_timeout={timeout:g} "
        f"seconds{_by_whom(path) if timeout else ''}. Reads still work; nothing was written."
    )
    return CacheTimeoutError(message)


def _by_whom(path: Path) -> str:
    """Name the process that holds the lock, where the kernel tells."""
    try:
        inode = path.stat().st_ino
        for line in Path("/proc/locks").read_text().splitlines():
            fields = line.split()
            if fields[1] == "FLOCK" and fields[5].endswith(f":{inode}"):
                return f" (process {fields[4]})"
    except (OSError, IndexError):
        pass
    return ""
