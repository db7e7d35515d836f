"""Several processes on one directory: counting, tearing, stopping, dying, forking."""

import asyncio
import os
import signal
import threading
import time
from hashlib import sha256
from pathlib import Path

import pytest

from jinpy_cache_core.exceptions import CacheTimeoutError
from jinpy_cache_file import FileCacheBackend, FileCacheConfig

pytestmark = pytest.mark.faults


LATE = 20.0
"""Seconds in which a lock timeout of less than one is over, however slow the machine."""

SIZES = (1, 100, 2_000, 30_000, 40_000, 500_000, 5_000_000)


def succeeded(children: list[int]) -> bool:
    """Whether all of these processes end without an error."""
    return [os.waitpid(pid, 0)[1] for pid in children] == [0] * len(children)


@pytest.mark.parametrize("keys", [1, 8])
def test_no_count_is_lost_between_processes(fork, make, directory, keys):
    """Eight processes count a thousand times each."""

    def count() -> None:
        with FileCacheBackend(FileCacheConfig(name="disk", directory=directory)) as cache:
            for number in range(1000):
                cache.incr(f"n{number % keys}")

    assert succeeded([fork(count) for _ in range(8)])
    cache = make()
    assert [cache.get(f"n{number}") for number in range(keys)] == [8000 // keys] * keys
    assert cache.check().ok


def test_every_read_is_whole(fork, make, directory):
    """Four writers and eight readers on one key, with values from one byte to five megabytes."""
    config = FileCacheConfig(name="disk", directory=directory, lock_timeout=30)

    def write() -> None:
        with FileCacheBackend(config) as cache:
            for number in range(42):
                body = bytes([number]) * SIZES[number % len(SIZES)]
                cache.set("one", {"body": body, "digest": sha256(body).digest()})

    def read() -> None:
        with FileCacheBackend(config) as cache:
            while (value := cache.get("one")) is None or value["body"] != b"the end":
                assert value is None or sha256(value["body"]).digest() == value["digest"]

    readers = [fork(read) for _ in range(8)]
    assert succeeded([fork(write) for _ in range(4)])
    cache = make()
    cache.set("one", {"body": b"the end", "digest": sha256(b"the end").digest()})
    assert succeeded(readers)
    cache.sweep()
    assert cache.check().ok


def stopped_in_a_write(shell, **settings):
    """A process that was stopped in the middle of a transaction."""
    other = shell(**settings)
    inside = (
        "cache._store.writing(lambda w: (w.txn.put(b'edisk:half', b'x'), os.kill(os.getpid(), 19)))"
    )
    other.tell(inside)
    status = Path(f"/proc/{other.process.pid}/stat")
    while status.read_text().rpartition(")")[2].split()[0] != "T":
        time.sleep(0.001)
    return other


def test_a_stopped_writer_makes_others_fail_in_time(shell, make):
    """Writes raise `CacheTimeoutError` after `lock_timeout`; reads and health are unaffected.

    Without that limit they would wait until the writer goes on, which it does not.
    """
    cache = make(lock_timeout=0.2)
    cache.set("a", 1)
    other = stopped_in_a_write(shell)
    for write in (
        lambda: cache.set("a", 2),
        lambda: cache.incr("n"),
        lambda: cache.delete("a"),
        lambda: cache.set_many({"b": 1}),
        cache.clear,
    ):
        began = time.monotonic()
        with pytest.raises(CacheTimeoutError, match=f"process {other.process.pid}"):
            write()
        assert 0.2 <= time.monotonic() - began < LATE
    assert cache.get("a") == 1
    assert cache.is_healthy()
    os.kill(other.process.pid, signal.SIGCONT)
    cache.set("a", 3)
    assert cache.get("a") == 3


def test_a_stopped_writer_does_not_keep_readers_out(shell, make):
    """A cache that is opened meanwhile can be read."""
    cache = make()
    cache.set("a", 1)
    cache.close()
    stopped_in_a_write(shell)
    late = make(lock_timeout=0.1)
    assert late.get("a") == 1


async def test_a_stopped_writer_makes_awaited_writes_fail_in_time(shell, make):
    """Each raises `CacheTimeoutError` after `lock_timeout`; reads are unaffected."""
    cache = make(lock_timeout=0.3)
    await cache.aset("a", 1)
    other = stopped_in_a_write(shell)
    outcomes = await asyncio.gather(
        cache.aset("a", 2), cache.aincr("n"), cache.aget("a"), return_exceptions=True
    )
    assert [CacheTimeoutError, CacheTimeoutError, int] == [type(one) for one in outcomes]
    os.kill(other.process.pid, signal.SIGCONT)
    await cache.aset("a", 3)
    assert 3 == await cache.aget("a")


async def test_a_stopped_writer_does_not_stop_the_event_loop(shell, make):
    """While writes wait for it the loop goes round, and so can let it go on: the writes succeed.

    A loop that stood still would do so until the writes have failed.
    """
    cache = make(lock_timeout=LATE)
    await cache.aset("a", 1)
    other = stopped_in_a_write(shell)
    writes = [asyncio.ensure_future(one) for one in (cache.aset("a", 2), cache.aincr("n"))]
    for _ in range(20):
        await asyncio.sleep(0.005)  # meanwhile the writes come to wait
    assert 1 == await cache.aget("a")
    os.kill(other.process.pid, signal.SIGCONT)
    assert [None, 1] == await asyncio.gather(*writes)
    assert 2 == await cache.aget("a")


def test_a_killed_writer_leaves_no_lock(shell, make):
    """The kernel gives the lock back: no write times out; the half transaction never happened."""
    cache = make(lock_timeout=2)
    cache.set("a", 1)
    other = stopped_in_a_write(shell)
    other.process.kill()
    other.process.wait()
    cache.set("a", 2)
    assert (cache.get("a"), cache.get("half")) == (2, None)
    assert cache.check().ok


def test_a_fork_carries_no_environment_over(make, fork):
    """Parent and child both go on with the same object, whatever the other one does."""
    cache = make()
    cache.set("a", 1)

    def work() -> None:
        assert cache.get("a") == 1
        cache.incr("n")
        cache.set("large", b"x" * 100_000)
        cache.close()

    assert succeeded([fork(work)])
    assert succeeded([fork(lambda: cache.incr("n"))])
    cache.incr("n")
    assert (cache.get("n"), cache.get("large")) == (3, b"x" * 100_000)
    assert cache.check().ok


async def test_a_fork_after_awaited_writes(make, fork):
    """The child begins with a queue and a thread of its own."""
    cache = make()
    await cache.aincr("n")

    def work() -> None:
        async def count() -> None:
            await asyncio.wait_for(cache.aincr("n"), 10)

        runner = asyncio.new_event_loop()
        asyncio._set_running_loop(None)
        runner.run_until_complete(count())
        runner.close()
        cache.close()

    assert succeeded([fork(work)])
    assert await cache.aincr("n") == 3


def test_forks_while_threads_are_at_work(make, fork):
    """However busy the other threads of the parent are, a child neither hangs nor does harm."""
    cache = make()
    cache.set_many({f"k{number}": {"k": f"k{number}"} for number in range(100)})
    stop = threading.Event()
    failed: list[BaseException] = []
    counted = [0, 0, 0]

    def work(number: int) -> None:
        try:
            while not stop.is_set():
                for index in range(100):
                    assert cache.get(f"k{index}") == {"k": f"k{index}"}
                cache.incr("n")
                counted[number] += 1
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        assert succeeded([fork(lambda: (cache.get("k1"), cache.incr("children")))])
    stop.set()
    for thread in threads:
        thread.join()
    assert failed == []
    assert (cache.get("n"), cache.get("children")) == (sum(counted), 20)
    assert cache.check().ok


def test_a_dead_writers_files_are_swept_and_a_live_ones_are_not(shell, make, directory):
    """Two thousand leftovers go; the file that someone is just writing stays."""
    cache = make()
    other = shell()
    assert other.ask("cache._store.index.files.publish(b'edisk:x', b'live').path[-4:]") == "'.bin'"
    held = "globals().update(p=cache._store.index.files.publish(b'edisk:x', b'live' * 9))"
    assert other.ask(held) == "None"
    for number in range(2_000):
        folder = directory / "values" / f"{number % 256:02x}"
        folder.mkdir(mode=0o700, exist_ok=True)
        (folder / f".tmp-{number:032x}").touch(mode=0o600)
    cache.set("mine", b"x" * 100_000)
    swept = cache.sweep()
    assert swept >= 2_000
    assert len(list((directory / "values").rglob("*.bin"))) == 2  # mine, and the held one
    other.process.kill()
    other.process.wait()
    cache.sweep()
    assert len(list((directory / "values").rglob("*.bin"))) == 1
    assert cache.check().ok


def test_eviction_by_another_process_is_a_miss(make, directory, fork):
    """Whoever reads, counts or touches the victim of another process sees a miss or the value."""
    config = FileCacheConfig(name="disk", directory=directory, max_bytes=1 << 20)

    def fill() -> None:
        with FileCacheBackend(config) as cache:
            for number in range(2000):
                cache.set(f"fill-{number}", b"v" * 2000)

    filling = fork(fill)
    cache = make(max_bytes=1 << 20)
    while os.waitpid(filling, os.WNOHANG) == (0, 0):
        for number in range(0, 2000, 100):
            assert cache.get(f"fill-{number}") in {None, b"v" * 2000}
            cache.touch(f"fill-{number}", 100)
            cache.incr("count")
    assert len(cache) < 1000
    assert cache.check().ok


def test_durability_of_the_strictest_counts(make):
    """A cache that wants the platter gets it from the environment that others share, too."""
    relaxed, strict = make(name="relaxed"), make(name="strict", durability="disk")
    strict.set("a", 1)
    relaxed.set("a", 2)
    assert relaxed._environment.current().flags()["sync"] is not False
    assert (strict.get("a"), relaxed.get("a")) == (1, 2)


def test_closing_while_others_are_at_work(directory):
    """Operations that have begun end well or with `CacheClosedError`; nothing is opened again."""
    from jinpy_cache_core.exceptions import CacheClosedError

    cache = FileCacheBackend(FileCacheConfig(directory=directory))
    failed: list[BaseException] = []

    def work() -> None:
        try:
            while True:
                cache.set("a", 1)
                cache.get("a")
        except CacheClosedError:
            pass
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    cache.close()
    for thread in threads:
        thread.join(10)
    assert failed == []
