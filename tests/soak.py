"""Processes that share a store, and everything that can be done to them for a while.

Eight processes of four threads read, write, compute and count. Meanwhile they are killed, stopped
and interrupted by exceptions from a signal handler, and they fork. What else is done, to the store
itself, a test adds. Values tell whether they are right; counts are kept twice, by the store and in
memory that outlives a process.
"""

import contextlib
import faulthandler
import mmap
import os
import random
import signal
import struct
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.telltale import assert_whole, value_of

from jinpy_cache_core import CacheInterface
from jinpy_cache_core.exceptions import CacheException
from jinpy_cache_testing.interrupts import EARLIEST, Interrupt

PROCESSES, THREADS, KEYS, COUNTERS = 8, 4, 400, 4
SECONDS = float(os.environ.get("JINPY_SOAK_SECONDS", "120"))
PATIENCE = 60.0
"""Seconds until a thread that has ended no call counts as left waiting."""

WORDS = ("tried", "acknowledged", "operations", "refused", "interrupted", "forked", "aborted")
"""What each thread counts, in memory that outlives its process."""

Opener = Callable[[], CacheInterface]


class Tally:
    """Numbers that all processes write to and that outlive them: one row for each thread."""

    def __init__(self) -> None:
        self._rows = PROCESSES * THREADS
        self._memory = mmap.mmap(-1, self._rows * len(WORDS) * 8)

    def add(self, row: int, word: str) -> None:
        """Count one more."""
        at = (row * len(WORDS) + WORDS.index(word)) * 8
        (number,) = struct.unpack_from("<Q", self._memory, at)
        struct.pack_into("<Q", self._memory, at, number + 1)

    def each(self, word: str) -> list[int]:
        """What each thread has counted."""
        return [
            struct.unpack_from("<Q", self._memory, (row * len(WORDS) + WORDS.index(word)) * 8)[0]
            for row in range(self._rows)
        ]

    def totals(self) -> dict[str, int]:
        """What all threads have counted."""
        return {word: sum(self.each(word)) for word in WORDS}


