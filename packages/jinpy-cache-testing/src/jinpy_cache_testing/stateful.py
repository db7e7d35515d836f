"""Random operations on a backend and on a plain dict, in lock-step under one clock."""

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import attrs
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from jinpy_cache_core.exceptions import CacheValueError
from jinpy_cache_core.interfaces import CacheInterface
from jinpy_cache_core.sentinels import MISSING
from jinpy_cache_testing.suite.operations import outcome

KEYS = ("a", "A", "a ", "\u00e9", "e\u0301")
"""A few keys that are easily confused, so that operations meet on them."""

LIFETIMES = (4, 16.5, None, math.inf, -1)
"""Seconds that add up without rounding."""

PAUSES = (0, 0, 0.5, 4.0, 8.0, 100.0)
"""How far the clock is moved before an operation; some steps meet a deadline exactly."""

keys = st.sampled_from(KEYS)
some_keys = st.lists(keys, max_size=4)
lifetimes = st.sampled_from(LIFETIMES)
amounts = st.integers(-3, 3)
pauses = st.sampled_from(PAUSES)
prefixes = st.sampled_from(["", "a", "A", "e", "\u00e9", "x"])


class Model:
    """What a cache is, in the fewest words: a dict of values and deadlines."""

    def __init__(self, default_ttl: float | None) -> None:
        self.now = 0.0
        self.default = math.inf if default_ttl is None else default_ttl
        self.entries: dict[str, tuple[Any, float]] = {}

    def live(self, key: str) -> bool:
        """Whether there is an entry that has not expired."""
        return key in self.entries and self.now < self.entries[key][1]

    def value(self, key: str, default: object) -> Any:
        """The value of a live entry, or the default."""
        return self.entries[key][0] if self.live(key) else default

    def left(self, key: str) -> float | None:
        """The seconds left."""
        return self.entries[key][1] - self.now if self.live(key) else None

    def store(self, key: str, value: Any, ttl: float | None) -> None:
        """Store, or remove for a ttl of zero or less."""
        seconds = self.default if ttl is None else ttl
        if seconds > 0:
            self.entries[key] = (value, self.now + seconds)
        else:
            self.entries.pop(key, None)

    def remove(self, key: str) -> bool:
        """Remove; whether there was a live entry."""
        live = self.live(key)
        self.entries.pop(key, None)
        return live

    def found(self, prefix: str) -> list[str]:
        """The live keys with a prefix, sorted."""
        return sorted(key for key in self.entries if self.live(key) and key.startswith(prefix))


def counted(held: object, amount: int) -> int | None:
    """The sum, or `None` if it cannot be counted."""
    if type(held) is not int or not -(2**63) <= held + amount < 2**63:
        return None
    return held + amount


@attrs.frozen
class Stage:
    """What a run of the machine plays on: made anew for each example.

    Attributes:
        halves: The two halves of one backend.
        wait: Lets seconds pass for it.
        values: What may be stored.
        seconds: What compares equal to so many seconds left.
    """

    halves: Sequence[CacheInterface]
    wait: Callable[[float], None]
    values: Sequence[Any]
    seconds: Callable[[float], object]


