"""Factories that fail, hang and recover, with and without a stale value; values renewed early."""

import asyncio
import threading
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import pytest

from jinpy_cache_core.backend.base import BaseBackend
from jinpy_cache_core.exceptions import CacheTimeoutError
from jinpy_cache_core.interfaces import CacheInterface
from jinpy_cache_core.loading.context import FactoryContext
from jinpy_cache_core.loading.events import Filled, StaleServed
from jinpy_cache_core.sentinels import MISSING
from jinpy_cache_testing.factories import Failing, Gate, Tally, of_half
from jinpy_cache_testing.harness import Harness, once
from jinpy_cache_testing.sync_view import Half

TTL = 10.0
GRACE = 1000.0

STALE, NEW = "stale", "new"
FAILED, TIMED_OUT = "LookupError", "CacheTimeoutError"


@attrs.frozen
class Outcome:
    """One row of the table of outcomes.

    Attributes:
        factory: What it does: `"fails"`, `"hangs"` or `"works"`.
        there: Whether a stale value is there.
        limits: The timeouts given.
        answer: What the caller gets: a value or the name of an error.
        later: What is there once everything has settled.
    """

    factory: str
    there: bool
    limits: Mapping[str, Any]
    answer: str
    later: str | None


SOFT: Mapping[str, Any] = {"soft_timeout": 0.0}
HARD: Mapping[str, Any] = {"hard_timeout": 0.0}
BOTH: Mapping[str, Any] = {"soft_timeout": 0.0, "hard_timeout": 1000.0}

OUTCOMES = (
    Outcome("works", there=True, limits={}, answer=NEW, later=NEW),
    Outcome("works", there=False, limits={}, answer=NEW, later=NEW),
    Outcome("fails", there=True, limits={}, answer=STALE, later=STALE),
    Outcome("fails", there=False, limits={}, answer=FAILED, later=None),
    Outcome("hangs", there=True, limits=SOFT, answer=STALE, later=NEW),
    Outcome("hangs", there=True, limits=HARD, answer=STALE, later=NEW),
    Outcome("hangs", there=True, limits=BOTH, answer=STALE, later=NEW),
    Outcome("hangs", there=False, limits=HARD, answer=TIMED_OUT, later=NEW),
    Outcome("works", there=False, limits=SOFT, answer=NEW, later=NEW),
    Outcome("works", there=True, limits={"hard_timeout": 30.0}, answer=NEW, later=NEW),
    Outcome("works", there=False, limits={"hard_timeout": 30.0}, answer=NEW, later=NEW),
    Outcome("fails", there=True, limits={"hard_timeout": 30.0}, answer=STALE, later=STALE),
    Outcome("fails", there=False, limits={"hard_timeout": 30.0}, answer=FAILED, later=None),
)
"""What is promised; the guide shows the same table."""


def _id(outcome: Outcome) -> str:
    there = "stale" if outcome.there else "nothing"
    return f"{outcome.factory} {'+'.join(outcome.limits) or 'no limit'} {there}"


