"""Locks that no exception can leave behind, wherever it comes from.

A signal handler, or another thread, may raise an exception between any two steps of the
interpreter: Ctrl-C, the timeouts of task queues and of test runners. A `finally` that such an
exception hits does not come to its end. What is written in C does: so a lock is *given back* by
a `with` whose `__exit__` is a function of C, and *taken* inside of `try`, where the lock itself
knows whose it is. No wait is without a limit.
"""

from collections.abc import Callable
from operator import attrgetter
from threading import RLock
from typing import TYPE_CHECKING, Any, Final

from jinpy_cache_core import CacheTimeoutError

if TYPE_CHECKING:

    class OnLeaving:
        """Does something when a `with` is left."""

        def __init__(self, leave: Callable[..., object]) -> None: ...
        def __enter__(self) -> object: ...
        def __exit__(self, *_exception: object) -> None: ...

else:

    class OnLeaving:
        """Does something when a `with` is left; the interpreter does it in one step.

        Args:
            leave: A function of C that takes what `__exit__` takes.
        """

        # The interpreter looks for the methods of a `with` in the class; there it finds the
        # descriptors of these slots, which give it what the instance holds.
        __slots__ = ("__enter__", "__exit__")

        def __init__(self, leave: Callable[..., object]) -> None:
            self.__enter__ = bool
            self.__exit__ = leave


MUTEX_PATIENCE: Final = 30.0
"""Seconds that a thread waits for another one of its process that opens or closes a store."""


class Mutex:
    """A reentrant lock for `with`, which waits for a limited time.

    Args:
        what: What the other thread is doing, for the error.
        patience: Seconds to wait.

    Attributes:
        is_mine: Tells whether this very thread holds it: where that is a surprise, a handler, a
            finaliser or a fork has interrupted it.
    """

    __slots__ = ("_leave", "_lock", "_patience", "_what", "is_mine")

    def __init__(self, what: str, patience: float = MUTEX_PATIENCE) -> None:
        self._lock = RLock()
        self._leave = self._lock.__exit__
        self.is_mine = owned(self._lock)
        self._what = what
        self._patience = patience

    def __enter__(self) -> None:
        held = self.is_mine()
        try:
            if self._lock.acquire(timeout=self._patience):
                return
        except BaseException:
            if not held and self.is_mine():
                self._lock.release()
            raise
        message = (
            f"Another thread of this process has been {self._what} for longer than "
            f"{self._patience:g} seconds. Nothing was done."
        )
        raise CacheTimeoutError(message)

    if TYPE_CHECKING:

        def __exit__(self, *_exception: object) -> None: ...

    else:
        __exit__ = property(attrgetter("_leave"))

    def acquire(self) -> bool:
        """Take it outside of a `with`; whether that was possible in time."""
        return self._lock.acquire(timeout=self._patience)

    def release(self) -> None:
        """Give back what `acquire` took."""
        self._lock.release()


def owned(lock: Any) -> Callable[[], bool]:
    """What tells whether the calling thread holds an `RLock`, as `Condition` asks it."""
    is_owned: Callable[[], bool] = lock._is_owned
    return is_owned
