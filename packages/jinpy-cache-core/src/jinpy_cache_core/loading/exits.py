"""The end of the process: leases that it holds are given back, so that nobody waits for them.

At a normal end of the interpreter, and on SIGTERM where the program has no handler of its own, what
daemon threads and unfinished tasks still lead is given back in bounded time. A process that is
killed gives nothing back; `lock_timeout` bounds what that costs the others.
"""

import atexit
import os
import signal
import threading
from types import FrameType
from typing import Protocol
from weakref import WeakSet

SECONDS = 1.0
"""How long giving back may hold up the end of the process."""


class Leaves(Protocol):
    """What has something to do at the end."""

    def leave(self, seconds: float) -> None:
        """Give back every lease, in so many seconds at most."""
        ...


_everyone: "WeakSet[Leaves]" = WeakSet()
_lock = threading.RLock()
_handles_sigterm = False


def watch_exit(leaving: Leaves, *, signals: bool) -> None:
    """Call `leave` at the end of the process, for as long as the object lives.

    Args:
        leaving: What has leases to give back.
        signals: Whether SIGTERM counts, if nobody handles it: the default would end the process at
            once. After the leases are given back it does.
            Once for a process: who takes our handler away afterwards has decided otherwise.
    """
    global _handles_sigterm  # noqa: PLW0603
    with _lock:
        _everyone.add(leaving)
    if not signals or threading.current_thread() is not threading.main_thread():
        return
    if not _handles_sigterm and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        _handles_sigterm = True
        signal.signal(signal.SIGTERM, _on_sigterm)


def leave_all(seconds: float = SECONDS) -> None:
    """Have everyone give back their leases."""
    for leaving in list(_everyone):
        leaving.leave(seconds)


def _on_sigterm(_number: int, _frame: FrameType | None) -> None:
    # In a thread: what was interrupted may hold a lock that giving back needs.
    thread = threading.Thread(target=leave_all, name="jinpy-cache-exit", daemon=True)
    try:
        thread.start()
        thread.join(SECONDS)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)


def _renew_lock() -> None:
    global _lock  # noqa: PLW0603
    _lock = threading.RLock()


os.register_at_fork(after_in_child=_renew_lock)
atexit.register(leave_all)
