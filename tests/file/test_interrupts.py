"""Exceptions at any instant of any operation: signal handlers, timeouts, other threads."""

import contextlib
import ctypes
import gc
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from tests.file.conftest import open_descriptors

from jinpy_cache_core import CacheBackendError
from jinpy_cache_core.exceptions import CacheException
from jinpy_cache_file import FileCacheBackend, FileCacheConfig
from jinpy_cache_testing.interrupts import Interrupt, Storm, works_elsewhere

pytestmark = [
    pytest.mark.timeout(method="thread"),  # the alarm is ours
    # An interrupted close leaves it to the finaliser.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture(autouse=True)
def swallowed(monkeypatch):
    """What a handler raises in a finaliser, Python swallows and tells by a hook; quietly here."""
    monkeypatch.setattr(sys, "unraisablehook", lambda _unraisable: None)


KEYS = [f"key{number}" for number in range(60)]


class Counted:
    """One counter, and how often it was surely and perhaps counted up."""

    def __init__(self) -> None:
        self.surely = self.perhaps = 0

    def up(self, cache: FileCacheBackend) -> None:
        self.perhaps += 1
        cache.incr("count")
        self.surely += 1
        self.perhaps -= 1

    def agrees(self, cache: FileCacheBackend) -> bool:
        return self.surely <= cache.get("count", 0) <= self.surely + self.perhaps


def operations(
    cache: FileCacheBackend, counts: FileCacheBackend, chance: random.Random, counted: Counted
) -> list[Callable[[], object]]:
    """What a program does with a cache; every value says under which key it belongs."""

    def value(name: str) -> dict[str, Any]:
        return {"key": name, "body": b"x" * chance.choice([0, 10, 900, 9000])}

    def key() -> str:
        return chance.choice(KEYS)

    def store(ttl: float | None = None) -> None:
        name = key()
        cache.set(name, value(name), ttl)

    def check() -> None:
        name = key()
        found = cache.get(name)
        assert found is None or found["key"] == name

    def close_and_open() -> None:
        with FileCacheBackend(cache.config) as passing:
            passing.get("key1")

    def refusable(call: Callable[[], object]) -> Callable[[], None]:
        def run() -> None:
            # What an interrupt has cut short may refuse once, while its traceback is still held.
            with contextlib.suppress(CacheBackendError):
                call()

        return run

    calls = [
        store,
        lambda: store(chance.choice([0.001, 0.01, 5])),
        check,
        lambda: cache.delete(key()),
        lambda: cache.pop(key()),
        lambda: cache.set_many({name: value(name) for name in (key(), key())}),
        lambda: cache.touch(key(), 3),
        lambda: list(cache.scan("key1")),
        lambda: counted.up(counts),
        lambda: counted.up(counts),
        cache.clear,
        close_and_open,
    ]
    return [refusable(call) for call in calls]


def config_of(directory, name="disk", **settings: Any) -> FileCacheConfig:
    """Settings under which values lie in files, and a wait is not for ever."""
    return FileCacheConfig(
        name=name, directory=directory, inline_max_bytes=2000, lock_timeout=5, **settings
    )


def weather(directory, interrupts: int) -> Storm:
    """Let a storm pass over a cache, looking after it now and then; nothing is left behind."""
    chance = random.Random(interrupts)
    counted = Counted()
    before = open_descriptors()
    with (
        FileCacheBackend(config_of(directory, max_entries=50)) as cache,
        FileCacheBackend(config_of(directory, "counts")) as counts,
    ):
        cache.set("warm", b"x" * 9000)
        opened = open_descriptors()
        storm = Storm(interrupts)
        calls = operations(cache, counts, chance, counted)
        with storm.raging():
            while storm.interrupted < interrupts:
                storm.call(calls)
                if storm.interrupted % 500 == 499:
                    signal.setitimer(signal.ITIMER_REAL, 0)
                    assert not cache._environment.lock.locked()
                    assert works_elsewhere(lambda: cache.set("probe", 1))
        assert storm.finished > 0
        assert not cache._environment.lock.locked()
        assert works_elsewhere(lambda: cache.set("probe", 1))
        assert counted.agrees(counts)
        gc.collect()
        cache.get("probe")
        assert open_descriptors() <= opened
        cache.sweep()
        report = cache.check()
        assert report.ok, report.problems
    assert open_descriptors() == before
    return storm


def test_an_interrupt_leaves_nothing_behind(directory):
    """No lock, no `flock`, no descriptor; counts are exact and the store is whole."""
    weather(directory, 2000)


@pytest.mark.soak
def test_a_hundred_thousand_interrupts(directory):
    """The same, for as long as it takes to meet every instant."""
    weather(directory, 100_000)


def hunted(directory, strikes: int) -> int:
    """Raise an exception in a working thread again and again, from another one."""
    chance = random.Random(strikes)
    counted = Counted()
    struck = 0
    ready, over = threading.Event(), threading.Event()
    with (
        FileCacheBackend(config_of(directory, max_entries=50)) as cache,
        FileCacheBackend(config_of(directory, "counts")) as counts,
    ):
        calls = operations(cache, counts, chance, counted)
        failed: list[BaseException] = []

        def work() -> None:
            nonlocal struck
            ready.set()
            while not over.is_set():
                try:
                    while not over.is_set():
                        chance.choice(calls)()
                except Interrupt:
                    struck += 1
                except BaseException as error:
                    failed.append(error)
                    return

        def hunt() -> None:
            with contextlib.suppress(Interrupt):
                work()
            while not over.is_set():  # hit between two tries
                with contextlib.suppress(Interrupt):
                    work()

        thread = threading.Thread(target=hunt)
        thread.start()
        assert ready.wait(60)
        end = time.monotonic() + 60 + strikes / 100
        while struck < strikes and time.monotonic() < end and thread.is_alive():
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(thread.ident), ctypes.py_object(Interrupt)
            )
            threading.Event().wait(chance.uniform(1e-5, 3e-4))
        over.set()
        thread.join(60)
        assert not thread.is_alive()
        assert failed == []
        assert not cache._environment.lock.locked()
        cache.set("probe", 1)
        assert counted.agrees(counts)
        cache.sweep()
        report = cache.check()
        assert report.ok, report.problems
    calls.clear()
    gc.collect()
    return struck


