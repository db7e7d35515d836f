"""What the lock of writers survives: forks, closed copies, and a file that somebody removes."""

import contextlib
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from jinpy_cache_core.exceptions import CacheBackendError, CacheTimeoutError
from jinpy_cache_file import FileCacheBackend, FileCacheConfig
from jinpy_cache_file.write_lock import LockClosedError, WriteLock
from jinpy_cache_testing import FakeClock

pytestmark = pytest.mark.faults


@pytest.fixture
def locks(tmp_path):
    """Two locks on one file, as two processes have them."""
    made = [WriteLock(tmp_path) for _ in range(2)]
    for lock in made:
        lock.open()
    yield made
    for lock in made:
        lock.close()


def is_free(lock: WriteLock) -> bool:
    """Whether the lock can be had right now, in another thread of the process."""
    got = []

    def take() -> None:
        with contextlib.suppress(CacheTimeoutError):
            got.append(lock.within(0.01, lambda: True))

    thread = threading.Thread(target=take)
    thread.start()
    thread.join()
    return bool(got)


def test_one_at_a_time(locks):
    """Who has the lock keeps the other out; who waits too long is told by whom."""
    first, second = locks

    def meanwhile() -> None:
        assert not is_free(second)
        with pytest.raises(CacheTimeoutError, match=rf"lock_timeout=0.01 .*process {os.getpid()}"):
            second.within(0.01, lambda: None)

    first.within(1, meanwhile)
    second.within(1, lambda: None)
    assert is_free(first)


def test_a_copy_that_a_child_closes_does_not_give_the_lock_up(locks, fork):
    """A forked child closes its copy of the descriptor, or ends, and the parent still has it."""
    first, second = locks

    def meanwhile() -> None:
        assert os.waitpid(fork(first.forget), 0)[1] == 0
        assert not is_free(second)
        assert os.waitpid(fork(lambda: None), 0)[1] == 0
        assert not is_free(second)

    first.within(1, meanwhile)
    assert is_free(second)


def test_a_closed_lock_is_no_lock(locks):
    """Whoever comes too late is told so at once, and the gate is free."""
    first, _ = locks
    first.close()
    for _ in range(2):
        with pytest.raises(LockClosedError):
            first.within(1, lambda: None)


def test_threads_exclude_each_other(locks):
    """An `flock` is held by all threads of a process, so there is a gate before it."""
    first, _ = locks
    first.within(1, lambda: not is_free(first))
    assert not first.within(1, is_free, first)
    assert is_free(first)


def test_a_thread_that_has_the_lock_is_told_that_it_is_itself(locks):
    """Whoever interrupts a write in its own thread does not wait for it, and breaks nothing."""
    first, second = locks

    def interrupting() -> None:
        with pytest.raises(CacheBackendError, match="This thread is in the middle of a write"):
            first.within(60, lambda: None)
        assert not is_free(first)
        assert not is_free(second)

    first.within(1, interrupting)
    assert is_free(first)
    assert is_free(second)


def test_what_an_exception_leaves_behind_is_given_back(locks):
    """An exception between the taking and the `with` leaves neither the gate nor the `flock`."""
    first, second = locks
    first.acquire(1)
    assert not is_free(second)
    first.forsake()
    assert is_free(first)
    assert is_free(second)


def test_closing_does_not_wait_for_ever(locks):
    """A thread that writes and does not end keeps nobody from closing, for more than seconds."""
    first, _ = locks
    holding, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        holding.set()
        go_on.wait(60)

    thread = threading.Thread(target=first.within, args=(1, hold))
    thread.start()
    holding.wait(60)
    assert not first.with_nobody_writing(lambda: None, patience=0.01)
    go_on.set()
    thread.join()
    assert first.with_nobody_writing(lambda: None)


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
