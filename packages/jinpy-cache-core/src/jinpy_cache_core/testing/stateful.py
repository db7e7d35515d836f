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
from jinpy_cache_core.testing.rows.operations import outcome

KEYS = ("a", "A", "a ", "ab", "a:b", "*", "\u00e9", "e\u0301", "\x00")
"""A few keys that are easily confused, so that operations meet on them."""

LIFETIMES = (None, math.inf, 4, 8.0, 16.5, 0, -1)
"""Seconds that add up without rounding."""

STEPS = (0.5, 1.0, 4.0, 8.0, 16.5, 100.0)
"""How far the clock is moved at once; some meet a deadline exactly."""

keys = st.sampled_from(KEYS)
some_keys = st.lists(keys, max_size=4)
lifetimes = st.sampled_from(LIFETIMES)
amounts = st.integers(-3, 3)
prefixes = st.sampled_from(["", "a", "A", "a:", "*", "e", "\x00", "x"])


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
        default_ttl: The backend's.
        seconds: What compares equal to so many seconds left.
    """

    halves: Sequence[CacheInterface]
    wait: Callable[[float], None]
    values: Sequence[Any]
    default_ttl: float | None
    seconds: Callable[[float], object]


class CacheMachine(RuleBasedStateMachine):
    """Each rule does one operation on both and compares what they say.

    Args:
        open_stage: Builds a backend for an example, with a `default_ttl`, and tells the stack how
            to end it.
    """

    def __init__(self, open_stage: Callable[[ExitStack, float | None], Stage]) -> None:
        super().__init__()
        self._open_stage = open_stage
        self._stack = ExitStack()

    @initialize(default_ttl=st.sampled_from([None, 32.0]))
    def open(self, default_ttl: float | None) -> None:
        """Begin with an empty cache."""
        self.stage = self._open_stage(self._stack, default_ttl)
        self.model = Model(default_ttl)
        self.cache = self.stage.halves[0]

    def teardown(self) -> None:
        """End what the example opened."""
        self._stack.close()

    def _some(self, number: int) -> Any:
        return self.stage.values[number % len(self.stage.values)]

    def _seconds(self, key: str) -> object:
        left = self.model.left(key)
        return None if left is None else self.stage.seconds(left)

    @rule(number=st.integers(0, 1))
    def change_half(self, number: int) -> None:
        """Go on with the synchronous or the asynchronous operations of the same backend."""
        self.cache = self.stage.halves[number]

    @rule(seconds=st.sampled_from(STEPS))
    def time_passes(self, seconds: float) -> None:
        """Let time pass for both."""
        self.stage.wait(seconds)
        self.model.now += seconds

    @rule(key=keys, number=st.integers(0, 9), ttl=lifetimes)
    def set(self, key: str, number: int, ttl: float | None) -> None:
        """Store the same."""
        self.cache.set(key, self._some(number), ttl)
        self.model.store(key, self._some(number), ttl)

    @rule(key=keys, number=st.integers(0, 9), ttl=lifetimes)
    def add(self, key: str, number: int, ttl: float | None) -> None:
        """Both add, or neither."""
        absent = not self.model.live(key)
        assert absent is self.cache.add(key, self._some(number), ttl)
        if absent:
            self.model.store(key, self._some(number), ttl)

    @rule(key=keys)
    def get(self, key: str) -> None:
        """Read the same."""
        assert self.model.value(key, MISSING) == self.cache.get(key, MISSING)

    @rule(key=keys)
    def exists(self, key: str) -> None:
        """Agree on whether there is an entry."""
        assert self.model.live(key) is self.cache.exists(key)

    @rule(key=keys)
    def ttl(self, key: str) -> None:
        """Agree on the seconds left."""
        assert self._seconds(key) == self.cache.ttl(key)

    @rule(key=keys)
    def delete(self, key: str) -> None:
        """Agree on whether an entry was removed."""
        assert self.model.remove(key) is self.cache.delete(key)

    @rule(key=keys)
    def pop(self, key: str) -> None:
        """Take out the same."""
        expected = self.model.value(key, MISSING)
        self.model.remove(key)
        assert expected == self.cache.pop(key, MISSING)

    @rule(key=keys, amount=amounts, ttl=lifetimes, down=st.booleans())
    def count(self, key: str, amount: int, ttl: float | None, down: bool) -> None:
        """Count alike, or refuse alike."""
        count = self.cache.decr if down else self.cache.incr
        total = counted(self.model.value(key, 0), -amount if down else amount)
        if total is None:
            assert outcome(count, key, amount, ttl) is CacheValueError
            return
        assert total == count(key, amount, ttl)
        if self.model.live(key):
            self.model.entries[key] = (total, self.model.entries[key][1])
        else:
            self.model.store(key, total, ttl)

    @rule(key=keys, ttl=lifetimes)
    def touch(self, key: str, ttl: float | None) -> None:
        """Prolong, shorten or end alike."""
        live = self.model.live(key)
        assert live is self.cache.touch(key, ttl)
        if live:
            self.model.store(key, self.model.entries[key][0], ttl)

    @rule(prefix=prefixes)
    def scan(self, prefix: str) -> None:
        """List the same keys."""
        assert self.model.found(prefix) == sorted(self.cache.scan(prefix))

    @rule(wanted=some_keys)
    def get_many(self, wanted: list[str]) -> None:
        """Read the same, misses included."""
        expected = {key: self.model.value(key, MISSING) for key in wanted}
        assert expected == self.cache.get_many(wanted, MISSING)

    @rule(wanted=some_keys, number=st.integers(0, 9), ttl=lifetimes)
    def set_many(self, wanted: list[str], number: int, ttl: float | None) -> None:
        """Store the same under several keys."""
        items = {key: self._some(number + n) for n, key in enumerate(wanted)}
        self.cache.set_many(items, ttl)
        for key, value in items.items():
            self.model.store(key, value, ttl)

    @rule(wanted=some_keys)
    def delete_many(self, wanted: list[str]) -> None:
        """Agree on how many were removed."""
        removed = sum(self.model.remove(key) for key in dict.fromkeys(wanted))
        assert removed == self.cache.delete_many(wanted)

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
