"""The breaker, the journal, the desk and the way back of leases: decided without a store."""

import itertools
import logging
import signal
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.conftest import ShelfBackend

from jinpy_cache_core.backend import is_heavy
from jinpy_cache_core.exceptions import CacheConnectionError
from jinpy_cache_core.loading import exits
from jinpy_cache_core.loading.desk import Desk, Errand
from jinpy_cache_core.loading.failures import RecentFailures
from jinpy_cache_core.loading.journal import INTERVAL, Journal
from jinpy_cache_core.loading.returns import Returns
from jinpy_cache_core.outage.breaker import LONGEST_DELAY, Breaker
from jinpy_cache_testing import FakeClock, bounded


def test_a_few_failures_in_a_row_open_a_breaker():
    """An answer between them begins the count anew."""
    breaker = Breaker(failures=3, timer=FakeClock(0.0))

    outcomes = [breaker.failed(), breaker.failed(), breaker.succeeded(), breaker.failed()]

    assert [False] * 4 == outcomes
    assert not breaker.open
    assert [False, True, False] == [breaker.failed(), breaker.failed(), breaker.failed()]
    assert breaker.open


def test_one_failure_may_be_enough():
    """Where it has cost all the time there is, nobody pays for a second and a third."""
    breaker = Breaker(failures=3, timer=FakeClock(0.0))

    assert breaker.failed(at_once=True)
    assert breaker.open
    assert not breaker.failed(at_once=True)
    assert breaker.succeeded()
    assert not breaker.open


def test_one_probe_at_a_time_closes_it():
    """Nobody probes before it is due, one does then, and its answer decides."""
    clock = FakeClock(0.0)
    breaker = Breaker(failures=1, first=0.1, timer=clock, chance=lambda: 1.0)
    breaker.failed()

    early = breaker.probe()
    clock.advance(0.1)
    due = [breaker.probe(), breaker.probe()]
    failed = breaker.probed(answered=False)
    again = breaker.probe()
    clock.advance(0.2)
    later = [breaker.probe(), breaker.probe()]

    assert (False, [True, False], False, False, [True, False]) == (early, due, failed, again, later)
    assert breaker.probed(answered=True)
    assert not breaker.open
    assert not breaker.probe()


@given(st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=40))
def test_probes_back_off_within_bounds(chances):
    """Intervals grow, are spread by chance, and never exceed the longest."""
    clock = FakeClock(0.0)
    draw = itertools.cycle(chances)
    breaker = Breaker(failures=1, timer=clock, chance=lambda: next(draw))
    breaker.failed()
    for _ in chances:
        clock.advance(LONGEST_DELAY)
        assert breaker.probe()
        breaker.probed(answered=False)


