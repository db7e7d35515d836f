"""`MemoryCacheBackend`: the operations of a cache over the in-process engine.

The engine stores, expires and evicts; this module checks what callers give, turns values into what
is stored and back, and gives errors their context. `get` and `set` of an instance are the engine's
own methods, which take the common case and leave the rest to the methods written here.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar, TypeVar, cast

import attrs

from jinpy_cache_core.clock import MONOTONIC, Clock
from jinpy_cache_core.codec.codec import parse_integer
from jinpy_cache_core.config import BaseCacheBackendConfig
from jinpy_cache_core.entries.decisions import UNCHANGED, Decision, Record
from jinpy_cache_core.declarations import declared_by
from jinpy_cache_core.enums import CacheOperation
from jinpy_cache_core.exceptions import (
    CacheException,
    CacheSerializationError,
    CacheValueError,
    CacheValueTypeError,
    shown_key,
)
from jinpy_cache_core.entries.integers import add_int64, check_amount, negated, not_a_counter
from jinpy_cache_core.interfaces import CacheInterface
from jinpy_cache_core.entries.keys import check_key, check_keys
from jinpy_cache_core.backend.errors import reporting
from jinpy_cache_core.sentinels import MISSING
from jinpy_cache_core.serializers import (
    IMMUTABLE,
    NativeSerializer,
    ReferenceSerializer,
    resolve_freezer,
    structure_as,
)
from jinpy_cache_core.entries.slots import Slot, is_layered, slot_of
from jinpy_cache_core.entries.ttl import TTL
from jinpy_cache_memory.listeners import EvictionCause
from jinpy_cache_memory.config import MemoryCacheConfig
from jinpy_cache_memory.engine import Dropped, Engine, EngineClosed
from jinpy_cache_memory.entry import Frozen, Thaw
from jinpy_cache_memory.eviction.names import policy_maker
from jinpy_cache_memory.forking import recover_in_children
from jinpy_cache_memory.leases import Places, slot_in
from jinpy_cache_core.backend.direct import Unwaiting
from jinpy_cache_memory.weigher import weigh_stored

T = TypeVar("T")

UNLIMITED = 2**60
"""More entries, and more bytes, than any process holds."""

CAUSES = (
    EvictionCause.REPLACED,
    EvictionCause.DELETED,
    EvictionCause.EXPIRED,
    EvictionCause.SIZE,
)
"""The engine's numbers of causes, in words."""

_log = logging.getLogger(__name__)