class ResilienceSuite(Harness):
    """Grace, timeouts and early renewal, on an injected clock and without a wait."""

    @once
    @pytest.mark.parametrize("outcome", OUTCOMES, ids=_id)
    def test_a_factory_in_trouble_has_the_documented_outcome(
        self,
        half: Half,
        backend: BaseBackend,
        wait: Callable[[float], None],
        outcome: Outcome,
    ) -> None:
        """Failing, hanging and working factories, with a stale value and without."""
        leave = Gate()
        factory = _factory(outcome.factory, leave, half)
        with self.in_half(half, backend) as cache:
            if outcome.there:
                cache.get_or_set("key", lambda: STALE, TTL, grace=GRACE)
                wait(TTL + 1)
            how: Any = {"ttl": TTL, "grace": GRACE, **outcome.limits}
            answer = _answer(lambda: cache.get_or_set("key", factory, **how))
            leave.enter()
            backend._loading.background.idle(self.patience) if half == "sync" else self._rest(cache)
            later = cache.get("key")

        assert (outcome.answer, outcome.later) == (answer, later)

    def _rest(self, cache: Any) -> None:
        """Let the background tasks of a half's loop come to their end."""

        async def rest() -> None:
            here = asyncio.current_task()
            others = [task for task in asyncio.all_tasks() if task is not here]
            if others:
                await asyncio.wait(others, timeout=self.patience)

        cache.run(rest())

    @once
    def test_a_failing_factory_is_left_alone_for_a_while(
        self, cache: CacheInterface, wait: Callable[[float], None]
    ) -> None:
        """For `grace_backoff` the stale value passes for fresh; then the factory is asked again."""
        failing = Failing()
        cache.get_or_set("key", lambda: STALE, TTL, grace=GRACE)
        wait(TTL + 1)

        how: Any = {"ttl": TTL, "grace": GRACE, "grace_backoff": 5}
        first = [cache.get_or_set("key", failing, **how) for _ in range(3)]
        calls = [failing.calls]
        wait(6)
        second = [cache.get_or_set("key", failing, **how), cache.get("key")]
        calls.append(failing.calls)
        wait(6)
        recovered = cache.get_or_set("key", lambda: NEW, **how)

        assert [STALE] * 3 == first
        assert [STALE] * 2 == second
        assert [1, 2] == calls
        assert NEW == recovered
        assert self.seconds(TTL) == cache.ttl("key")

    @once
    def test_grace_ends(self, cache: CacheInterface, wait: Callable[[float], None]) -> None:
        """Past its ttl and its grace a value is gone, however often it was served."""
        failing = Failing()
        cache.get_or_set("key", lambda: STALE, TTL, grace=20)
        wait(TTL + 15)
        served = cache.get_or_set("key", failing, TTL, grace=20, grace_backoff=100)
        wait(6)

        assert STALE == served
        with pytest.raises(LookupError):
            cache.get_or_set("key", failing, TTL, grace=20)

    @once
    def test_without_grace_no_stale_value_is_served(
        self, cache: CacheInterface, wait: Callable[[float], None]
    ) -> None:
        """A call that allows no grace gets the factory's error, even if the value had some."""
        cache.get_or_set("key", lambda: STALE, TTL, grace=GRACE)
        wait(TTL + 1)

        with pytest.raises(LookupError):
            cache.get_or_set("key", Failing(), TTL, grace=0)
        assert STALE == cache.get_or_set("key", Failing(), TTL, grace=GRACE)

    @once
    def test_the_factory_sees_the_stale_value_and_may_keep_it(
        self, cache: CacheInterface, wait: Callable[[float], None]
    ) -> None:
        """`not_modified` stores the old value for another ttl, as a conditional request would."""
        seen: list[object] = []

        def compute(context: FactoryContext) -> Any:
            seen.append(context.stale)
            return NEW if context.stale is MISSING else context.not_modified()

        values = [cache.get_or_set("key", compute, TTL, grace=GRACE)]
        wait(TTL + 1)
        values.append(cache.get_or_set("key", compute, TTL, grace=GRACE))

        assert [MISSING, NEW] == seen
        assert [NEW, NEW] == values
        assert self.seconds(TTL) == cache.ttl("key")

    @once
    def test_a_value_is_renewed_ahead_of_its_end(
        self, half: Half, backend: BaseBackend, wait: Callable[[float], None]
    ) -> None:
        """Past `refresh_ahead` of its ttl everyone is served, and one renews in the background."""
        factory = Tally("first", "second")
        how: Any = {"ttl": TTL, "refresh_ahead": 0.5}
        with self.in_half(half, backend) as cache:
            early = [cache.get_or_set("key", factory, **how) for _ in range(2)]
            wait(TTL / 2 - 1)
            early.append(cache.get_or_set("key", factory, **how))
            before = factory.calls
            wait(2)
            served = cache.get_or_set("key", factory, **how)
            if half == "sync":
                backend._loading.background.idle(self.patience)
            else:
                self._rest(cache)
            late = [cache.get_or_set("key", factory, **how), cache.get("key")]
            left = cache.ttl("key")

        assert ["first"] * 3 == early
        assert 1 == before
        assert "first" == served
        assert ["second"] * 2 == late
        assert 2 == factory.calls
        assert self.seconds(TTL) == left

    @once
    def test_a_renewal_that_fails_is_only_noted(
        self, backend: BaseBackend, wait: Callable[[float], None]
    ) -> None:
        """Nobody sees the error of a background renewal; it is counted and logged."""
        how: Any = {"ttl": TTL, "refresh_ahead": 0.5}
        backend.get_or_set("key", lambda: "value", **how)
        wait(TTL / 2 + 1)
        served = backend.get_or_set("key", Failing(), **how)
        backend._loading.background.idle(self.patience)

        assert ["value", "value"] == [served, backend.get("key")]
        assert (1, 1) == (backend.stats().errors, backend.stats().background_errors)

    @once
    def test_a_costly_value_is_renewed_by_chance(
        self, backend: BaseBackend, clock: Any, wait: Callable[[float], None]
    ) -> None:
        """With `beta` the chance of an early renewal grows with the cost and the age."""
        measured = iter([0.0, 4.0, *[10.0] * 100])
        backend._loading.timer = lambda: next(measured)
        how: Any = {"ttl": 100.0, "beta": 1.0}
        chances = [0.0]
        backend._loading.chance = lambda: chances[-1]
        factory = Tally("first", "second")
        backend.get_or_set("key", factory, **how)
        wait(97)
        served = [backend.get_or_set("key", factory, **how)]
        backend._loading.background.idle(self.patience)
        calls = [factory.calls]
        chances.append(0.99)
        served.append(backend.get_or_set("key", factory, **how))
        backend._loading.background.idle(self.patience)
        calls.append(factory.calls)

        assert ["first", "first"] == served
        assert [1, 2] == calls

    @once
    def test_a_slow_factory_stores_in_the_background_for_everyone(
        self, backend: BaseBackend, wait: Callable[[float], None]
    ) -> None:
        """While it runs, all others are served the stale value at once; no second one begins."""
        leave, filled = Gate(), threading.Event()
        reasons: list[str] = []
        backend.on(Filled, lambda _: filled.set())
        factory = Tally("new")

        def slow() -> object:
            leave.wait(self.patience)
            return factory()

        backend.get_or_set("key", lambda: STALE, TTL, grace=GRACE)
        filled.clear()
        wait(TTL + 1)
        backend.on(StaleServed, lambda event: reasons.append(event.reason))
        how: Any = {"ttl": TTL, "grace": GRACE, "soft_timeout": 0}
        served = [backend.get_or_set("key", slow, **how) for _ in range(3)]
        leave.enter()

        assert filled.wait(self.patience)
        assert [STALE] * 3 == served
        assert ["slow", "waiting", "waiting"] == reasons
        assert "new" == backend.get("key")
        assert 1 == factory.calls

    @once
    def test_close_waits_for_the_background(self, backend: BaseBackend, half: Half) -> None:
        """What is being computed in the background is stored before the cache closes."""
        leave, closing = Gate(), Gate()
        stored: list[str] = []
        backend.on(Filled, lambda event: stored.append(event.key))

        def slow() -> str:
            closing.wait(self.patience)
            leave.wait(self.patience)
            return "value"

        with self.in_half(half, backend) as cache:
            with pytest.raises(CacheTimeoutError):
                cache.get_or_set("key", of_half(slow, half), hard_timeout=0)
            closing.enter()
            threading.Timer(0.01, leave.enter).start()
            cache.close()

        assert ["key"] == stored

    @once
    def test_jitter_shortens_the_ttl(self, cache: CacheInterface, backend: BaseBackend) -> None:
        """A fraction of the ttl is taken off by chance, never added."""
        backend._loading.chance = lambda: 0.5
        cache.get_or_set("key", lambda: 1, 100, jitter=0.2)

        assert self.seconds(90) == cache.ttl("key")


def _factory(kind: str, leave: Gate, half: Half) -> Callable[[], Any]:
    if kind == "works":
        return lambda: NEW
    if kind == "fails":
        return Failing()

    def hang() -> str:
        leave.wait()
        return NEW

    return of_half(hang, half)


def _answer(call: Callable[[], object]) -> object:
    try:
        return call()
    except (LookupError, CacheTimeoutError) as error:
        return type(error).__name__
