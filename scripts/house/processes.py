"""Starting programs so that none of them outlives us."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO

from house.toolbox import ROOT

TIME_LIMIT = 15 * 60.0
"""Seconds after which a program is ended; nothing here should take half as long."""

GRACE = 3.0
"""Seconds that a finished program's children have to end by themselves."""

_PR_SET_CHILD_SUBREAPER = 36
_TIMED_OUT = 124
_INTERRUPTED = 130


class Processes:
    """The programs that were started, each the leader of its own process group.

    A program that ends and leaves children running has failed: they are named and ended. On Linux
    this process also adopts descendants that left their group, as a server in the background does.
    """

    def __init__(self) -> None:
        self._running: set[int] = set()
        self._ending = False
        self._lock = threading.Lock()
        if sys.platform == "linux":
            ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def run(self, command: Sequence[str], settings: Mapping[str, str], output: IO[bytes]) -> int:
        """Run a program to its end and return its exit status.

        Args:
            command: The program and its arguments.
            settings: Its environment variables.
            output: Receives what it prints, both streams, and a sentence if it took longer than
                `TIME_LIMIT` or left processes behind.
        """
        with self._lock:
            if self._ending:
                return _INTERRUPTED
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=settings,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self._running.add(process.pid)
        try:
            status = process.wait(TIME_LIMIT)
        except subprocess.TimeoutExpired:
            _say(output, f"Ended after {TIME_LIMIT:.0f} s: {' '.join(command)}")
            _end_group(process.pid)
            process.wait()
            status = _TIMED_OUT
        strays = _wait_until_empty(lambda: _members_of(process.pid))
        if strays and not self._ending:
            _say(output, f"Left behind and now ended: {'; '.join(strays.values())}")
            status = status or 1
        _end_group(process.pid)
        self._running.discard(process.pid)
        return status

    def end_all(self) -> None:
        """End every program that is still running, with its process group, and start no more."""
        with self._lock:
            self._ending = True
            for leader in self._running:
                _end_group(leader)

    def end_strays(self) -> list[str]:
        """End the processes that left their group and return their command lines.

        Only for when nothing else is running.
        """
        strays = _wait_until_empty(_children)
        for pid in strays:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        _wait_until_empty(_children)
        return list(strays.values())


def _say(output: IO[bytes], sentence: str) -> None:
    output.seek(0, os.SEEK_END)
    output.write(f"\n{sentence}\n".encode())
    output.flush()


def _end_group(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def _wait_until_empty(listing: Callable[[], dict[int, str]]) -> dict[int, str]:
    """Ask for processes until there are none, or for `GRACE` seconds."""
    deadline = time.monotonic() + GRACE
    while (found := listing()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return found


def _members_of(leader: int) -> dict[int, str]:
    """Return the processes that run in a group, after reaping those that we have adopted."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-leader, os.WNOHANG)[0]:
            pass
    try:
        os.killpg(leader, 0)
    except (ProcessLookupError, PermissionError):
        return {}
    everyone = (int(path.name) for path in Path("/proc").glob("[0-9]*"))
    return _command_lines(pid for pid in everyone if _group_of(pid) == leader)


def _children() -> dict[int, str]:
    """Return the processes whose parent we are, after reaping those that have ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    found: list[int] = []
    for listing in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found.extend(map(int, listing.read_text().split()))
    return _command_lines(found)


def _group_of(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except OSError:
        return None


def _command_lines(pids: Iterable[int]) -> dict[int, str]:
    lines: dict[int, str] = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            words = Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")
            if line := " ".join(words).strip():  # a process that has just ended has none
                lines[pid] = line
    return lines
