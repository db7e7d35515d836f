"""The lock around a region of the engine: one step to enter it, whatever is raised meanwhile.

A signal handler may raise between any two steps of the interpreter. `with` on a lock of the
standard library is one step; calling `acquire` and then entering a `try` are two, and an exception
between them leaves the lock behind. Compiled code runs no handler between two calls, so there a
class of our own is as safe, and its `with` costs a third.
"""

from threading import RLock
from types import TracebackType
from typing import Final, cast

COMPILED: Final = not __file__.endswith(".py")
"""Whether this module is machine code."""


class NativeRegion:
    """A re-entrant lock whose `with` compiles to two plain calls."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = RLock()

    def acquire(self, blocking: bool = True) -> bool:
        """Take the lock, waiting for it if that is wanted; whether it was taken."""
        return self._lock.acquire(blocking)

    def release(self) -> None:
        """Give it back."""
        self._lock.release()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lock.release()


def make_region() -> NativeRegion:
    """A lock that is entered in one step: ours where it is compiled, the standard one elsewhere."""
    return NativeRegion() if COMPILED else cast("NativeRegion", RLock())
