"""Each system call of a write in turn: the process is killed there, or the call fails.

A forked child opens the cache and stops; `strace` attaches to it and injects a fault into one of
the calls that follow. A run without faults, first, tells which calls there are.

That is sound only if each run makes the same calls. So whatever is imported at the first use is
imported before the forks, and value files get the same names in each run: a random one meets, once
in 256 runs, a folder that is there, and then none is made.
"""

import contextlib
import errno
import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jinpy_cache_core.exceptions import CacheException
from jinpy_cache_file import FileCacheBackend, FileCacheConfig

OLD, NEW, BIG = "old " * 20, "new " * 20, 400
NAMES = {OLD: "old", NEW: "new", OLD * BIG: "old", NEW * BIG: "new", None: "none"}

FAILED_AT = (
    "openat,write,pwrite64,writev,pwritev,?rename,?renameat,?renameat2,?mkdir,?mkdirat,"
    "?chmod,fchmod,?fchmodat,?fchmodat2,close,fsync,fdatasync"
)
KILLED_AT = f"{FAILED_AT},ftruncate,fallocate,?unlink,?unlinkat,flock,fcntl,pread64"
"""The calls that change something. Which of `?` there are depends on machine and C library."""

NONCES = random.Random()

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed"),
]

ACTIONS: dict[str, Callable[[FileCacheBackend], object]] = {
    "set": lambda cache: cache.set("small", NEW),
    "large": lambda cache: cache.set("large", NEW * BIG),
    "delete": lambda cache: cache.delete("large"),
    "incr": lambda cache: cache.incr("count"),
    "open": lambda cache: cache.set("small", NEW),
}


def config_of(directory: Path, **settings: object) -> FileCacheConfig:
    """The settings of every process here."""
    return FileCacheConfig(name="disk", directory=directory, inline_max_bytes=1000, **settings)


@pytest.fixture(autouse=True)
def the_same_names_in_each_run(monkeypatch):
    """Draw what value files are named by from a generator that `prepared` sets back."""
    monkeypatch.setattr(os, "urandom", NONCES.randbytes)


def prepared(directory: Path) -> Path:
    """A directory with an old value under each key."""
    NONCES.seed(1)
    with FileCacheBackend(config_of(directory)) as cache:
        cache.set("small", OLD)
        cache.set("large", OLD * BIG)
        cache.set("other", "untouched")
        cache.set("count", 7)
    return directory


def child(directory: Path, action: str, say: int) -> None:
    """Stop, act, and tell what came of it; in the forked process."""
    cache = None if action == "open" else FileCacheBackend(config_of(directory))
    os.kill(os.getpid(), signal.SIGSTOP)
    try:
        cache = cache or FileCacheBackend(config_of(directory))
        ACTIONS[action](cache)
        outcome = "done"
    except CacheException as error:
        outcome = f"{type(error).__name__} {error.errno}"
    with contextlib.suppress(OSError):
        os.write(999, b"MARK-END")
    again = ""
    if cache is not None:
        try:
            again = NAMES[cache.get("large" if action in {"large", "delete"} else "small")]
            cache.set("again", 1)
        except CacheException as error:
            again += f" {type(error).__name__}"
        cache.close()
    os.write(say, f"{outcome}|{again}".encode())


