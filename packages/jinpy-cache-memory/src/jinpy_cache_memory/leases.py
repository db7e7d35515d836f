"""Entries that hold more than a value: leases, and values with grace.

Such an entry is a `Frozen` whose data is an `EntryState`, and the state holds the value in its
stored form. A value that needs neither lease nor grace is stored as `set` would have stored it.
"""

from collections.abc import Callable
from typing import TypeVar

from jinpy_cache_core import UNCHANGED
from jinpy_cache_core.backend import (
    EMPTY,
    CachedValue,
    EntryState,
    NextState,
    Unchanged,
    add_int64,
    not_a_counter,
)
from jinpy_cache_memory.engine import Engine
from jinpy_cache_memory.entry import Entry, Frozen
from jinpy_cache_memory.values import StoredValues, state_in, state_of_entry

T = TypeVar("T")


class Leases:
    """Reads and changes the states of entries, each change atomically.

    Args:
        engine: Where the entries are.
        values: Weighs them.
        now: The time on the backend's clock.
    """

    def __init__(self, engine: Engine, values: StoredValues, now: Callable[[], float]) -> None:
        self._engine = engine
        self._values = values
        self._now = now

    def peek(self, key: str) -> EntryState:
        """What is under a key."""
        entry = self._engine.peek(key)
        return EMPTY if entry is None else state_of_entry(entry, entry.value, self._now())

    def seen(self, entry: Entry | None) -> bool:
        """Whether an entry has a value for everyone to see."""
        if entry is None:
            return False
        state = state_in(entry.value)
        return state is None or state.fresh(self._now()) is not None

    def change(self, key: str, decide: Callable[[EntryState, float], tuple[NextState, T]]) -> T:
        """Read, decide and write one entry, atomically."""
        engine = self._engine
        while True:
            now = self._now()
            entry = engine.peek(key)
            stored = None if entry is None else entry.value
            state = EMPTY if entry is None else state_of_entry(entry, stored, now)
            change, result = decide(state, now)
            if isinstance(change, Unchanged) or self._put(key, entry, stored, change, now):
                return result

    def _put(
        self, key: str, entry: Entry | None, stored: object, state: EntryState, now: float
    ) -> bool:
        """Write a state where this very form was; whether that was still there."""
        engine = self._engine
        if state == EMPTY:
            return entry is None or engine.remove_exactly(entry, stored)
        cached = state.cached
        plain = cached is not None and state.lease is None and cached.plain
        form = cached.payload if plain and cached is not None else Frozen(state, None)
        weight = self._values.weight_of_state(key, state)
        if entry is None:
            return engine.put_if_absent(key, form, state.deadline - now, weight)
        return engine.exchange(entry, stored, form, weight, state.deadline)

    # -- The operations, for entries that hold more than a value ---------------------------------

    def add(self, key: str, stored: object, seconds: float) -> bool:
        """`add`, where there is something: only if no fresh value is."""

        def decide(state: EntryState, now: float) -> tuple[NextState, bool]:
            if state.fresh(now) is not None:
                return UNCHANGED, False
            return EntryState(CachedValue(stored, now + seconds)) if seconds else EMPTY, True

        return self.change(key, decide)

    def count(self, key: str, amount: int, seconds: float) -> int:
        """`incr`, where there is a state: its fresh value counts on, without its grace."""

        def decide(state: EntryState, now: float) -> tuple[NextState, int]:
            cached = state.fresh(now)
            if cached is None:
                total = add_int64(0, amount)
                return EntryState(CachedValue(total, now + seconds)) if seconds else EMPTY, total
            if type(cached.payload) is not int:
                raise not_a_counter()
            total = add_int64(cached.payload, amount)
            return EntryState(CachedValue(total, cached.soft_deadline)), total

        return self.change(key, decide)

    def touch(self, key: str, seconds: float) -> bool:
        """`touch`, where there is a state: its grace follows, a lease stays."""

        def decide(state: EntryState, now: float) -> tuple[NextState, bool]:
            touched = state.touched(now, seconds)
            return (UNCHANGED, False) if touched is None else (touched, True)

        return self.change(key, decide)
