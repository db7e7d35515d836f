"""What goes wrong inside one process: racing threads, re-entry, forks, other loops."""

import asyncio
import gc
import os
import signal
import subprocess
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from jinpy_cache_core import MISSING
from jinpy_cache_memory import MemoryCacheBackend, MemoryCacheConfig
from jinpy_cache_memory.eviction.names import POLICIES
from jinpy_cache_testing import bounded, restless, together

pytestmark = pytest.mark.filterwarnings(
    "ignore:This process .* is multi-threaded:DeprecationWarning"
)

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")


@pytest.fixture(params=POLICIES)
def eviction(request):
    """The name of each policy."""
    return request.param


@contextmanager
def collecting():
    """Collect garbage as often as the interpreter can; what is there already is left alone."""
    threshold = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(1, 1, 1)
    try:
        yield
    finally:
        gc.set_threshold(*threshold)
        gc.unfreeze()
        gc.collect()


def books_agree(backend: MemoryCacheBackend) -> None:
    """Assert that dict, policy and wheel hold the same entries."""
    engine = backend._engine
    entries = set(engine._entries.values())
    assert all(entry.alive for entry in entries)
    assert all(key == entry.key for key, entry in engine._entries.items())
    assert sum(entry.weight for entry in entries) == engine.weight
    assert [] == engine._unsettled
    scheduled = {entry for entry in entries if entry.bucket >= 0}
    assert len(scheduled) == engine._wheel.size
    assert all(entry in scheduled for entry in entries if entry.deadline != float("inf"))
    while (victim := engine._policy.victim()) is not None:
        entries.remove(victim)
    assert set() == entries


def test_many_threads_mixing_everything(eviction):
    """16 threads, switching as often as they can, in a cache far too small: the bounds hold."""
    backend = MemoryCacheBackend(MemoryCacheConfig(max_entries=16, eviction=eviction))
    overfull: list[int] = []

    def work(number):
        for turn in range(400):
            key = f"key:{(number * 7 + turn * 13) % 48}"
            backend.set(key, {"k": key, "n": turn}, None if turn % 3 else 60)
            for read in (backend.get(key), backend.get_many([key])[key]):
                assert read is None or read["k"] == key
            if turn % 5 == 0:
                backend.delete(key)
            if turn % 7 == 0:
                backend.touch(key, 30)
            if turn % 11 == 0:
                popped = backend.pop(key)
                assert popped is None or popped["k"] == key
            if turn % 97 == 0:
                assert all(name.startswith("key:") for name in backend.scan())
            if turn % 199 == 0:
                backend.clear()
            if len(backend) > 16 + 16:  # each thread may be between storing and evicting
                overfull.append(len(backend))

    with restless():
        together(16, work)
    assert [] == overfull
    assert len(backend) <= 16
    books_agree(backend)


def test_counting_loses_nothing():
    """Threads and event loops count one key together to the exact sum."""
    backend = MemoryCacheBackend()

    def work(number):
        async def count():
            for _ in range(1000):
                await backend.aincr("counter")

        if number % 2:
            asyncio.run(count())
        else:
            for _ in range(1000):
                backend.incr("counter")

    with restless():
        together(8, work)
    assert 8000 == backend.get("counter")


def test_of_many_who_add_or_pop_exactly_one_succeeds():
    """`add` and `pop` are atomic across threads."""
    backend = MemoryCacheBackend()
    for turn in range(100):
        key = f"key:{turn}"
        with restless():
            added = together(4, lambda number, key=key: backend.add(key, number))
            popped = together(4, lambda _, key=key: backend.pop(key, MISSING))
        assert 1 == sum(added)
        assert [added.index(True)] == [value for value in popped if value is not MISSING]


def test_eight_event_loops_share_a_backend():
    """Nothing in it belongs to a loop."""
    backend = MemoryCacheBackend()

    def work(number):
        async def use():
            async def one(turn):
                await backend.aset(f"{number}:{turn}", turn)
                await backend.aincr("shared")
                return await backend.aget(f"{number}:{turn}")

            return await asyncio.gather(*(one(turn) for turn in range(100)))

        return asyncio.run(use())

    assert [list(range(100))] * 8 == together(8, work)
    assert 800 == backend.get("shared")