def test_exceptions_from_another_thread_leave_nothing_behind(directory):
    """`PyThreadState_SetAsyncExc` strikes between any two steps, in any thread."""
    assert hunted(directory, 300) == 300


@pytest.mark.soak
def test_twenty_thousand_exceptions_from_another_thread(directory):
    """The same, for longer."""
    assert hunted(directory, 20_000) == 20_000


def test_a_handler_that_writes_is_refused_at_once_and_told_why(make):
    """It neither waits for its own thread, nor is told that another writer is in the way."""
    cache = make(lock_timeout=60)
    said: list[str] = []
    done = 0

    def handler(*_: object) -> None:
        nonlocal done
        try:
            cache.set("stopped", 1)
            done += 1
        except CacheException as error:
            said.append(f"{type(error).__name__} {error}")
        assert cache.get("k") is None or cache.get("k") >= 0

    before = signal.signal(signal.SIGALRM, handler)
    try:
        for number in range(3000):
            signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-6, 40e-6))
            cache.set("k", number)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert said
    assert all("in the middle of a write" in one for one in said), said[0]
    assert cache.get("k") == 2999
    assert cache.check().ok


def test_a_finaliser_that_writes_in_the_middle_of_a_write_is_refused(make):
    """An object that dies inside of a transaction uses the cache: an error, and no deadlock."""
    cache = make(lock_timeout=60)
    said: list[str] = []

    class Dying:
        def __del__(self) -> None:
            try:
                cache.set("last words", 1)
            except CacheException as error:
                said.append(str(error))

    def work(writing: Any) -> None:
        Dying()
        writing.txn.get(b"m")

    cache._store.writing(work)
    assert len(said) == 1
    assert "in the middle of a write" in said[0]
    cache.set("k", 1)


def test_a_fork_and_a_close_inside_of_a_handler(make, fork):
    """A handler that forks, or closes another cache of the directory, finds the write undone."""
    cache = make()
    cache.set("n", 0)
    children = []

    def handler(*_: object) -> None:
        make().close()
        children.append(fork(lambda: cache.set("child", 1)))

    before = signal.signal(signal.SIGALRM, handler)
    counted = 0
    try:
        for _ in range(30):
            signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-6, 60e-6))
            cache.incr("n")
            counted += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert children
    assert {os.waitpid(child, 0)[1] for child in children} == {0}
    assert cache.get("n") == counted
    assert cache.check().ok


def test_a_backend_that_is_dropped_warns_and_gives_everything_back(directory):
    """Without `close` there is a ResourceWarning; no descriptor and no thread stays."""
    config = FileCacheConfig(name="disk", directory=directory)
    before = open_descriptors()

    def use_and_drop() -> None:
        for number in range(3):
            FileCacheBackend(config).set("k", number)
            gc.collect()

    with pytest.warns(ResourceWarning, match="FileCacheBackend 'disk'.*without close"):
        use_and_drop()
    assert open_descriptors() == before
    with FileCacheBackend(config) as cache:
        assert cache.get("k") == 2
