"""What comes between two steps: exceptions of signal handlers, calls of finalisers, forks."""

import ast
import gc
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.core.conftest import ShelfBackend, ShelfConfig

import jinpy_cache_core
from jinpy_cache_core import CacheManager, CacheManagerConfig, register_backend, unregister_backend
from jinpy_cache_core.configuration import registry
from jinpy_cache_core.loading.background import Background
from jinpy_cache_core.loading.desk import Desk, Errand
from jinpy_cache_core.loading.events import CacheEvent, Events, Filled
from jinpy_cache_core.loading.failures import RecentFailures
from jinpy_cache_core.loading.flights import Flights
from jinpy_cache_core.loading.journal import Journal
from jinpy_cache_core.loading.statistics import MOST_UNSUMMED, Counters
from jinpy_cache_core.outage.breaker import PROBE_LIFETIME, Breaker
from jinpy_cache_core.serializers.plans import CustomPlan
from jinpy_cache_core.serializers.registry import TypeRegistry
from jinpy_cache_testing import bounded
from jinpy_cache_testing.interrupts import Storm, works_elsewhere

pytestmark = [
    pytest.mark.timeout(method="thread"),  # the alarm is ours
    # Python itself swallows what a handler raises while a weak reference is being cleared.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")


def counters() -> tuple[Any, Callable[[], object]]:
    """Statistics, and what counts and sums them up."""
    one = Counters()

    def use() -> None:
        for _ in range(MOST_UNSUMMED + 1):
            one.add("fills")
        assert one.snapshot()["fills"] > 0

    return lambda: one._lock, use


def events() -> tuple[Any, Callable[[], object]]:
    """Listeners, coming and going."""
    one = Events("shelf")
    return lambda: one._lock, lambda: one.on(Filled, print)() or True


def flights() -> tuple[Any, Callable[[], object]]:
    """A computation that is waited for, and ended."""
    all_flights = Flights()
    flight = all_flights.begin("key")

    def use() -> None:
        flight.wait(0)
        flight.land()
        all_flights.end(flight)

    return lambda: flight._lock, use


def background() -> tuple[Any, Callable[[], object]]:
    """Work behind a caller."""
    one = Background("shelf")

    def use() -> None:
        one.in_thread(lambda: None)

    return lambda: one._changed, use


def types() -> tuple[Any, Callable[[], object]]:
    """Classes that are registered."""
    one = TypeRegistry()
    plan = CustomPlan(ShelfBackend, "shelf", str, str)

    def use() -> None:
        one.register(plan)
        assert one.named("shelf") is plan
        one.unregister(ShelfBackend)

    return lambda: one._lock, use


def backends() -> tuple[Any, Callable[[], object]]:
    """Backends that are registered."""

    def use() -> None:
        register_backend("shelf of an interrupt", ShelfBackend)
        unregister_backend("shelf of an interrupt")

    return lambda: registry._lock, use


def manager() -> tuple[Any, Callable[[], object]]:
    """An independent manager that is configured anew."""
    one = CacheManager(CacheManagerConfig(enable_singleton=False))
    config = CacheManagerConfig(backends=[ShelfConfig()], enable_singleton=False)

    def use() -> None:
        one.configure(config)
        one.close()

    return lambda: one._lock, use


def breakers() -> tuple[Any, Callable[[], object]]:
    """What is known of a store: that it fails, and that it answers."""
    one = Breaker(failures=1)

    def use() -> None:
        one.failed()
        one.probed(answered=True)
        assert not one.open

    return lambda: one._lock, use


def journals() -> tuple[Any, Callable[[], object]]:
    """What is logged once."""
    one = Journal()
    return lambda: one._lock, lambda: one.forget("kind")


def failures() -> tuple[Any, Callable[[], object]]:
    """Errors that are remembered for a while."""
    one = RecentFailures(lambda: 0.0)

    def use() -> None:
        one.note("key", ValueError(), 10)
        assert one.recent("key") is not None
        one.forget("key")

    return lambda: one._lock, use


def desks() -> tuple[Any, Callable[[], object]]:
    """Callers who ask together."""
    one = Desk()

    def use() -> None:
        errand = one.join(Errand("key"))
        one.sending(errand)
        one.done(errand)
        watch = one.watch(b"token", Errand("key"))
        one.watched(b"token", watch)
        assert not len(one)

    return lambda: one._lock, use


def closing() -> tuple[Any, Callable[[], object]]:
    """A backend that is closed."""
    one = ShelfBackend()
    return lambda: one._closing, one.close


OWNERS = (
    counters,
    events,
    flights,
    background,
    types,
    backends,
    manager,
    breakers,
    journals,
    failures,
    desks,
    closing,
)
"""What has a lock: each with the lock of now, and what takes it."""


@pytest.fixture(params=OWNERS, ids=lambda owner: owner.__name__)
def owner(request: pytest.FixtureRequest) -> tuple[Callable[[], Any], Callable[[], object]]:
    """Something with a lock."""
    return request.param()


def test_nothing_waits_for_its_own_thread(owner: Any):
    """A handler or finaliser that comes while its thread holds a lock gets in."""
    lock, use = owner

    def come_between() -> None:
        with lock():
            use()

    bounded(come_between)


@needs_fork
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_is_not_bound_by_the_locks_of_its_parents_threads(owner: Any):
    """Whatever another thread holds while a process forks, the child goes on."""
    lock, use = owner
    held, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with lock():
            held.set()
            leave.wait(30)

    with ThreadPoolExecutor(1) as threads:
        holding = threads.submit(hold)
        assert held.wait(30)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                signal.signal(signal.SIGALRM, signal.SIG_DFL)
                signal.alarm(20)
                use()
                code = 0
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        leave.set()
        holding.result(30)

    assert 0 == os.waitstatus_to_exitcode(status)


@contextmanager
def bothered(seconds: float, handler: Callable[[], object]):
    """Call a handler again and again, between any two steps."""
    before = signal.signal(signal.SIGALRM, lambda _signal, _frame: handler())
    signal.setitimer(signal.ITIMER_REAL, seconds, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_handlers_and_finalisers_count_exactly():
    """What counts in the middle of counting is counted as well, and once."""
    one = Counters()
    handled = 0

    class Cyclic:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            one.add("died")

    def handle() -> None:
        nonlocal handled
        handled += 1
        one.add("handled")
        one.snapshot()

    turns = 0
    with bothered(0.0005, handle):
        while handled < 50 and turns < 5_000_000:
            turns += 1
            one.add("turns")
            Cyclic()
    gc.collect()

    assert {"turns": turns, "handled": handled, "died": turns} == one.snapshot()


def rage(interrupts: int) -> None:
    """Interrupt everything here at random instants, then see whether other threads go on."""
    counted, all_events = Counters(), Events("shelf")
    heard: list[CacheEvent] = []
    done = tried = 0

    def count() -> None:
        nonlocal done, tried
        tried += 1
        counted.add("turns")
        done += 1

    def subscribe() -> None:
        all_events.on(Filled, heard.append)()

    def close() -> None:
        shelf = ShelfBackend()
        try:
            shelf.close()
        finally:
            shelves.append(shelf)

    shelves: list[ShelfBackend] = []
    uses = [make()[1] for make in (types, backends, manager, flights, breakers, failures)]
    calls = [count, counted.snapshot, subscribe, close, *uses]
    storm = Storm(interrupts)
    with storm.raging():
        while storm.interrupted < interrupts:
            storm.call(calls)
            while len(shelves) > 100:
                shelves.pop(0).close()

    assert storm.finished > 0
    assert done <= counted.snapshot()["turns"] <= tried
    for call in (subscribe, lambda: counted.add("turns"), *uses):
        assert works_elsewhere(call)
    for shelf in shelves:
        assert works_elsewhere(shelf.close)
        assert shelf.closed


def test_an_interrupt_leaves_no_lock():
    """Of statistics, events, registries, managers and closing; nothing is counted twice."""
    rage(1000)


@pytest.mark.soak
def test_a_hundred_thousand_interrupts():
    """The same, for as long as it takes to meet every instant."""
    rage(100_000)


def test_a_thread_that_was_not_started_leaves_its_place():
    """However starting it ended: closing waits for what runs, and for nothing else."""
    one = Background("shelf", most=4)

    def work() -> None:
        one.in_thread(lambda: None)

    storm = Storm(4)
    with storm.raging():
        while storm.interrupted < 200:
            storm.call([work])
            assert one.idle(20)

    assert 0 == len(one)


def test_a_close_that_was_interrupted_is_ended_by_the_next():
    """The workers end, whatever the first one was doing."""
    shelf = ShelfBackend()
    shutdown = shelf._workers.close
    calls = []

    def close() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise KeyboardInterrupt
        shutdown()

    shelf._workers.close = close
    with pytest.raises(KeyboardInterrupt):
        shelf.close()
    shelf.close()
    shelf.close()

    assert 2 == len(calls)
    assert shelf.closed


def test_a_probe_that_was_interrupted_is_followed_by_another():
    """A breaker does not stay open because nobody came to tell how its probe went."""
    now = [0.0]
    breaker = Breaker(failures=1, timer=lambda: now[0])
    breaker.failed()
    now[0] += 1

    probes = [breaker.probe(), breaker.probe()]
    now[0] += PROBE_LIFETIME
    probes += [breaker.probe(), breaker.probe()]

    assert [True, False, True, False] == probes


def _locking_calls(path: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        if name in {"threading.Lock", "Lock"} or name.endswith(".acquire"):
            found.append(f"{path.name}:{node.lineno}: {ast.unparse(node)}")
    return found


def test_every_lock_of_the_core_is_entered_by_with_and_re_entrant():
    """No plain lock and no `acquire`: what cannot be written wrong cannot be left behind."""
    root = Path(jinpy_cache_core.__file__).parent

    assert [] == [call for path in sorted(root.rglob("*.py")) for call in _locking_calls(path)]