def test_a_lifetime_outlives_the_loop_that_set_it(backend, clock):
    """Expiry needs no loop, timer or task."""
    asyncio.run(backend.aset("key", 1, 10))
    clock.advance(9)
    assert 1 == asyncio.run(backend.aget("key"))
    clock.advance(1)
    assert asyncio.run(backend.aget("key")) is None


class Reentrant:
    """An object that uses the cache when it dies."""

    died = 0

    def __init__(self, backend):
        self.backend = backend

    def __del__(self):
        Reentrant.died += 1
        backend = self.backend
        if backend.closed:
            return
        backend.set(f"from the grave {Reentrant.died % 5}", 1, 60)
        backend.get("key")
        backend.incr("deaths")
        backend.delete("nothing")
        list(backend.scan())


@pytest.mark.parametrize(
    "drop", ["overwrite", "delete", "pop", "clear", "evict", "expire", "close"]
)
def test_a_finaliser_may_use_the_cache_that_drops_it(make, clock, drop, eviction):
    """Values are released after the lock, whatever drops them, and at once."""
    backend = make(max_entries=8, serializer=None, eviction=eviction)
    before = Reentrant.died
    backend.set("key", Reentrant(backend), 10)

    def act():
        if drop == "overwrite":
            backend.set("key", 1)
        elif drop == "delete":
            backend.delete("key")
        elif drop == "pop":
            backend.pop("key")
        elif drop == "clear":
            backend.clear()
        elif drop == "evict":
            for number in range(100):
                backend.set(f"filler:{number}", number)
                backend.get(f"filler:{number}")
        elif drop == "expire":
            clock.advance(11)
            backend.set("other", 1)
        else:
            backend.close()

    bounded(act)
    assert before + 1 == Reentrant.died
    if drop != "close":
        books_agree(backend)


def test_dropped_values_are_gone_at_once(make):
    """No cycle and no list keeps a value alive after the cache let go of it."""

    class Value:
        pass

    backend = make(serializer=None, max_entries=3, eviction="fifo")
    gc.collect()
    gc.disable()
    try:
        for drop in (
            lambda: backend.set("key", 1),
            lambda: backend.delete("key"),
            backend.clear,
            lambda: [backend.set(str(number), number) for number in range(9)],
            backend.close,
        ):
            value = Value()
            gone = weakref.ref(value)
            backend.set("key", value)
            backend.set("beside", 1, 60)
            del value
            drop()
            assert gone() is None
    finally:
        gc.enable()


def test_a_collection_in_the_middle_of_a_write_may_use_the_cache(eviction):
    """Cyclic garbage whose finaliser writes to the cache, collected at any point of a write."""
    backend = MemoryCacheBackend(
        MemoryCacheConfig(max_entries=20, serializer=None, eviction=eviction)
    )

    class Cyclic(Reentrant):
        def __init__(self, backend):
            super().__init__(backend)
            self.itself = self

    def work():
        for turn in range(3000):
            Cyclic(backend)
            backend.set(f"key:{turn % 50}", turn, 60 if turn % 2 else None)
            if turn % 3 == 0:
                backend.delete(f"key:{(turn * 7) % 50}")
            if turn % 5 == 0:
                backend.incr("counter")
            if turn % 500 == 0:
                backend.clear()

    before = Reentrant.died
    with collecting():
        bounded(work)
    assert Reentrant.died - before == 3000
    assert len(backend) <= 20
    books_agree(backend)


def test_counting_survives_collections_that_count(backend):
    """A finaliser that counts in the middle of counting loses no count."""

    class Counting:
        def __init__(self):
            self.itself = self

        def __del__(self):
            backend.incr("counter")

    def work():
        for _ in range(5000):
            Counting()
            backend.incr("counter")

    with collecting():
        bounded(work)
    assert 10_000 == backend.get("counter")


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no interval timer")
def test_a_signal_handler_may_use_the_cache(eviction):
    """Interrupted every half millisecond by a handler that writes, the books stay right."""
    backend = MemoryCacheBackend(MemoryCacheConfig(max_entries=20, eviction=eviction))
    handled = 0

    def handle(_signal, _frame):
        nonlocal handled
        handled += 1
        backend.set(f"handler:{handled % 30}", handled, 60)
        backend.incr("counter")
        backend.delete(f"key:{handled % 20}")

    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        turn = 0
        while handled < 100 and turn < 2_000_000:
            turn += 1
            backend.set(f"key:{turn % 30}", turn, 60 if turn % 2 else None)
            backend.get(f"key:{turn % 17}")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert handled >= 100
    assert len(backend) <= 20
    books_agree(backend)


