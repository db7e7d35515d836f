"""Everything that can be done to processes that share a cache, for a while, and what must hold.

Eight processes of four threads work on one disk, in one directory that is wiped under them again
and again, and in one that is not, where they count. Meanwhile they are killed, stopped, interrupted
by exceptions from a signal handler, they fork, and the disk is full now and then.
"""

import contextlib
import mmap
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.file.telltale import assert_whole, value_of

from jinpy_cache_core.exceptions import CacheException
from jinpy_cache_file import FileCacheBackend, FileCacheConfig
from jinpy_cache_testing.interrupts import EARLIEST, Interrupt

PROCESSES, THREADS, KEYS, COUNTERS = 8, 4, 400, 4
SECONDS = float(os.environ.get("JINPY_SOAK_SECONDS", "60"))
MAX_BYTES = 8 << 20
DISK = 96 << 20

WORDS = ("tried", "acknowledged", "operations", "refused", "interrupted", "forked", "aborted")
"""What each thread counts, in memory that outlives its process."""

pytestmark = [
    pytest.mark.soak,
    pytest.mark.faults,
    pytest.mark.timeout(0),
    pytest.mark.filterwarnings("ignore:This process:DeprecationWarning"),
]


class Tally:
    """Numbers that all processes write to and that outlive them: one row for each thread."""

    def __init__(self, rows: int) -> None:
        self._memory = mmap.mmap(-1, rows * len(WORDS) * 8)
        self._rows = rows

    def add(self, row: int, word: str) -> None:
        """Count one more."""
        at = (row * len(WORDS) + WORDS.index(word)) * 8
        (number,) = struct.unpack_from("<Q", self._memory, at)
        struct.pack_into("<Q", self._memory, at, number + 1)

    def total(self, word: str) -> int:
        """What all threads have counted."""
        numbers = [
            struct.unpack_from("<Q", self._memory, (row * len(WORDS) + WORDS.index(word)) * 8)[0]
            for row in range(self._rows)
        ]
        return sum(numbers)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of our own."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=0700", "tmpfs", place], check=False
    )
    if mounted.returncode:
        pytest.skip("only who may mount can fill a disk")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def config_of(directory: Path, **settings: Any) -> FileCacheConfig:
    """A small cache, with values in the tree and in files."""
    return FileCacheConfig(
        name="disk",
        directory=directory,
        max_bytes=MAX_BYTES,
        inline_max_bytes=2000,
        lock_timeout=2,
        **settings,
    )