def test_of_many_threads_one_probes():
    """However many callers come at once."""
    breaker = Breaker(failures=1, first=0.0, longest=0.0)
    breaker.failed()
    started = threading.Barrier(8)
    probing = []

    def caller():
        started.wait(10)
        if breaker.probe():
            probing.append(1)

    threads = [threading.Thread(target=caller) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert [1] == probing


def test_what_happens_again_and_again_is_one_line_and_a_count(caplog):
    """The first at once, then one line a minute for each kind."""
    clock = FakeClock(0.0)
    journal = Journal(clock)
    with caplog.at_level(logging.WARNING):
        for _ in range(1_000):
            journal.warn("kind", "It failed: %s", "x")
        journal.warn("other", "Another.")
        clock.advance(INTERVAL)
        journal.warn("kind", "It failed: %s", "x")

    assert [
        "It failed: x",
        "Another.",
        "It failed: x (999 more like this since the last line.)",
    ] == [record.getMessage() for record in caplog.records]


@pytest.fixture
def default_sigterm():
    """SIGTERM as a program finds it that handles nothing."""
    before = signal.getsignal(signal.SIGTERM), exits._handles_sigterm
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    exits._handles_sigterm = False
    yield
    exits._handles_sigterm = before[1]
    signal.signal(signal.SIGTERM, before[0])


@pytest.mark.usefixtures("default_sigterm")
def test_sigterm_is_handled_once_and_where_nobody_else_does():
    """A program may take the handler away, or have its own; neither is undone by the next cache."""

    class Leaving:
        def leave(self, seconds):
            raise NotImplementedError

    leaving = Leaving()
    exits.watch_exit(leaving, signals=False)
    seen = [signal.getsignal(signal.SIGTERM)]
    exits.watch_exit(leaving, signals=True)
    seen.append(signal.getsignal(signal.SIGTERM))
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    exits.watch_exit(leaving, signals=True)
    seen.append(signal.getsignal(signal.SIGTERM))
    exits._handles_sigterm = False
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    exits.watch_exit(leaving, signals=True)
    seen.append(signal.getsignal(signal.SIGTERM))

    default, ignore = signal.SIG_DFL, signal.SIG_IGN
    assert [default, exits._on_sigterm, default, ignore] == seen


def test_nobody_joins_a_question_that_was_sent():
    """Who comes joins the next one, of which the first of them is to send it."""
    desk = Desk()
    own = [Errand("key") for _ in range(4)]
    first = desk.join(own[0])
    desk.sending(first)
    second = desk.join(own[1])
    third = desk.join(own[2])

    assert [own[0], own[1], own[1]] == [first, second, third]
    assert first is second.after
    desk.done(first)
    assert first.landed
    desk.sending(second)
    fourth = desk.join(own[3])
    assert own[3] is fourth
    assert second is fourth.after
    desk.done(second)
    desk.done(fourth)
    assert 0 == len(desk)


@pytest.mark.parametrize("sent", [False, True])
def test_a_question_that_nobody_sends_any_more_keeps_nobody(sent):
    """Whoever was to send it may be gone without a word; who waits does so for `lock_timeout`."""
    with ShelfBackend() as backend:
        desk = backend._loading.desk
        lost = desk.join(Errand("key"))
        if sent:
            desk.sending(lost)
        assert 1 == bounded(lambda: backend.get_or_set("key", lambda: 1, lock_timeout=0.05))
        assert 0 == len(desk)
        assert lost.landed


class _Store:
    name = "store"
    _gives_back_at_once = False

    def __init__(self, failures):
        self.failures = failures
        self.batches = []
        self.gate = threading.Event()

    def _settle_many(self, settlings, within):
        self.batches.append(sorted(settlings))
        self.gate.wait(10)
        if self.failures:
            self.failures -= 1
            raise CacheConnectionError("away")
        return dict.fromkeys(settlings, True)


@pytest.mark.parametrize("failures", [0, 2])
def test_leases_go_back_in_batches_until_they_are_taken(failures):
    """What the store does not take is tried again."""
    store = _Store(failures)
    returns = Returns(store, Journal())
    for number in range(100):
        returns.add(f"key {number:03}", bytes(16))
    store.gate.set()

    assert returns.drain(10)
    assert 0 == len(returns)
    assert {f"key {number:03}" for number in range(100)} <= set(itertools.chain(*store.batches))
    assert 100 > len(store.batches)


def test_leases_that_are_never_taken_are_left_after_a_while():
    """`lock_timeout` bounds what they cost; nothing is tried for ever."""
    store = _Store(10_000)
    store.gate.set()
    returns = Returns(store, Journal(), patience=0.05)
    returns.add("key", bytes(16))

    assert returns.drain(10)


def test_a_failure_is_remembered_for_a_while_as_it_was():
    """Nothing is added to its traceback by those who get it later."""
    clock = FakeClock(0.0)
    failures = RecentFailures(clock)
    error = LookupError("no")
    failures.note("key", error, 5.0)
    failures.note("none", error, 0.0)

    assert [error, None] == [failures.recent("key"), failures.recent("none")]
    clock.advance(5)
    assert failures.recent("key") is None


@pytest.mark.parametrize(
    ("value", "heavy"),
    [
        (1, False),
        (None, False),
        ("x" * 100, False),
        ({"a": [1, 2], "b": ("c",)}, False),
        (b"x" * 1_000_000, True),
        ([0] * 100_000, True),
        ([[0] * 1_000] * 100, True),
        ({"a": {"b": "x" * 1_000_000}}, True),
        ([[]] * 1_000, True),
    ],
)
def test_values_that_take_long_are_told_from_those_that_do_not(value, heavy):
    """By a look that costs less than encoding would."""
    assert heavy is is_heavy(value)
