"""Everything at once, for a while: eight processes of four threads each on one small cache."""

import math
import os
import random
import threading
import time
from pathlib import Path

import pytest
from tests.telltale import assert_whole, value_of

from jinpy_cache_core.exceptions import CacheException
from jinpy_cache_file import FileCacheBackend, FileCacheConfig

PROCESSES, THREADS, KEYS = 8, 4, 400
SECONDS = float(os.environ.get("JINPY_SOAK_SECONDS", "60"))

pytestmark = [pytest.mark.soak, pytest.mark.faults]


def config_of(directory: Path) -> FileCacheConfig:
    """A cache that is always full, with values in the tree and in files."""
    return FileCacheConfig(
        name="disk",
        directory=directory,
        max_entries=KEYS // 2,
        max_bytes=8 << 20,
        inline_max_bytes=2000,
        lock_timeout=30,
    )


def act(cache: FileCacheBackend, chance: random.Random, counted: list[int]) -> None:
    """One operation, chosen by lot."""
    key = f"k{chance.randrange(KEYS)}"
    ttl = chance.choice([None, math.inf, 0.01, 0.5, 100])
    what = chance.randrange(12)
    if what < 4:
        assert_whole(key, cache.get(key))
    elif what == 4:
        cache.set(key, value_of(key, chance), ttl)
    elif what == 5:
        cache.set_many({k: value_of(k, chance) for k in (key, f"{key}x", f"{key}y")}, ttl)
    elif what == 6:
        for read, value in cache.get_many([key, f"{key}x", "none"]).items():
            assert_whole(read, value)
    elif what == 7:
        assert_whole(key, cache.pop(key))
    elif what == 8:
        cache.delete(key)
    elif what == 9:
        cache.touch(key, chance.choice([0.01, 1, math.inf]))
    elif what == 10:
        left = cache.ttl(key)
        assert left is None or left > 0
    else:
        number = chance.randrange(len(counted))
        cache.incr(f"count-{number}")
        counted[number] += 1
        cache.get(f"count-{number}")  # so that the eviction sees it used


def work(directory: Path, seed: int, end: float, report: int) -> None:
    """One process: some threads, a second cache on the same directory, a fork now and then."""
    failures: list[str] = []
    counted = [0] * 4
    lock = threading.Lock()
    with (
        FileCacheBackend(config_of(directory)) as cache,
        FileCacheBackend(FileCacheConfig(name="counts", directory=directory)) as counts,
    ):

        def run(number: int) -> None:
            chance = random.Random(seed * 100 + number)
            mine = [0] * 4
            try:
                while time.monotonic() < end:
                    act(cache, chance, [0])
                    which = chance.randrange(4)
                    counts.incr(f"n{which}")
                    mine[which] += 1
            except BaseException as error:
                failures.append(repr(error))
            with lock:
                counted[:] = [a + b for a, b in zip(counted, mine, strict=True)]

        threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    os.write(report, f"{counted}|{failures[:3]}\n".encode())


def test_soak(directory):
    """The invariants hold while it lasts, and `check` finds nothing wrong afterwards."""
    FileCacheBackend(config_of(directory)).close()
    end = time.monotonic() + SECONDS
    read, write = os.pipe()
    children: list[int] = []
    for seed in range(PROCESSES):
        pid = os.fork()
        if not pid:
            try:
                work(directory, seed, end, write)
            finally:
                os._exit(0)
        children.append(pid)
    # One more that is killed again and again, in the middle of whatever it does.
    victims = 0
    while time.monotonic() < end - 1:
        pid = os.fork()
        if not pid:
            with FileCacheBackend(config_of(directory)) as cache:
                chance = random.Random(victims)
                while True:
                    act(cache, chance, [0])
        time.sleep(0.2)
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        victims += 1
    for pid in children:
        assert os.waitpid(pid, 0)[1] == 0
    os.close(write)
    with os.fdopen(read) as pipe:
        reports = [line.rstrip().split("|") for line in pipe]
    assert [failures for _, failures in reports] == ["[]"] * PROCESSES
    acknowledged = [
        sum(column) for column in zip(*(eval(line) for line, _ in reports), strict=True)
    ]
    with (
        FileCacheBackend(config_of(directory)) as cache,
        FileCacheBackend(FileCacheConfig(name="counts", directory=directory)) as counts,
    ):
        assert [counts.get(f"n{number}") for number in range(4)] == acknowledged
        assert sum(acknowledged) > 0
        assert len(cache) <= KEYS // 2
        for key in cache.scan():
            if key.startswith("k"):
                assert_whole(key, cache.get(key))
        cache.sweep()
        report = cache.check()
        assert report.ok, report.problems
        assert cache.set_aside == 0
        try:
            cache.set("after", 1)
        except CacheException:
            pytest.fail("the cache does not work any more")