class Worker:
    """One process: four threads, the first of which is interrupted and forks.

    Args:
        values: Opens the cache whose store is harmed.
        counts: Opens the cache in which is counted.
        number: Which process it is.
        seed: Of what it does.
        tally: Where it counts.
        said: The directory for what it says when it ends by itself.
    """

    def __init__(
        self, values: Opener, counts: Opener, number: int, seed: int, tally: Tally, said: Path
    ) -> None:
        self._values = values
        self._counts = counts
        self._number = number
        self._seed = seed
        self._tally = tally
        self._said = said
        self._armed = False

    def run(self) -> None:
        """Work until somebody ends it."""
        signal.signal(signal.SIGALRM, self._strike)
        sys.unraisablehook = lambda _: None  # what strikes in a finaliser, Python swallows
        said = self._said / f"said-{os.getpid()}-stacks"
        with (
            said.open("w") as stacks,
            self._opened(self._values) as values,
            self._opened(self._counts) as counts,
        ):
            faulthandler.register(signal.SIGUSR1, file=stacks)
            for number in range(1, THREADS):
                threading.Thread(target=self._toil, args=(number, values, counts)).start()
            self._toil(0, values, counts)

    def _opened(self, opener: Opener) -> CacheInterface:
        """Open a cache as soon as its store has room and nobody is stopped in the way."""
        while True:
            with contextlib.suppress(CacheException):
                return opener()
            self._tally.add(self._number * THREADS, "refused")

    def _strike(self, *_: object) -> None:
        if self._armed:
            self._armed = False
            raise Interrupt

    def _toil(self, thread: int, values: CacheInterface, counts: CacheInterface) -> None:
        row = self._number * THREADS + thread
        chance = random.Random(self._seed * THREADS + thread)
        try:
            while True:
                try:
                    try:
                        if thread == 0 and chance.random() < 0.2:
                            self._armed = True
                            signal.setitimer(signal.ITIMER_REAL, chance.uniform(EARLIEST, 2e-4))
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
            said = self._said / f"said-{os.getpid()}-{thread}"
            said.write_text(traceback.format_exc())
            os._exit(7)

    def _act(
        self, row: int, chance: random.Random, values: CacheInterface, counts: CacheInterface
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
        elif what == 8:
            computed = values.get_or_set(key, lambda: value_of(key, chance), 100, lock_timeout=1)
            assert computed is not None
            assert_whole(key, computed)
        else:
            self._tally.add(row, "tried")
            counts.incr(f"n{chance.randrange(COUNTERS)}")
            self._tally.add(row, "acknowledged")

    def _fork(self, row: int, values: CacheInterface) -> None:
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
    """Starts the workers, and does to them what must do no harm.

    Args:
        values: Opens the cache whose store is harmed.
        counts: Opens the cache in which is counted.
        said: The directory for what workers say that end by themselves.
        more: What else is done, by its name.
    """

    def __init__(
        self, values: Opener, counts: Opener, said: Path, more: dict[str, Callable[[], None]]
    ) -> None:
        self._values = values
        self._counts = counts
        self._said = said
        self._kinds: dict[str, Callable[[], None]] = {
            "killed": self._kill,
            "stopped": self._stop,
            **more,
        }
        self._seed = 0
        self.chance = random.Random(1)
        self.tally = Tally()
        self.workers: dict[int, int] = {}
        self.faults: Counter[str] = Counter()
        self.ends: list[int] = []
        self.waiting: list[int] = []

    def run(self, seconds: float) -> dict[str, int]:
        """Let them work for so long, with one fault after the other.

        Returns:
            What was counted and done.
        """
        try:
            for number in range(PROCESSES):
                self.start(number)
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                name = self.chance.choice(list(self._kinds))
                self._kinds[name]()
                self.faults[name] += 1
                self._look()
            self._rest()
        finally:
            for pid in self.workers.values():
                os.kill(pid, signal.SIGKILL)
                status = os.waitpid(pid, 0)[1]
                if status != signal.SIGKILL:
                    self.ends.append(status)
        return self.tally.totals() | self.faults

    def said(self) -> str:
        """What workers said that ended by themselves."""
        return "".join(one.read_text() for one in self._said.glob("said-*"))

    def start(self, number: int) -> None:
        """Start a worker."""
        self._seed += 1
        pid = os.fork()
        if not pid:
            try:
                Worker(self._values, self._counts, number, self._seed, self.tally, self._said).run()
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(8)
        self.workers[number] = pid

    def _kill(self) -> None:
        """Kill a worker, if it is not dead already by its own fault, and start another one."""
        number = self.chance.randrange(PROCESSES)
        pid = self.workers[number]
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            self.ends.append(status)
        else:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        self.start(number)

    def _stop(self) -> None:
        """Stop three workers for a while."""
        stopped = self.chance.sample(sorted(self.workers.values()), 3)
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(self.chance.uniform(0.05, 1.5))
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)

    def _look(self) -> None:
        """Look after workers that died by themselves."""
        for number, pid in list(self.workers.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                self.ends.append(status)
                self.start(number)

    def _rest(self) -> None:
        """Do nothing more to them, and see that every thread ends another call."""
        before = self.tally.each("operations")
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            self.waiting = [
                row
                for row, (old, new) in enumerate(
                    zip(before, self.tally.each("operations"), strict=True)
                )
                if old == new
            ]
            if not self.waiting:
                return
            time.sleep(0.05)
        for number in {row // THREADS for row in self.waiting}:
            os.kill(self.workers[number], signal.SIGUSR1)
        time.sleep(1)


def judge(conductor: Conductor, figures: dict[str, int], counted: int) -> None:
    """No end of a process, nobody left waiting, no lost count and none that nobody made."""
    assert [] == conductor.ends, f"{conductor.ends} {conductor.said()}"
    assert [] == conductor.waiting, f"{conductor.waiting} {conductor.said()}"
    assert 0 == figures["aborted"]
    assert 0 < figures["acknowledged"] <= counted <= figures["tried"], (counted, figures)