@needs_fork
def test_a_child_forked_while_a_thread_writes_can_use_its_copy():
    """The lock is renewed in the child, whoever held it; the child's writes stay its own."""
    backend = MemoryCacheBackend(MemoryCacheConfig(max_entries=50))
    stop = threading.Event()

    def write():
        turn = 0
        while not stop.is_set():
            turn += 1
            backend.set(f"key:{turn % 100}", turn, 60)
            backend.delete(f"key:{turn * 7 % 100}")

    with restless(), ThreadPoolExecutor(2) as threads:
        try:
            writing = [threads.submit(write) for _ in range(2)]
            for _ in range(20):
                child = os.fork()
                if child == 0:
                    code = 1
                    try:
                        signal.signal(signal.SIGALRM, signal.SIG_DFL)
                        signal.alarm(20)
                        for turn in range(100):
                            backend.set(f"child:{turn}", turn, 60)
                        backend.set("mine", "child")
                        books_agree(backend)
                        code = 0 if backend.get("mine") == "child" else 2
                    finally:
                        os._exit(code)
                _, status = os.waitpid(child, 0)
                assert 0 == os.waitstatus_to_exitcode(status)
        finally:
            stop.set()
        for each in writing:
            each.result(30)
    assert backend.get("mine") is None


@needs_fork
def test_a_child_forked_while_the_lock_is_held_can_use_its_copy(backend):
    """Even a lock that is never released in the parent is no obstacle to the child."""
    held, leave = threading.Event(), threading.Event()

    def hold():
        backend._engine._lock.acquire()
        backend._engine._settling = True  # as in the middle of a write
        held.set()
        leave.wait(30)
        backend._engine._settling = False
        backend._engine._lock.release()

    backend.set("key", 1, 60)
    with ThreadPoolExecutor(1) as threads:
        holding = threads.submit(hold)
        assert held.wait(30)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                signal.signal(signal.SIGALRM, signal.SIG_DFL)
                signal.alarm(20)
                backend.set("key", backend.get("key") + 1)
                books_agree(backend)
                code = 0 if backend.get("key") == 2 else 2
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        leave.set()
        holding.result(30)
    assert 0 == os.waitstatus_to_exitcode(status)


def test_one_entry_is_enough_room(make, eviction):
    """With `max_entries=1` everything works, and what was stored last is there."""
    backend = make(max_entries=1, eviction=eviction)
    backend.set_many({f"key:{number}": number for number in range(100)})
    assert 1 == len(backend)
    assert 99 == backend.get("key:99")
    assert 100 == backend.incr("key:99")
    assert 1 == backend.incr("other")
    assert {"key:99": None, "other": 1} == backend.get_many(["key:99", "other"])


def test_a_counter_may_be_evicted_while_it_is_counted(eviction):
    """An evicted counter starts again; nobody sees an error or a count that was never reached."""
    backend = MemoryCacheBackend(MemoryCacheConfig(max_entries=1, eviction=eviction))

    def work(number):
        counts = []
        for turn in range(500):
            counts.append(backend.incr("counter"))
            backend.set(f"{number}:{turn}", turn)
        return counts

    with restless():
        every = together(4, work)
    assert all(1 <= count <= 2000 for counts in every for count in counts)
    assert 1 == len(backend)


def test_hits_take_no_lock(backend):
    """While another thread holds the lock, reads of every kind go on."""
    backend.set("key", 1)
    backend.set("mortal", [1], 60)
    backend._engine._lock.acquire()
    try:
        seen = bounded(
            lambda: (
                backend.get("key"),
                backend.get("mortal"),
                backend.get("absent"),
                backend.exists("key"),
                backend.ttl("mortal"),
                backend.get_many(["key", "absent"]),
                sorted(backend.scan()),
            )
        )
    finally:
        backend._engine._lock.release()
    expected = (1, [1], None, True, 60.0, {"key": 1, "absent": None}, ["key", "mortal"])
    assert expected == seen


def test_no_thread_and_no_timer_belongs_to_a_cache():
    """A hundred caches with lifetimes do not start a thread, and the process ends by itself."""
    program = """
import threading
from jinpy_cache_memory import MemoryCacheBackend
caches = [MemoryCacheBackend() for _ in range(100)]
for cache in caches:
    cache.set("key", 1, 0.01)
assert threading.active_count() == 1
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