class Worker:
    """One process: four threads, the first of which is interrupted and forks."""

    def __init__(self, disk: Path, number: int, seed: int, tally: Tally) -> None:
        self._disk = disk
        self._number = number
        self._seed = seed
        self._tally = tally
        self._armed = False

    def run(self) -> None:
        signal.signal(signal.SIGALRM, self._strike)
        sys.unraisablehook = lambda _: None  # what strikes in a finaliser, Python swallows
        with (
            self._opened(config_of(self._disk / "wiped", max_entries=KEYS // 2)) as values,
            self._opened(config_of(self._disk / "kept")) as counts,
        ):
            for number in range(1, THREADS):
                threading.Thread(target=self._toil, args=(number, values, counts)).start()
            self._toil(0, values, counts)

    def _opened(self, config: FileCacheConfig) -> FileCacheBackend:
        """Open a cache as soon as the disk has room and nobody is stopped in the way."""
        while True:
            with contextlib.suppress(CacheException):
                return FileCacheBackend(config)
            self._tally.add(self._number * THREADS, "refused")

    def _strike(self, *_: object) -> None:
        if self._armed:
            self._armed = False
            raise Interrupt

    def _toil(self, thread: int, values: FileCacheBackend, counts: FileCacheBackend) -> None:
        row = self._number * THREADS + thread
        chance = random.Random(self._seed * THREADS + thread)
        try:
            while True:
                try:
                    try:
                        if thread == 0 and chance.random() < 0.2:
                            self._armed = True
                            signal.setitimer(signal.ITIMER_REAL, chance.uniform(EARLIEST, 1e-4))
                        self._act(row, chance, values, counts)
                    except CacheException:
                        self._tally.add(row, "refused")
                    self._armed = False
                except Interrupt:
                    self._tally.add(row, "interrupted")
                self._tally.add(row, "operations")
                if thread == 0 and chance.random() < 0.0005:
                    self._fork(row, values)
        except BaseException:
            said = self._disk.with_name(f"said-{os.getpid()}-{thread}")
            said.write_text(traceback.format_exc())
            os._exit(7)

    def _act(
        self, row: int, chance: random.Random, values: FileCacheBackend, counts: FileCacheBackend
    ) -> None:
        key = f"k{chance.randrange(KEYS)}"
        what = chance.randrange(10)
        if what < 3:
            assert_whole(key, values.get(key))
        elif what == 3:
            values.set(key, value_of(key, chance), chance.choice([None, 0.01, 0.5, 100]))
        elif what == 4:
            values.set_many({k: value_of(k, chance) for k in (key, f"{key}x")})
        elif what == 5:
            assert_whole(key, values.pop(key))
        elif what == 6:
            values.delete(key)
        elif what == 7 and chance.random() < 0.1:
            for found in values.scan("k1"):
                assert found.startswith("k1")
        else:
            self._tally.add(row, "tried")
            counts.incr(f"n{chance.randrange(COUNTERS)}")
            self._tally.add(row, "acknowledged")

    def _fork(self, row: int, values: FileCacheBackend) -> None:
        pid = os.fork()
        if not pid:
            status = 1
            try:
                with contextlib.suppress(CacheException):
                    assert_whole("k1", values.get("k1"))
                    values.set("forked", {"k": "forked"})
                status = 0
            finally:
                os._exit(status)
        if os.waitpid(pid, 0)[1]:
            self._tally.add(row, "aborted")
        self._tally.add(row, "forked")


class Conductor:
    """Starts the workers, and does to them what must do no harm."""

    def __init__(self, disk: Path, tally: Tally) -> None:
        self._disk = disk
        self._tally = tally
        self._chance = random.Random(1)
        self._seed = 0
        self.workers: dict[int, int] = {}
        self.faults: Counter[str] = Counter()
        self.ends: list[int] = []
        self.largest = 0

    def start(self, number: int) -> None:
        self._seed += 1
        pid = os.fork()
        if not pid:
            try:
                Worker(self._disk, number, self._seed, self._tally).run()
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(8)
        self.workers[number] = pid

    def replace(self, number: int) -> None:
        """Kill a worker, if it is not dead already by its own fault, and start another one."""
        pid = self.workers[number]
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            self.ends.append(status)
        else:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            self.faults["killed"] += 1
        self.start(number)

    def fault(self) -> None:
        what = self._chance.choice(["kill", "stop", "stop", "wipe", "fill", "rest"])
        number = self._chance.randrange(PROCESSES)
        if what == "kill":
            self.replace(number)
        elif what == "stop":
            stopped = self._chance.sample(sorted(self.workers.values()), 3)
            for pid in stopped:
                os.kill(pid, signal.SIGSTOP)
            self.faults["stopped"] += len(stopped)
            time.sleep(self._chance.uniform(0.05, 1.5))
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)
        elif what == "wipe":
            if self._chance.random() < 0.5:
                shutil.rmtree(self._disk / "wiped", ignore_errors=True)
            else:
                names = ["data.mdb", "lock.mdb", "write.lock", "values", "reserve"]
                for name in self._chance.sample(names, self._chance.randrange(1, 5)):
                    path = self._disk / "wiped" / name
                    if name == "values":
                        shutil.rmtree(path, ignore_errors=True)
                    else:
                        path.unlink(missing_ok=True)
            self.faults["wiped"] += 1
        elif what == "fill":
            ballast = self._disk / "ballast"
            with contextlib.suppress(OSError), ballast.open("wb") as file:
                while True:
                    file.write(bytes(1 << 16))
                    file.flush()
            time.sleep(self._chance.uniform(0.05, 0.3))
            ballast.unlink()
            self.faults["filled"] += 1
        else:
            time.sleep(0.1)
        self.look()

    def look(self) -> None:
        """Look after the size of the stores, and for workers that died by themselves."""
        for name in ("wiped", "kept"):
            with contextlib.suppress(OSError):
                size = (self._disk / name / "data.mdb").stat().st_blocks * 512
                self.largest = max(self.largest, size)
        for number, pid in list(self.workers.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                self.ends.append(status)
                self.start(number)

    def end(self) -> None:
        for pid in self.workers.values():
            os.kill(pid, signal.SIGKILL)
            self.ends += [status for status in [os.waitpid(pid, 0)[1]] if status != signal.SIGKILL]


def test_nothing_that_is_done_to_processes_harms_a_cache(disk, capfd, record_property):
    """No wrong value, no lost count, no end of a process, no store beyond its ceiling."""
    tally = Tally(PROCESSES * THREADS)
    conductor = Conductor(disk, tally)
    try:
        for number in range(PROCESSES):
            conductor.start(number)
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            conductor.fault()
    finally:
        conductor.end()
    (disk / "ballast").unlink(missing_ok=True)

    figures = {word: tally.total(word) for word in WORDS}
    figures |= {**conductor.faults, "largest store": conductor.largest}
    record_property("figures", figures)
    said = "".join(one.read_text() for one in disk.parent.glob("said-*"))
    with capfd.disabled():
        print(f"\n{figures}")  # noqa: T201 - what a soak is run for
    assert [] == conductor.ends, f"{conductor.ends} {said}"
    assert 0 == figures["aborted"]
    assert conductor.largest <= 2 * MAX_BYTES
    with (
        FileCacheBackend(config_of(disk / "wiped", max_entries=KEYS // 2)) as values,
        FileCacheBackend(config_of(disk / "kept")) as counts,
    ):
        counted = sum(counts.get(f"n{number}", 0) for number in range(COUNTERS))
        assert figures["acknowledged"] <= counted <= figures["tried"], (counted, figures)
        values.set("after", 1)
        for key in list(values.scan("k")):
            assert_whole(key, values.get(key))
        for cache in (values, counts):
            cache.sweep()
            report = cache.check()
            assert report.ok, report.problems
