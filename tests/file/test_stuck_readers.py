"""Processes that are stopped in the middle of a read: they hold the store's old pages."""

import errno
import logging
import os
import signal
import threading

import pytest

from jinpy_cache_core import CacheBackendError

MAX_BYTES = 8 << 20
BEGIN = "globals().update(held=cache._environment.current().begin()) or cache.get('k0') is not None"
"""A read that does not end; what is read in it is seen as it was then."""


@pytest.fixture
def stopped(shell, make):
    """A cache of 5,000 entries, and four processes that were stopped while they read it."""
    cache = make(max_bytes=MAX_BYTES)
    cache.set_many({f"k{number}": b"x" * 500 for number in range(5000)})
    cache.incr("count", 7)
    readers = [shell(max_bytes=MAX_BYTES) for _ in range(4)]
    for reader in readers:
        assert reader.ask(BEGIN) == "True"
        os.kill(reader.process.pid, signal.SIGSTOP)
    yield cache, readers
    for reader in readers:
        if reader.process.poll() is None:
            os.kill(reader.process.pid, signal.SIGCONT)


def fill_up(cache) -> int:
    """Overwrite entries until the store takes no more; how often it went well."""
    done = 0
    with pytest.raises(CacheBackendError) as refused:
        while done < 100_000:
            cache.set(f"k{done % 5000}", b"y" * (400 + done % 200))
            done += 1
    assert refused.value.errno == errno.ENOSPC
    assert "has not ended and holds it" in str(refused.value)
    return done


def on_disk(directory) -> int:
    """Bytes that the data file really takes."""
    return (directory / "data.mdb").stat().st_blocks * 512


def test_nothing_is_evicted_because_of_who_is_stopped(stopped, directory, caplog):
    """The store grows to twice its size and then refuses; every entry and count is there."""
    cache, readers = stopped
    caplog.set_level(logging.WARNING, "jinpy_cache.file")

    assert fill_up(cache) > 100

    assert on_disk(directory) <= 2 * MAX_BYTES
    assert 5001 == len(cache)
    assert all(cache.get(f"k{number}") is not None for number in range(0, 5000, 7))
    assert 7 == cache.get("count")
    assert 0 == cache.counters.evicted
    assert cache.delete("k1")  # what removes still finds a little room
    pids = {str(reader.process.pid) for reader in readers}
    said = [record.getMessage() for record in caplog.records]
    assert all(any(pid in one for one in said) for pid in pids)
    assert len(said) <= len(pids)


def test_a_check_names_who_is_stuck(stopped):
    """An operator learns which processes to look at."""
    cache, readers = stopped
    cache.set("k1", "newer")

    report = cache.check()

    assert report.ok
    assert {reader.process.pid for reader in readers} == set(report.held_by)


def test_the_space_is_used_again_when_they_go_on(stopped, directory):
    """Once the readers have ended, writes go on in the space that there is."""
    cache, readers = stopped
    fill_up(cache)
    for reader in readers:
        os.kill(reader.process.pid, signal.SIGCONT)
        assert reader.ask("held.abort()") == "None"
    before = on_disk(directory)

    for number in range(3000):
        cache.set(f"k{number % 5000}", b"z" * (400 + number % 200))
    assert 8 == cache.incr("count")

    assert on_disk(directory) <= max(before, 2 * MAX_BYTES)
    assert 5001 == len(cache)
    assert () == cache.check().held_by


def test_the_space_is_used_again_when_they_are_killed(stopped):
    """A dead process's read is cleared, by whoever needs the space."""
    cache, readers = stopped
    fill_up(cache)
    for reader in readers:
        reader.process.kill()
        reader.process.wait()

    for number in range(2000):
        cache.set(f"k{number % 5000}", b"z" * 500)

    assert 5001 == len(cache)
    assert 0 == cache.counters.evicted


def test_reads_go_on_while_the_map_grows(stopped):
    """Threads that read meet a store that is opened again with a larger map, and start over."""
    cache, _readers = stopped
    failed: list[Exception] = []
    done = threading.Event()

    def read() -> None:
        while not done.wait(0.001):  # a writer needs the interpreter, too
            try:
                assert cache.get("k4999") is not None
                assert len(cache.get_many(["k4998", "k4997"])) == 2
            except Exception as error:
                failed.append(error)
                return

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    fill_up(cache)
    done.set()
    for thread in threads:
        thread.join(30)

    assert [] == failed