def traced(directory: Path, action: str, *options: str) -> tuple[str, list[str]]:
    """Let a child act under strace.

    Returns:
        What it said, empty if it was killed, and the lines of the trace.
    """
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            child(directory, action, write)
        except BaseException as error:
            os.write(write, f"!{error!r}".encode())
        finally:
            os._exit(0)
    os.close(write)
    os.waitpid(pid, os.WUNTRACED)
    trace = Path(f"{directory}.trace")
    command = ["strace", "-f", "-qq", "-o", str(trace), *options, "-p", str(pid)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tracer:
        # That it traces is not enough: it misses calls until it has seen the child stand still.
        while not (trace.exists() and "stopped by SIGSTOP" in trace.read_text()):
            assert tracer.poll() is None, tracer.stderr.read()
            time.sleep(0.001)
        os.kill(pid, signal.SIGCONT)
        os.waitpid(pid, 0)
    with os.fdopen(read) as pipe:
        said = pipe.read()
    assert not said.startswith("!"), said
    return said, trace.read_text().splitlines()


def rehearse(directory: Path, action: str) -> None:
    """Act in this process, so that the forked ones have nothing left to import."""
    with FileCacheBackend(config_of(prepared(directory))) as cache:
        ACTIONS[action](cache)


def points_of(tmp_path: Path, action: str, calls: str) -> list[tuple[str, int]]:
    """The system calls of an action: the name of each, and which of that name it is."""
    rehearse(tmp_path / "rehearsed", action)
    directory = tmp_path / "counted"
    if action != "open":
        prepared(directory)
    said, lines = traced(directory, action, "-e", f"trace={calls},write")
    assert said.startswith("done|"), said
    seen: dict[str, int] = {}
    points: list[tuple[str, int]] = []
    for line in lines:
        if "MARK-END" in line:
            break
        match = re.match(r"\d+ +(\w+)\(", line)
        if match and match[1] in calls.replace("?", "").split(","):
            seen[match[1]] = seen.get(match[1], 0) + 1
            points.append((match[1], seen[match[1]]))
    assert points
    return points


def sweep(tmp_path: Path, action: str, fault: str, calls: str) -> Iterator[tuple[str, Path, str]]:
    """Let the action run once for each of its system calls, with the fault injected there."""
    for name, nth in points_of(tmp_path, action, calls):
        directory = tmp_path / f"{name}-{nth}"
        if action != "open":
            prepared(directory)
        options = ("-e", f"trace={name}", "-e", f"inject={name}:{fault}:when={nth}")
        said, lines = traced(directory, action, *options)
        point = f"{name} #{nth}"
        assert any("(INJECTED" in line or "killed by SIGKILL" in line for line in lines), point
        yield point, directory, said


def examine(directory: Path, point: str, held: tuple[str, ...] = ("small", "large")) -> str:
    """Open the directory as the next process does; what it holds under the keys."""
    with FileCacheBackend(config_of(directory, lock_timeout=0.5)) as cache:
        values = [str(NAMES.get(value, value)) for value in map(cache.get, held)]
        assert cache.set_aside == 0, point
        cache.set("at once", 1)
        cache.sweep()
        report = cache.check()
        assert report.ok, (point, report.problems)
    return " ".join(values)


@pytest.mark.parametrize(
    ("action", "keys", "allowed"),
    [
        ("set", ("small", "other"), {"old untouched", "new untouched"}),
        ("large", ("large", "other"), {"old untouched", "new untouched"}),
        ("delete", ("large", "other"), {"old untouched", "none untouched"}),
        ("incr", ("count", "other"), {"7 untouched", "8 untouched"}),
    ],
)
def test_a_writer_killed_at_any_system_call(tmp_path, action, keys, allowed):
    """The old entry or the new one, never half of one; no lock is left; the rest is swept."""
    seen: set[str] = set()
    points: list[str] = []
    for point, directory, said in sweep(tmp_path, action, "signal=SIGKILL", KILLED_AT):
        points.append(point)
        assert said == "", point
        held = examine(directory, point, keys)
        assert held in allowed, point
        seen.add(held)
    assert seen == allowed
    if action == "large":  # its file is in a folder that was not there
        for call in (r"mkdir(at)? #2", r"f?chmod(at2?)? ", r"rename(at2?)? "):
            assert any(re.match(call, point) for point in points), call


def test_a_process_killed_while_it_makes_a_directory(tmp_path):
    """Whatever is half made, the next process makes whole."""
    for point, directory, said in sweep(tmp_path, "open", "signal=SIGKILL", KILLED_AT):
        assert said == "", point
        assert examine(directory, point, ("small",)) in {"none", "new"}, point


@pytest.mark.parametrize(
    ("action", "error"), [("set", "EIO"), ("set", "ENOSPC"), ("large", "EIO"), ("large", "ENOSPC")]
)
def test_a_system_call_that_fails(tmp_path, action, error):
    """An error of ours with the number, or success; the value is whole; the object works on."""
    failures = 0
    for point, directory, said in sweep(tmp_path, action, f"error={error}", FAILED_AT):
        outcome, again = said.split("|")
        if outcome == "done":
            assert again == "new", point
        else:
            failures += 1
            assert outcome == f"CacheBackendError {getattr(errno, error)}", point
            assert again in {"old", "new"}, point
        examine(directory, point)
    assert failures >= 2


def test_a_call_that_fails_while_a_directory_is_made(tmp_path):
    """Opening fails with an error of ours, or succeeds; the next attempt succeeds."""
    for point, directory, said in sweep(tmp_path, "open", "error=EIO", FAILED_AT):
        outcome = said.split("|")[0]
        assert outcome in {"done", f"CacheBackendError {errno.EIO}"}, (point, said)
        examine(directory, point)


def test_an_interrupted_system_call_is_made_again(tmp_path):
    """A signal at the wrong moment is nobody's business."""
    for point, directory, said in sweep(tmp_path, "large", "error=EINTR", "write,flock,openat"):
        assert said == "done|new", point
        examine(directory, point)


@pytest.mark.parametrize("action", ["set", "large"])
def test_a_disk_that_fails_for_good(tmp_path, action):
    """Every write fails from now on: an error, and the old value can still be read."""
    directory = prepared(tmp_path / "cache")
    calls = "pwrite64,writev,pwritev"
    if action == "large":
        calls += ",?rename,?renameat,?renameat2"
    options = ("-e", f"trace={calls}", "-e", f"inject={calls}:error=EIO")
    said, _lines = traced(directory, action, *options)
    assert said == f"CacheBackendError {errno.EIO}|old CacheBackendError"
    assert examine(directory, action).startswith("old old")
