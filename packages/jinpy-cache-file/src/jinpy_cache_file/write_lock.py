"""The lock in front of LMDB's own: one that can be given up.

LMDB serialises writers with a mutex that waits for ever, and a stopped process keeps it. Writers
here take an `flock` first and ask for LMDB's mutex only once they have it, so that a wait can end
in `CacheTimeoutError`. The kernel releases an `flock` with its holder, killed or not, so nothing is
ever broken by guessing. Readers take no lock at all.

An `flock` has no timeout either: it is tried, and tried again after pauses that double up to a
millisecond. Meanwhile its holder does one transaction after the other on warm caches: measured with
four processes that do nothing but write, together they write as much as one does alone, and no less
than with LMDB's mutex alone.
"""

import contextlib
import os
import threading
import time
from fcntl import LOCK_EX, LOCK_NB, LOCK_UN, flock
from pathlib import Path
from typing import Final

from jinpy_cache_core import CacheTimeoutError
from jinpy_cache_file.directory import open_own, open_regular

LOCK_NAME: Final = "write.lock"

_EXCLUSIVE: Final = LOCK_EX | LOCK_NB
_LONGEST_NOTE: Final = 64
_FIRST_PAUSE: Final = 0.0001
_LONGEST_PAUSE: Final = 0.001


class LockClosedError(Exception):
    """The lock was replaced or given up while somebody waited for it."""


class WriteLock:
    """Mutual exclusion of writers across threads and processes; not reentrant.

    Args:
        directory: Whose `write.lock` it is; the file is made if it is missing, never removed.
        gate: What excludes the threads of this process: an `flock` is held by all of them. Who has
            the lock has the gate; who waits for another process has not.
        readonly: The file can be read only, as nothing will be written.
    """

    def __init__(self, directory: Path, gate: threading.Lock, *, readonly: bool = False) -> None:
        self.path = directory / LOCK_NAME
        self._gate = gate
        self.descriptor = open_regular(self.path, os.O_RDONLY) if readonly else open_own(self.path)

    @classmethod
    def unopened(cls, path: Path, gate: threading.Lock) -> "WriteLock":
        """A lock whose file cannot be opened now: it can be closed, but not acquired."""
        lock = cls.__new__(cls)
        lock.path, lock.descriptor, lock._gate = path, -1, gate
        return lock

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

    def acquire(self, timeout: float) -> None:
        """Take the lock, waiting at most `timeout` seconds.

        Raises:
            CacheTimeoutError: Somebody else kept it all the time.
            LockClosedError: It was closed, or its file cannot be opened.
        """
        if self._gate.acquire(False):
            try:
                flock(self.descriptor, _EXCLUSIVE)
            except BaseException as error:  # noqa: BLE001 - raised again, unless it is held
                self._give_way(error)
            else:
                return
        self._wait(timeout)

    def try_acquire(self) -> bool:
        """Take the lock if nobody has it.

        Raises:
            LockClosedError: It was closed, or its file cannot be opened.
        """
        return self._gate.acquire(False) and self._acquired()

    def release(self) -> None:
        """Give the lock back."""
        try:
            flock(self.descriptor, LOCK_UN)
        finally:
            self._gate.release()

    def close(self) -> None:
        """Close the file once no thread of this process has the lock; the lock is no more."""
        with self._gate:
            descriptor, self.descriptor = self.descriptor, -1
            if descriptor >= 0:
                os.close(descriptor)

    def forget(self) -> None:
        """Close the file in a forked child, where the thread that holds the lock does not exist."""
        if self.descriptor >= 0:
            os.close(self.descriptor)

    def _acquired(self) -> bool:
        """Take the `flock` behind the gate if it is free; give the gate back if it is not."""
        try:
            flock(self.descriptor, _EXCLUSIVE)
        except BaseException as error:  # noqa: BLE001 - raised again, unless it is held
            self._give_way(error)
            return False
        return True

    def _give_way(self, error: BaseException) -> None:
        self._gate.release()
        if self.descriptor < 0:
            raise LockClosedError from error
        if not isinstance(error, BlockingIOError):
            raise error

    def _wait(self, timeout: float) -> None:
        give_up = time.monotonic() + timeout
        pause = _FIRST_PAUSE
        while (left := give_up - time.monotonic()) > 0:
            if self._gate.acquire(True, left) and self._acquired():
                return
            time.sleep(min(pause, left))
            pause = min(2 * pause, _LONGEST_PAUSE)
        raise _held(self.path, timeout)


def _held(path: Path, timeout: float) -> CacheTimeoutError:
    message = (
        f"Another writer kept the lock {str(path)!r} for longer than lock_timeout={timeout:g} "
        f"seconds{_by_whom(path)}. Reads still work; nothing was written."
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
