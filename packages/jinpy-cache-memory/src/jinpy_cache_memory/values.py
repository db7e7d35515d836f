"""The stored forms of values: how a value is kept, weighed, and given back.

An immutable value is kept as it is. Any other one is a `Frozen`: a copy or its encoded bytes, of
which every reader gets a copy of its own. A `Frozen` whose data is an `EntryState` holds more than
a value: a lease, or a value with grace. So the path of a hit needs no new question: it asks for
`Frozen` anyhow, and leaves the rest to the general path.
"""

from collections.abc import Callable
from typing import Any, cast

import attrs

from jinpy_cache_core import (
    MISSING,
    CacheException,
    CacheSerializationError,
    CacheValueError,
    Record,
)
from jinpy_cache_core.backend import (
    CachedValue,
    Codec,
    EntryState,
    NewerEnvelopeError,
    is_layered,
    parse_integer,
    state_of,
)
from jinpy_cache_core.exceptions import CacheValueTypeError, shown_key
from jinpy_cache_core.serializers import (
    IMMUTABLE,
    NativeSerializer,
    ReferenceSerializer,
    resolve_freezer,
    structure_as,
)
from jinpy_cache_memory.config import MemoryCacheConfig
from jinpy_cache_memory.entry import Entry, Frozen, Thaw
from jinpy_cache_memory.weigher import weigh_stored

LEASE_WEIGHT = 256
"""Bytes that a lease counts against `max_bytes`, besides the value that it stands beside."""


def state_in(stored: object) -> EntryState | None:
    """The state that a stored form is, if it is more than a value."""
    if isinstance(stored, Frozen) and isinstance(stored.data, EntryState):
        return stored.data
    return None


def state_of_entry(entry: Entry, stored: object, now: float) -> EntryState:
    """What an entry holds: its state, or its value as one."""
    state = state_in(stored)
    return EntryState(CachedValue(stored, entry.deadline)) if state is None else state.at(now)


class StoredValues:
    """From values to what the engine stores, and back.

    Args:
        settings: How values are kept, and how much they may weigh.
        codec: Encodes and decodes for who works with encoded records.
        now: The time on the backend's clock.
    """

    def __init__(self, settings: MemoryCacheConfig, codec: Codec, now: Callable[[], float]) -> None:
        freezer = resolve_freezer(settings.serializer)
        self._freeze = freezer.freeze
        # Some serializers read instances only of a class that the reader names.
        self._loads_as: Callable[[Any, Any], Any] | None = getattr(
            codec.serializer, "loads_as", None
        )
        self._codec = codec
        self._now = now
        self._max_bytes = settings.max_bytes
        self._weigher = settings.weigher
        self._limits_values = settings.max_value_bytes is not None
        measured = settings.max_bytes is not None or self._limits_values
        self.by_reference = isinstance(freezer, ReferenceSerializer) and not measured
        self.kept_as_they_are: frozenset[type] = frozenset()
        if not measured:
            self.kept_as_they_are = frozenset((int,))
            if isinstance(freezer, NativeSerializer):
                self.kept_as_they_are |= IMMUTABLE

    def stored(self, key: str, value: object) -> tuple[object, int]:
        """What to store for a value, and its weight."""
        kept, thaw = self._freeze(value)
        if self._limits_values:
            self._codec.encode(key, value)
        stored = kept if thaw is None else Frozen(kept, thaw)
        return stored, self.weight(key, value, stored)

    def value(self, key: str, stored: object, kind: type[Any] | None) -> Any:
        """The value of a stored form, as a type if one is given; `MISSING` if it holds none yet."""
        if isinstance(stored, Frozen):
            if stored.thaw is None:
                state = state_in(stored)
                if state is None:
                    return self._decoded(key, cast("bytes", stored.data), kind)
                cached = state.fresh(self._now())
                return MISSING if cached is None else self.value(key, cached.payload, kind)
            if kind is not None and self._loads_as is not None:
                return self._loads_as(stored.data, kind)
            stored = _thawed(key, stored)
        return stored if kind is None else structure_as(stored, kind)

    def _decoded(self, key: str, payload: bytes, kind: type[Any] | None) -> Any:
        try:
            if kind is None:
                return self._codec.decode(key, payload)
            return self._codec.decode_as(key, payload, kind)
        except NewerEnvelopeError:
            return MISSING

    # -- Weights ---------------------------------------------------------------------------------

    def weight(self, key: str, value: object, stored: object) -> int:
        """What an entry counts against `max_bytes`; 0 where nothing is limited.

        Raises:
            CacheValueError: It weighs more than the whole cache may, or the weigher is wrong.
        """
        limit = self._max_bytes
        if limit is None:
            return 0
        weigher = self._weigher
        weight = weigh_stored(key, stored) if weigher is None else weigher(key, value)
        if not isinstance(weight, int) or weight < 0:
            message = f"The weigher answered {weight!r}: a weight is an int of bytes, at least 0."
            raise CacheValueTypeError(message, key=key)
        if weight > limit:
            message = (
                f"The entry {shown_key(key)} weighs {weight:,} bytes, the whole cache may hold "
                f"max_bytes={limit:,}. Nothing was stored. Store it in parts, or raise the limit."
            )
            raise CacheValueError(message, key=key)
        return weight

    def weight_of_state(self, key: str, state: EntryState) -> int:
        """What a lease and the value beside it count."""
        if self._max_bytes is None:
            return 0
        weight = 0 if state.lease is None else LEASE_WEIGHT
        if state.cached is None:
            return weight
        stored = state.cached.payload
        if self._weigher is None:
            return weight + weigh_stored(key, stored)
        return weight + self.weight(key, self.value(key, stored, None), stored)

    # -- Encoded records -------------------------------------------------------------------------

    def record(self, key: str, stored: object, deadline: float) -> Record | None:
        """An entry as a record; one with more than a value has its layers."""
        state = state_in(stored)
        if state is None:
            return Record(self._payload(key, stored), deadline)
        cached = state.cached
        if cached is not None:
            cached = attrs.evolve(cached, payload=self._payload(key, cached.payload))
        return EntryState(cached, state.lease).record()

    def opaque(self, change: object, now: float) -> tuple[object, float, int]:
        """The stored form of an encoded record that nobody has decoded, its ttl and weight."""
        record = cast("Record", change)
        seconds = record.deadline - now
        if is_layered(record.payload):
            state = state_of(record, now)
            if state.cached is not None:
                cached = attrs.evolve(state.cached, payload=_undecoded(state.cached.payload))
                state = EntryState(cached, state.lease)
            return Frozen(state, None), seconds, self.weight_of_state("", state)
        stored = _undecoded(record.payload)
        return stored, seconds, 0 if self._max_bytes is None else weigh_stored("", stored)

    def _payload(self, key: str, stored: object) -> bytes:
        """A stored form as `Codec` would have encoded its value."""
        if isinstance(stored, Frozen):
            if stored.thaw is None:
                return cast("bytes", stored.data)
            stored = _thawed(key, stored)
        return self._codec.encode(key, stored)


def _thawed(key: str, stored: Frozen) -> Any:
    thaw = cast("Thaw", stored.thaw)
    try:
        return thaw(stored.data)
    except (CacheException, MemoryError):
        raise
    except Exception as error:
        message = f"The cached value cannot be restored: {type(error).__name__}: {error}"
        raise CacheSerializationError(message, key=key) from error


def _undecoded(payload: bytes) -> object:
    """The stored form of encoded bytes: a counter as a number, others as they are until read."""
    number = parse_integer(payload)
    return Frozen(payload, None) if number is None else number
