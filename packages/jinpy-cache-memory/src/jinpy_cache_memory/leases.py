"""What is in the place of a key when it is more than a value: leases, and values with grace.

Such a place is a `Frozen` whose data is a `Slot`, and the slot holds the value in its stored form.
So the path of a hit needs no new question: it asks for `Frozen` anyhow, and leaves the rest to the
general path. A value that needs neither lease nor grace is stored as `set` would have stored it.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

from jinpy_cache_core.enums import CacheOperation
from jinpy_cache_core.entries.integers import add_int64, not_a_counter
from jinpy_cache_core.loading.leases import Claim, Claiming, Filling, NextSlot, Releasing
from jinpy_cache_core.entries.records import UNCHANGED, Unchanged
from jinpy_cache_core.backend.errors import reporting
from jinpy_cache_core.entries.slots import EMPTY, Held, Slot
from jinpy_cache_memory.entry import Entry, Frozen
from jinpy_cache_memory.weigher import weigh_stored

if TYPE_CHECKING:
    from jinpy_cache_memory.backend import MemoryCacheBackend

T = TypeVar("T")
M = TypeVar("M", bound="Places")

LEASE_WEIGHT = 256
"""Bytes that a lease counts against `max_bytes`, besides the value that it stands beside."""


def slot_in(stored: object) -> Slot | None:
    """The slot that a stored form is, if it is one."""
    if isinstance(stored, Frozen) and isinstance(stored.data, Slot):
        return stored.data
    return None


class Places:
    """The places of `MemoryCacheBackend`, as the loading layer sees and changes them."""

    def _peek(self, key: str) -> Slot:
        backend = self._backend()
        entry = backend._opened()._engine.peek(key)
        return EMPTY if entry is None else _slot_of(entry, entry.value, backend._now())

    def _claim(self, key: str, claiming: Claiming) -> Claim:
        return self._change_place(key, claiming.decide)

    def _settle(self, key: str, settling: Filling | Releasing) -> bool:
        return self._change_place(key, settling.decide)

    async def _apeek(self, key: str) -> Slot:
        return self._peek(key)

    async def _aclaim(self, key: str, claiming: Claiming) -> Claim:
        return self._claim(key, claiming)

    async def _asettle(self, key: str, settling: Filling | Releasing) -> bool:
        return self._settle(key, settling)

    def _wrapped(self, key: str, value: object) -> object:
        stored, _weight = self._backend()._stored(key, value)
        return stored

    def _unwrapped(self, key: str, held: Any, kind: type[Any] | None) -> Any:
        return self._backend()._value_of(key, held, kind)

    @reporting(CacheOperation.GET_OR_SET)  # type: ignore[type-var]
    def _change_place(self, key: str, decide: Callable[[Slot, float], tuple[NextSlot, T]]) -> T:
        """Read, decide and write one place, atomically."""
        backend = self._backend()
        engine = backend._opened()._engine
        while True:
            now = backend._now()
            entry = engine.peek(key)
            stored = None if entry is None else entry.value
            slot = EMPTY if entry is None else _slot_of(entry, stored, now)
            change, result = decide(slot, now)
            if isinstance(change, Unchanged) or self._put_slot(key, entry, stored, change, now):
                return result

    def _put_slot(
        self, key: str, entry: Entry | None, stored: object, slot: Slot, now: float
    ) -> bool:
        """Write a slot where this very form was; whether that was still there."""
        engine = self._backend()._engine
        if slot == EMPTY:
            return entry is None or engine.remove_exactly(entry, stored)
        held = slot.held
        plain = held is not None and slot.lease is None and held.plain
        form = held.payload if plain and held is not None else Frozen(slot, None)
        weight = self._weight_of(key, slot)
        if entry is None:
            return engine.put_if_absent(key, form, slot.deadline - now, weight)
        return engine.exchange(entry, stored, form, weight, slot.deadline)

    def _weight_of(self, key: str, slot: Slot) -> int:
        backend = self._backend()
        if backend._max_bytes is None:
            return 0
        weight = 0 if slot.lease is None else LEASE_WEIGHT
        if slot.held is None:
            return weight
        stored = slot.held.payload
        if backend._weigher is None:
            return weight + weigh_stored(key, stored)
        return weight + backend._weigh(key, backend._value_of(key, stored, None), stored)

    # -- The operations, for places that hold more than a value ----------------------------------

    def _add_to_place(self, key: str, stored: object, seconds: float) -> bool:
        """`add`, where there is something: only if no fresh value is."""

        def decide(slot: Slot, now: float) -> tuple[NextSlot, bool]:
            if slot.fresh(now) is not None:
                return UNCHANGED, False
            return Slot(Held(stored, now + seconds)) if seconds else EMPTY, True

        return self._change_place(key, decide)

    def _count_in_place(self, key: str, amount: int, seconds: float) -> int:
        """`incr`, where there is a slot: its fresh value counts on, without its grace."""

        def decide(slot: Slot, now: float) -> tuple[NextSlot, int]:
            held = slot.fresh(now)
            if held is None:
                total = add_int64(0, amount)
                return Slot(Held(total, now + seconds)) if seconds else EMPTY, total
            if type(held.payload) is not int:
                raise not_a_counter()
            total = add_int64(held.payload, amount)
            return Slot(Held(total, held.soft_deadline)), total

        return self._change_place(key, decide)

    def _touch_place(self, key: str, seconds: float) -> bool:
        """`touch`, where there is a slot: its grace follows, a lease stays."""

        def decide(slot: Slot, now: float) -> tuple[NextSlot, bool]:
            touched = slot.touched(now, seconds)
            return (UNCHANGED, False) if touched is None else (touched, True)

        return self._change_place(key, decide)

    def _seen(self, entry: Entry | None) -> bool:
        """Whether an entry has a value for everyone to see."""
        if entry is None:
            return False
        slot = slot_in(entry.value)
        return slot is None or slot.fresh(self._backend()._now()) is not None

    def _backend(self) -> "MemoryCacheBackend":
        return cast("MemoryCacheBackend", self)


def _slot_of(entry: Entry, stored: object, now: float) -> Slot:
    slot = slot_in(stored)
    return Slot(Held(stored, entry.deadline)) if slot is None else slot.at(now)
