"""What the tests of the file backend share: a directory, backends that are closed, and programs."""

import contextlib
import os
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jinpy_cache_file import FileCacheBackend, FileCacheConfig
from jinpy_cache_testing import FakeClock

PROGRAMS = Path(__file__).parent / "programs"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Where the cache of a test lives; not made yet."""
    return tmp_path / "cache"


@pytest.fixture
def clock() -> FakeClock:
    """The present."""
    return FakeClock()


@pytest.fixture
def make(directory: Path) -> Iterator[Callable[..., FileCacheBackend]]:
    """Build backends on the directory; they are examined and closed after the test."""
    built: list[FileCacheBackend] = []

    def make(clock: FakeClock | None = None, **settings: Any) -> FakeClock | FileCacheBackend:
        settings = {"name": "disk", "directory": directory, **settings}
        backend = FileCacheBackend(FileCacheConfig(**settings), clock=clock)
        built.append(backend)
        return backend

    yield make
    for backend in built:
        backend.close()


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """A test leaves no descriptor and no thread behind."""
    descriptors, threads = open_descriptors(), threading.active_count()
    yield
    assert open_descriptors() == descriptors
    assert threading.active_count() <= threads


def open_descriptors() -> int:
    """How many descriptors this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a program of `programs/` that speaks through its pipes; it is gone after the test."""
    started: list[subprocess.Popen[str]] = []

    def start(name: str, *args: object, prefix: tuple[str, ...] = ()) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*prefix, sys.executable, str(PROGRAMS / f"{name}.py"), *map(str, args)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def run(start: Callable[..., subprocess.Popen[str]]) -> Callable[..., str]:
    """Run a program of `programs/` to its end and return what it printed."""

    def run(name: str, *args: object, prefix: tuple[str, ...] = ()) -> str:
        process = start(name, *args, prefix=prefix)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        return out.strip()

    return run


@pytest.fixture
def fork() -> Iterator[Callable[[Callable[[], object]], int]]:
    """Run something in a forked child, which is over after the test; returns its id.

    A child that raises ends with status 1. Wait for it with `os.waitpid`.
    """
    started: list[int] = []

    def fork(work: Callable[[], object]) -> int:
        pid = os.fork()
        if pid:
            started.append(pid)
            return pid
        status = 1
        try:
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)

    yield fork
    for pid in started:
        with contextlib.suppress(ChildProcessError, ProcessLookupError):
            if os.waitpid(pid, os.WNOHANG) == (0, 0):
                os.kill(pid, 9)
                os.waitpid(pid, 0)


class Shell:
    """A process that shares the cache and does what it is told."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert self._answer() == "ready", process.stderr.read() if process.poll() else ""

    def ask(self, expression: str) -> str:
        """Evaluate an expression over `cache` there; its `repr`, or `!Type ...` for an error."""
        self.tell(expression)
        return self._answer()

    def tell(self, expression: str) -> None:
        """Have an expression evaluated without waiting for it."""
        self.process.stdin.write(expression + "\n")
        self.process.stdin.flush()

    def _answer(self) -> str:
        return self.process.stdout.readline().rstrip("\n")


@pytest.fixture
def shell(start: Callable[..., subprocess.Popen[str]], directory: Path) -> Callable[..., Shell]:
    """Start a process that shares the directory."""

    def shell(prefix: tuple[str, ...] = (), where: Path = directory, **settings: object) -> Shell:
        return Shell(start("shell", where, repr(settings), prefix=prefix))

    return shell
