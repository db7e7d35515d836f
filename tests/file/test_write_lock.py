"""What the lock of writers survives: forks, closed copies, and a file that somebody removes."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from jinpy_cache_core.exceptions import CacheTimeoutError
from jinpy_cache_file import FileCacheBackend, FileCacheConfig
from jinpy_cache_file.write_lock import LockClosedError, WriteLock
from jinpy_cache_testing import FakeClock

pytestmark = pytest.mark.faults


@pytest.fixture
def locks(tmp_path):
    """Two locks on one file, as two processes have them."""
    made = [WriteLock(tmp_path, threading.Lock()) for _ in range(2)]
    yield made
    for lock in made:
        lock.close()


def test_one_at_a_time(locks):
    """Who has the lock keeps the other out; who waits too long is told by whom."""
    first, second = locks
    first.acquire(1)
    assert not second.try_acquire()
    with pytest.raises(CacheTimeoutError, match=rf"lock_timeout=0.01 .*process {os.getpid()}"):
        second.acquire(0.01)
    first.release()
    second.acquire(1)
    assert not first.try_acquire()
    second.release()


def test_a_copy_that_a_child_closes_does_not_give_the_lock_up(locks, fork):
    """A forked child closes its copy of the descriptor, or ends, and the parent still has it."""
    first, second = locks
    first.acquire(1)
    assert os.waitpid(fork(first.forget), 0)[1] == 0
    assert not second.try_acquire()
    assert os.waitpid(fork(lambda: None), 0)[1] == 0
    assert not second.try_acquire()
    first.release()
    assert second.try_acquire()
    second.release()


def test_a_closed_lock_is_no_lock(locks):
    """Whoever comes too late is told so at once, and the gate is free."""
    first, _ = locks
    first.close()
    for _ in range(2):
        with pytest.raises(LockClosedError):
            first.acquire(1)


def test_a_thread_waits_for_another_one(locks):
    """Threads of one process exclude each other, though an `flock` is held by all of them."""
    first, _ = locks
    first.acquire(1)
    with pytest.raises(CacheTimeoutError):
        first.acquire(0.01)
    got = threading.Thread(target=lambda: (first.acquire(10), first.release()))
    got.start()
    first.release()
    got.join()
    assert first.try_acquire()
    first.release()


def test_a_lock_file_that_is_removed_while_processes_count(fork, make, directory):
    """No count is lost, however often somebody tidies the lock file away."""
    config = FileCacheConfig(name="disk", directory=directory)
    cache = make()
    cache.set("n", 0)

    def count() -> None:
        with FileCacheBackend(config) as mine:
            for _ in range(2000):
                mine.incr("n")

    children = [fork(count) for _ in range(4)]
    while cache.get("n") < 7000:
        (directory / "write.lock").unlink(missing_ok=True)
        with FileCacheBackend(config, clock=FakeClock()) as passing:
            passing.incr("passing")
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
    assert cache.get("n") == 8000
    assert cache.check().ok


def test_a_lock_file_that_was_removed_is_followed(fork, shell, directory):
    """A process that still has the removed file notices, and does not hang in LMDB's mutex."""
    clock = FakeClock()
    config = FileCacheConfig(name="disk", directory=directory, lock_timeout=0.2)
    removed, go_on = os.pipe(), os.pipe()

    def work() -> None:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(30)  # ends a process that hangs
        with FileCacheBackend(config, clock=clock) as cache:
            cache.set("a", 1)
            (directory / "write.lock").unlink()
            os.write(removed[1], b".")
            os.read(go_on[0], 1)
            clock.advance(2)
            with pytest.raises(CacheTimeoutError):
                cache.set("a", 2)
            assert cache.get("a") == 1

    child = fork(work)
    os.read(removed[0], 1)
    other = shell()
    other.tell("cache._store.writing(lambda w: os.kill(os.getpid(), 19))")
    status = Path(f"/proc/{other.process.pid}/stat")
    while status.read_text().rpartition(")")[2].split()[0] != "T":
        time.sleep(0.001)
    os.write(go_on[1], b".")
    assert os.waitpid(child, 0)[1] == 0
    for descriptor in (*removed, *go_on):
        os.close(descriptor)