class MemoryCacheBackend(Places, Unwaiting):
    """A cache inside this process: bounded, with expiry, for any number of threads and event loops.

    Reads take no lock. Writes are atomic; what users write (serializers, weighers, listeners,
    finalisers of cached objects) never runs while the lock is held and may use the cache itself.
    Time is monotonic, so a wall clock that jumps changes nothing; expired entries are reclaimed by
    later writes, without a thread. A forked child has a copy of its own.

    Args:
        config: The settings; by default those of `MemoryCacheConfig()`.
        clock: Returns the present in seconds; injected by tests.
    """

    config_class: ClassVar[type[BaseCacheBackendConfig]] = MemoryCacheConfig
    default_clock: ClassVar[Clock] = MONOTONIC

    def __init__(
        self, config: BaseCacheBackendConfig | None = None, *, clock: Clock | None = None
    ) -> None:
        super().__init__(config, clock=clock)
        settings = cast("MemoryCacheConfig", self._config)
        freezer = resolve_freezer(settings.serializer)
        self._freeze = freezer.freeze
        # Some serializers read instances only of a class that the reader names.
        self._loads_as: Callable[[Any, Any], Any] | None = getattr(
            self._codec.serializer, "loads_as", None
        )
        self._max_entries = settings.max_entries
        self._max_bytes = settings.max_bytes
        self._weigher = settings.weigher
        self._limits_values = settings.max_value_bytes is not None
        self._listener = settings.eviction_listener
        measured = settings.max_bytes is not None or self._limits_values
        plain: frozenset[type] = frozenset()
        if not measured:
            plain = frozenset((int,))
            if isinstance(freezer, NativeSerializer):
                plain |= IMMUTABLE
        self._engine = Engine(
            policy_maker(settings.eviction, settings.max_entries, settings.max_bytes),
            settings.max_entries or UNLIMITED,
            settings.max_bytes or UNLIMITED,
            self._now,
            self._default_seconds,
            plain,
            isinstance(freezer, ReferenceSerializer) and not measured,
            None if self._listener is None else self._tell,
        )
        self._engine.attach(
            MemoryCacheBackend.get.__get__(self),
            MemoryCacheBackend.set.__get__(self),
        )
        # An instance's own attribute spares each call a Python frame; a subclass keeps its methods.
        if type(self).get is MemoryCacheBackend.get:
            vars(self).update(get=self._engine.get)
        if type(self).set is MemoryCacheBackend.set:
            vars(self).update(set=self._engine.set)
        recover_in_children(self)

    def __len__(self) -> int:
        return len(self._engine)

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        if self._closed:
            return super().__repr__()
        entries = f"entries={len(self._engine)}"
        if self._max_entries is not None:
            entries += f"/{self._max_entries}"
        if self._max_bytes is not None:
            entries += f" bytes={self._engine.weight}/{self._max_bytes}"
        return f"<{type(self).__name__} {self.name!r} {entries}>"

    def recover_after_fork(self) -> None:
        """Renew the lock in a forked child, and mend what the parent was in the middle of."""
        self._engine.recover()

    # -- Synchronous operations -----------------------------------------------------------------

    @declared_by(CacheInterface.get)
    @reporting(CacheOperation.GET)
    def get(self, key: str, default: object = None, *, type: type[Any] | None = None) -> Any:
        """See `BaseBackend.get`; without a lock.

        A value that could be changed is a copy of the caller's own, unless `serializer=None`.
        """
        entry = self._opened()._engine.find(check_key(key))
        value = MISSING if entry is None else self._value_of(key, entry.value, type)
        return default if value is MISSING else value

    @reporting(CacheOperation.SET)
    def set(self, key: str, value: object, ttl: TTL = None) -> None:
        """See `BaseBackend.set`; a value that exceeds `max_bytes` is refused too.

        With `serializer=None` the very object is stored, and later changes to it show.
        """
        key = check_key(key)
        stored, weight = self._stored(key, value)
        seconds = self._seconds(ttl)
        self._opened()
        if seconds:
            self._engine.put(key, stored, seconds, weight)
        else:
            self._engine.remove(key)

    @reporting(CacheOperation.ADD)
    def add(self, key: str, value: object, ttl: TTL = None) -> bool:
        """See `BaseBackend.add`."""
        key = check_key(key)
        stored, weight = self._stored(key, value)
        seconds = self._seconds(ttl)
        self._opened()
        if seconds and self._engine.put_if_absent(key, stored, seconds, weight):
            return True
        entry = self._engine.peek(key)
        if entry is None and not seconds:
            return True
        return not self._seen(entry) and self._add_to_place(key, stored, seconds)

    @reporting(CacheOperation.DELETE)
    def delete(self, key: str) -> bool:
        """See `BaseBackend.delete`."""
        key = check_key(key)
        return self._opened()._removed(key)

    @reporting(CacheOperation.POP)
    def pop(self, key: str, default: object = None) -> Any:
        """See `BaseBackend.pop`."""
        key = check_key(key)
        self._opened()
        while (entry := self._engine.peek(key)) is not None:
            stored = entry.value
            value = self._value_of(key, stored, None)
            if value is MISSING:
                break
            if self._engine.remove_exactly(entry, stored):
                return value
        return default

    @reporting(CacheOperation.EXISTS)
    def exists(self, key: str) -> bool:
        """See `BaseBackend.exists`; this is no read that keeps an entry from eviction."""
        return self._is_live(check_key(key))

    @reporting(CacheOperation.CLEAR)
    def clear(self) -> None:
        """Remove every entry, atomically."""
        self._opened()._engine.clear()

    @reporting(CacheOperation.GET_MANY)
    def get_many(self, keys: Iterable[str], default: object = None) -> dict[str, Any]:
        """See `BaseBackend.get_many`; each value is read whole, but not all at one instant."""
        wanted = check_keys(keys)
        self._opened()
        values = dict.fromkeys(wanted, default)
        for key in wanted:
            entry = self._engine.find(key)
            value = MISSING if entry is None else self._value_of(key, entry.value, None)
            if value is not MISSING:
                values[key] = value
        return values

    @reporting(CacheOperation.SET_MANY)
    def set_many(self, items: Mapping[str, object], ttl: TTL = None) -> None:
        """See `BaseBackend.set_many`; each entry is written atomically, the lot of them is not."""
        seconds = self._seconds(ttl)
        prepared = {key: self._stored(key, value) for key, value in _checked(items)}
        self._opened()
        for key, (stored, weight) in prepared.items():
            if seconds:
                self._engine.put(key, stored, seconds, weight)
            else:
                self._engine.remove(key)

    @reporting(CacheOperation.DELETE_MANY)
    def delete_many(self, keys: Iterable[str]) -> int:
        """See `BaseBackend.delete_many`; each entry is removed atomically."""
        wanted = check_keys(keys)
        self._opened()
        return sum(map(self._removed, wanted))

    @reporting(CacheOperation.INCR)
    def incr(self, key: str, amount: int = 1, ttl: TTL = None) -> int:
        """See `BaseBackend.incr`; atomic across threads and tasks."""
        return self._count(key, check_amount(amount), ttl)

    @reporting(CacheOperation.DECR)
    def decr(self, key: str, amount: int = 1, ttl: TTL = None) -> int:
        """See `BaseBackend.decr`."""
        return self._count(key, negated(amount), ttl)

    @reporting(CacheOperation.TTL)
    def ttl(self, key: str) -> float | None:
        """See `BaseBackend.ttl`."""
        key = check_key(key)
        entry = self._opened()._engine.peek(key)
        if entry is None:
            return None
        deadline = entry.deadline
        slot = slot_in(entry.value)
        if slot is not None:
            deadline = 0.0 if slot.held is None else slot.held.soft_deadline
        left = deadline - self._now()
        return left if left > 0 else None

    @reporting(CacheOperation.TOUCH)
    def touch(self, key: str, ttl: TTL) -> bool:
        """See `BaseBackend.touch`."""
        key = check_key(key)
        seconds = self._seconds(ttl)
        self._opened()
        entry = self._engine.peek(key)
        if entry is not None and slot_in(entry.value) is not None:
            return self._touch_place(key, seconds)
        return self._engine.prolong(key, seconds) if seconds else self._engine.remove(key)

    # -- The primitives of `BaseBackend`, for who works with encoded records ---------------------

    def _read(self, key: str) -> Record | None:
        entry = self._engine.peek(key)
        if entry is None:
            return None
        deadline = entry.deadline  # first: see the engine's essay on readers beside writers
        return self._record(key, entry.value, deadline)

    def _update(self, key: str, decide: Decision[T]) -> T:
        engine = self._engine
        while True:
            entry = engine.peek(key)
            stored = None if entry is None else entry.value
            current = None if entry is None else self._record(key, stored, entry.deadline)
            now = self._now()
            change, result = decide(current, now)
            if change is UNCHANGED or (entry is None and change is None):
                return result
            if entry is None:
                done = engine.put_if_absent(key, *self._opaque(change, now))
            elif change is None:
                done = engine.remove_exactly(entry, stored)
            else:
                value, seconds, weight = self._opaque(change, now)
                done = engine.exchange(entry, stored, value, weight, now + seconds)
            if done:
                return result

    def _scan(self, prefix: str) -> Iterator[str]:
        peek = self._engine.peek
        return (
            key
            for key in self._engine.snapshot()
            if key.startswith(prefix) and self._seen(peek(key))
        )

    def _is_live(self, key: str) -> bool:
        return self._seen(self._opened()._engine.peek(key))

    def _clear(self) -> None:
        self._engine.clear()

    def _probe(self) -> bool:
        return not self._engine.closed

    def _evictions(self) -> int | None:
        return self._engine.evicted

    def _release(self) -> None:
        self._engine.close()

    def _mapped(self, error: Exception) -> CacheException:
        return self._closed_error() if isinstance(error, EngineClosed) else super()._mapped(error)

    # -- Values and what is stored of them -------------------------------------------------------

    def _stored(self, key: str, value: object) -> tuple[object, int]:
        """What to store for a value, and its weight."""
        kept, thaw = self._freeze(value)
        if self._limits_values:
            self._codec.encode(key, value)
        stored = kept if thaw is None else Frozen(kept, thaw)
        return stored, 0 if self._max_bytes is None else self._weigh(key, value, stored)

    def _weigh(self, key: str, value: object, stored: object) -> int:
        weigher = self._weigher
        weight = weigh_stored(key, stored) if weigher is None else weigher(key, value)
        if not isinstance(weight, int) or weight < 0:
            message = f"The weigher answered {weight!r}: a weight is an int of bytes, at least 0."
            raise CacheValueTypeError(message, key=key)
        limit = cast("int", self._max_bytes)
        if weight > limit:
            message = (
                f"The entry {shown_key(key)} weighs {weight:,} bytes, the whole cache may hold "
                f"max_bytes={limit:,}. Nothing was stored. Store it in parts, or raise the limit."
            )
            raise CacheValueError(message, key=key)
        return weight

    def _value_of(self, key: str, stored: object, kind: type[Any] | None) -> Any:
        """The value of a stored form, as a type if one is given; `MISSING` if it holds none yet."""
        if isinstance(stored, Frozen):
            if stored.thaw is None:
                slot = slot_in(stored)
                if slot is None:
                    return self._value(key, Record(cast("bytes", stored.data)), kind)
                held = slot.fresh(self._now())
                return MISSING if held is None else self._value_of(key, held.payload, kind)
            if kind is not None and self._loads_as is not None:
                return self._loads_as(stored.data, kind)
            stored = self._thawed(key, stored)
        return stored if kind is None else structure_as(stored, kind)

    def _thawed(self, key: str, stored: Frozen) -> Any:
        thaw = cast("Thaw", stored.thaw)
        try:
            return thaw(stored.data)
        except (CacheException, MemoryError):
            raise
        except Exception as error:
            message = f"The cached value cannot be restored: {type(error).__name__}: {error}"
            raise CacheSerializationError(message, key=key) from error

    def _record(self, key: str, stored: object, deadline: float) -> Record | None:
        """An entry as a record; that of a place with more than a value has its layers."""
        slot = slot_in(stored)
        if slot is None:
            return Record(self._payload(key, stored), deadline)
        held = slot.held
        if held is not None:
            held = attrs.evolve(held, payload=self._payload(key, held.payload))
        return Slot(held, slot.lease).record()

    def _removed(self, key: str) -> bool:
        """Delete an entry; whether it had a value for everyone to see."""
        while (entry := self._engine.peek(key)) is not None:
            stored = entry.value
            seen = self._seen(entry)
            if self._engine.remove_exactly(entry, stored):
                return seen
        return False

    def _payload(self, key: str, stored: object) -> bytes:
        """A stored form as `Codec` would have encoded its value."""
        if isinstance(stored, Frozen):
            if stored.thaw is None:
                return cast("bytes", stored.data)
            stored = self._thawed(key, stored)
        return self._codec.encode(key, stored)

    def _opaque(self, change: object, now: float) -> tuple[object, float, int]:
        """The stored form of an encoded record that nobody has decoded, its ttl and weight."""
        record = cast("Record", change)
        seconds = record.deadline - now
        if is_layered(record.payload):
            slot = slot_of(record, now)
            if slot.held is not None:
                held = attrs.evolve(slot.held, payload=_undecoded(slot.held.payload))
                slot = Slot(held, slot.lease)
            return Frozen(slot, None), seconds, self._weight_of("", slot)
        stored = _undecoded(record.payload)
        return stored, seconds, 0 if self._max_bytes is None else weigh_stored("", stored)

    def _count(self, key: str, amount: int, ttl: TTL) -> int:
        key = check_key(key)
        seconds = self._seconds(ttl)
        self._opened()
        engine = self._engine
        while True:
            entry = engine.peek(key)
            stored = 0 if entry is None else entry.value
            if slot_in(stored) is not None:
                return self._count_in_place(key, amount, seconds)
            if type(stored) is not int:
                raise not_a_counter()
            total = add_int64(stored, amount)
            weight = 0 if self._max_bytes is None else self._weigh(key, total, total)
            if entry is not None:
                if engine.exchange(entry, stored, total, weight):
                    return total
            elif not seconds or engine.put_if_absent(key, total, seconds, weight):
                return total

    def _tell(self, dropped: list[Dropped]) -> None:
        """Tell the listener; it cannot fail the operation that has already been done."""
        listener = self._listener
        assert listener is not None
        for one in dropped:
            try:
                slot = slot_in(one.value)
                if slot is None:
                    stored = one.value
                elif slot.held is None:  # only a lease: nobody had a value yet
                    continue
                else:
                    stored = slot.held.payload
                value = self._value_of(one.key, stored, None)
                listener(one.key, value, CAUSES[one.cause])
            except Exception:  # noqa: BLE001 - users' code; the operation is done
                _log.exception("The eviction listener of cache %r failed.", self.name)


def _undecoded(payload: bytes) -> object:
    """The stored form of encoded bytes: a counter as a number, others as they are until read."""
    number = parse_integer(payload)
    return Frozen(payload, None) if number is None else number


def _checked(items: object) -> list[tuple[str, object]]:
    if not isinstance(items, Mapping):
        message = f"set_many takes a mapping of key to value, not {type(items).__name__}."
        raise CacheValueTypeError(message)
    mapping = cast("Mapping[object, object]", items)
    return [(check_key(key), value) for key, value in mapping.items()]