class CacheMachine(RuleBasedStateMachine):
    """Each rule does one operation on both and compares what they say.

    Args:
        open_stage: Builds a backend for an example, with a `default_ttl`, and tells the stack how
            to end it.
        unit: What the machine takes for a second. Where the store has a clock of its own, it is so
            long that the time which a busy machine takes for an example does not count.
    """

    def __init__(
        self, open_stage: Callable[[ExitStack, float | None], Stage], unit: float = 1.0
    ) -> None:
        super().__init__()
        self._open_stage = open_stage
        self._unit = unit
        self._stack = ExitStack()

    @initialize(default_ttl=st.sampled_from([None, 32.0]), first=st.integers(0, 9))
    def open(self, default_ttl: float | None, first: int) -> None:
        """Begin with an entry of each lifetime, and any of the values among them."""
        seconds = self._seconds(default_ttl)
        self.stage = self._open_stage(self._stack, seconds)
        self.model = Model(seconds)
        self.cache = self.stage.halves[0]
        for number, (key, lifetime) in enumerate(zip(KEYS, LIFETIMES, strict=True), first):
            ttl = self._seconds(lifetime)
            self.cache.set(key, self._some(number), ttl)
            self.model.store(key, self._some(number), ttl)

    def teardown(self) -> None:
        """End what the example opened."""
        self._stack.close()

    def _some(self, number: int) -> Any:
        return self.stage.values[number % len(self.stage.values)]

    def _agree_on(self, key: str) -> None:
        """Compare all that can be read of one key."""
        value, left = self.model.value(key, MISSING), self.model.left(key)
        assert value == self.cache.get(key, MISSING)
        assert (value is not MISSING) is self.cache.exists(key)
        assert (None if left is None else self.stage.seconds(left)) == self.cache.ttl(key)

    @rule(number=st.integers(0, 1))
    def change_half(self, number: int) -> None:
        """Go on with the synchronous or the asynchronous operations of the same backend."""
        self.cache = self.stage.halves[number]

    def _seconds(self, lifetime: float | None) -> float | None:
        return None if lifetime is None else lifetime * self._unit

    def _wait(self, pause: float) -> None:
        if pause:
            seconds = pause * self._unit
            self.stage.wait(seconds)
            self.model.now += seconds

    @rule(pause=pauses)
    def look_around(self, pause: float) -> None:
        """See what is left of everything after a while."""
        self._wait(pause)
        for key in KEYS:
            self._agree_on(key)

    @rule(key=keys, pause=pauses)
    def read(self, key: str, pause: float) -> None:
        """Read the same."""
        self._wait(pause)
        self._agree_on(key)

    @rule(wanted=some_keys)
    def get_many(self, wanted: list[str]) -> None:
        """Read the same, misses included."""
        expected = {key: self.model.value(key, MISSING) for key in wanted}
        assert expected == self.cache.get_many(wanted, MISSING)

    @rule(prefix=prefixes)
    def scan(self, prefix: str) -> None:
        """List the same keys."""
        assert self.model.found(prefix) == sorted(self.cache.scan(prefix))

    @rule(key=keys, number=st.integers(0, 9), lifetime=lifetimes, pause=pauses)
    def set(self, key: str, number: int, lifetime: float | None, pause: float) -> None:
        """Store the same."""
        self._wait(pause)
        ttl = self._seconds(lifetime)
        self.cache.set(key, self._some(number), ttl)
        self.model.store(key, self._some(number), ttl)
        self._agree_on(key)

    @rule(wanted=some_keys, number=st.integers(0, 9), lifetime=lifetimes, pause=pauses)
    def set_many(
        self, wanted: list[str], number: int, lifetime: float | None, pause: float
    ) -> None:
        """Store the same under several keys."""
        self._wait(pause)
        ttl = self._seconds(lifetime)
        items = {key: self._some(number + n) for n, key in enumerate(wanted)}
        self.cache.set_many(items, ttl)
        for key, value in items.items():
            self.model.store(key, value, ttl)
            self._agree_on(key)

    @rule(key=keys, number=st.integers(0, 9), lifetime=lifetimes, pause=pauses)
    def add(self, key: str, number: int, lifetime: float | None, pause: float) -> None:
        """Both add, or neither."""
        self._wait(pause)
        ttl = self._seconds(lifetime)
        absent = not self.model.live(key)
        assert absent is self.cache.add(key, self._some(number), ttl)
        if absent:
            self.model.store(key, self._some(number), ttl)
        self._agree_on(key)

    @rule(key=keys, amount=amounts, lifetime=lifetimes, down=st.booleans(), pause=pauses)
    def count(
        self, key: str, amount: int, lifetime: float | None, down: bool, pause: float
    ) -> None:
        """Count alike, or refuse alike."""
        self._wait(pause)
        ttl = self._seconds(lifetime)
        count = self.cache.decr if down else self.cache.incr
        total = counted(self.model.value(key, 0), -amount if down else amount)
        if total is None:
            assert outcome(count, key, amount, ttl) is CacheValueError
        else:
            assert total == count(key, amount, ttl)
            if self.model.live(key):
                self.model.entries[key] = (total, self.model.entries[key][1])
            else:
                self.model.store(key, total, ttl)
        self._agree_on(key)

    @rule(key=keys, lifetime=lifetimes, pause=pauses)
    def touch(self, key: str, lifetime: float | None, pause: float) -> None:
        """Prolong, shorten or end alike."""
        self._wait(pause)
        ttl = self._seconds(lifetime)
        live = self.model.live(key)
        assert live is self.cache.touch(key, ttl)
        if live:
            self.model.store(key, self.model.entries[key][0], ttl)
        self._agree_on(key)

    @rule(key=keys, pause=pauses, how=st.sampled_from(["delete", "pop", "delete_many"]))
    def remove(self, key: str, pause: float, how: str) -> None:
        """Agree on what was removed."""
        self._wait(pause)
        value = self.model.value(key, MISSING)
        live = self.model.remove(key)
        if how == "delete":
            assert live is self.cache.delete(key)
        elif how == "pop":
            assert value == self.cache.pop(key, MISSING)
        else:
            assert live == self.cache.delete_many([key, key])

    @precondition(lambda self: len(self.model.entries) > 2)
    @rule()
    def clear(self) -> None:
        """Empty both."""
        self.cache.clear()
        self.model.entries.clear()

    @invariant()
    def agree(self) -> None:
        """After every step, the same keys are live."""
        assert self.model.found("") == sorted(self.cache.scan())
