"""`MemoryCacheBackend`: the operations of a cache over the in-process engine.

The engine stores, expires and evicts; this module checks what callers give, turns values into what
is stored and back, and gives errors their context. `get` and `set` of an instance are the engine's
own methods, which take the common case and leave the rest to the methods written here.
"""

import logging
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, TypeVar, cast

from jinpy_cache_core import (
    MISSING,
    TTL,
    UNCHANGED,
    BaseCacheBackendConfig,
    CacheException,
    CacheInterface,
    CacheOperation,
    Clock,
    Decision,
    Record,
)
from jinpy_cache_core.backend import (
    MONOTONIC,
    Claim,
    Claiming,
    DirectBackend,
    EntryState,
    Filling,
    Releasing,
    add_int64,
    call_in_children,
    check_amount,
    check_key,
    check_keys,
    mapped_errors,
    negated,
    not_a_counter,
    signature_of,
    unread,
)
from jinpy_cache_core.exceptions import UNREADABLE, CacheValueTypeError
from jinpy_cache_memory.config import MemoryCacheConfig
from jinpy_cache_memory.engine import Dropped, Engine, EngineClosed
from jinpy_cache_memory.eviction.names import policy_maker
from jinpy_cache_memory.leases import Leases
from jinpy_cache_memory.listeners import EvictionCause
from jinpy_cache_memory.values import StoredValues, state_in

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

_log = logging.getLogger("jinpy_cache.memory")


class MemoryCacheBackend(DirectBackend):
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

    _config: MemoryCacheConfig

    def __init__(
        self, config: MemoryCacheConfig | None = None, *, clock: Clock | None = None
    ) -> None:
        super().__init__(config, clock=clock)
        settings = self._config
        self._stored_values = values = StoredValues(settings, self._codec, self._now)
        self._listener = settings.eviction_listener
        self._engine = Engine(
            policy_maker(settings.eviction, settings.max_entries, settings.max_bytes),
            settings.max_entries or UNLIMITED,
            settings.max_bytes or UNLIMITED,
            self._now,
            self._default_seconds,
            values.kept_as_they_are,
            values.by_reference,
            None if self._listener is None else self._tell,
        )
        self._leases = Leases(self._engine, values, self._now)
        self._engine.attach(
            MemoryCacheBackend.get.__get__(self),
            MemoryCacheBackend.set.__get__(self),
        )
        # The engine's own methods spare each call a Python frame; a subclass keeps its methods.
        if type(self).get is MemoryCacheBackend.get:
            self._shortcut(get=self._engine.get)
        if type(self).set is MemoryCacheBackend.set:
            self._shortcut(set=self._engine.set)
        call_in_children(self._recover_after_fork)

    def __repr__(self) -> str:
        if self._closed:
            return super().__repr__()
        entries = f"entries={len(self._engine)}"
        if self._config.max_entries is not None:
            entries += f"/{self._config.max_entries}"
        if self._config.max_bytes is not None:
            entries += f" bytes={self._engine.weight}/{self._config.max_bytes}"
        return f"<{type(self).__name__} {self.name!r} {entries}>"

    def _recover_after_fork(self) -> None:
        """Renew the lock in a forked child, and mend what the parent was in the middle of."""
        self._engine.recover()

    # -- Synchronous operations -----------------------------------------------------------------

    @signature_of(CacheInterface.get)
    @mapped_errors(CacheOperation.GET)
    def get(self, key: str, default: object = None, *, type: type[Any] | None = None) -> Any:
        """See `BaseBackend.get`; without a lock.

        A value that could be changed is a copy of the caller's own, unless `serializer=None`.
        """
        entry = self._opened()._engine.find(check_key(key))
        value = MISSING if entry is None else self._stored_values.value(key, entry.value, type)
        return default if value is MISSING else value

    @signature_of(CacheInterface.set)
    @mapped_errors(CacheOperation.SET)
    def set(self, key: str, value: object, ttl: TTL = None) -> None:
        """See `BaseBackend.set`; a value that exceeds `max_bytes` is refused too.

        With `serializer=None` the very object is stored, and later changes to it show.
        """
        key = check_key(key)
        stored, weight = self._stored_values.stored(key, value)
        seconds = self._seconds(ttl)
        self._opened()
        if seconds:
            self._engine.put(key, stored, seconds, weight)
        else:
            self._engine.remove(key)

    @signature_of(CacheInterface.add)
    @mapped_errors(CacheOperation.ADD)
    def add(self, key: str, value: object, ttl: TTL = None) -> bool:
        """See `BaseBackend.add`."""
        key = check_key(key)
        stored, weight = self._stored_values.stored(key, value)
        seconds = self._seconds(ttl)
        self._opened()
        if seconds and self._engine.put_if_absent(key, stored, seconds, weight):
            return True
        entry = self._engine.peek(key)
        if entry is None and not seconds:
            return True
        return not self._leases.seen(entry) and self._leases.add(key, stored, seconds)

    @signature_of(CacheInterface.delete)
    @mapped_errors(CacheOperation.DELETE)
    def delete(self, key: str) -> bool:
        """See `BaseBackend.delete`."""
        key = check_key(key)
        return self._opened()._removed(key)

    @mapped_errors(CacheOperation.POP)
    def pop(self, key: str, default: object = None) -> Any:
        """See `BaseBackend.pop`."""
        key = check_key(key)
        self._opened()
        while (entry := self._engine.peek(key)) is not None:
            stored = entry.value
            value = self._stored_values.value(key, stored, None)
            if value is MISSING:
                break
            if self._engine.remove_exactly(entry, stored):
                return value
        return default

    @signature_of(CacheInterface.exists)
    @mapped_errors(CacheOperation.EXISTS)
    def exists(self, key: str) -> bool:
        """See `BaseBackend.exists`; this is no read that keeps an entry from eviction."""
        return self._is_live(check_key(key))

    @mapped_errors(CacheOperation.CLEAR)
    def clear(self) -> None:
        """Remove every entry, atomically."""
        self._opened()._engine.clear()

    @signature_of(CacheInterface.get_many)
    @mapped_errors(CacheOperation.GET_MANY)
    def get_many(
        self, keys: Iterable[str], default: object = None, *, type: type[Any] | None = None
    ) -> dict[str, Any]:
        """See `BaseBackend.get_many`; each value is read whole, but not all at one instant."""
        wanted = check_keys(keys)
        self._opened()
        values = dict.fromkeys(wanted, default)
        failure: CacheException | None = None
        for key in wanted:
            entry = self._engine.find(key)
            if entry is None:
                continue
            try:
                value = self._stored_values.value(key, entry.value, type)
            except UNREADABLE as error:
                failure = unread(failure, error, key, values)
            else:
                if value is not MISSING:
                    values[key] = value
        if failure is not None:
            raise failure
        return values

    @mapped_errors(CacheOperation.SET_MANY)
    def set_many(self, items: Mapping[str, object], ttl: TTL = None) -> None:
        """See `BaseBackend.set_many`; each entry is written atomically, the lot of them is not."""
        seconds = self._seconds(ttl)
        prepared = {key: self._stored_values.stored(key, value) for key, value in _checked(items)}
        self._opened()
        for key, (stored, weight) in prepared.items():
            if seconds:
                self._engine.put(key, stored, seconds, weight)
            else:
                self._engine.remove(key)

    @mapped_errors(CacheOperation.DELETE_MANY)
    def delete_many(self, keys: Iterable[str]) -> int:
        """See `BaseBackend.delete_many`; each entry is removed atomically."""
        wanted = check_keys(keys)
        self._opened()
        return sum(map(self._removed, wanted))

    @mapped_errors(CacheOperation.INCR)
    def incr(self, key: str, amount: int = 1, ttl: TTL = None) -> int:
        """See `BaseBackend.incr`; atomic across threads and tasks."""
        return self._count(key, check_amount(amount), ttl)

    @mapped_errors(CacheOperation.DECR)
    def decr(self, key: str, amount: int = 1, ttl: TTL = None) -> int:
        """See `BaseBackend.decr`."""
        return self._count(key, negated(amount), ttl)

    @mapped_errors(CacheOperation.TTL)
    def ttl(self, key: str) -> float | None:
        """See `BaseBackend.ttl`."""
        key = check_key(key)
        entry = self._opened()._engine.peek(key)
        if entry is None:
            return None
        deadline = entry.deadline
        state = state_in(entry.value)
        if state is not None:
            deadline = 0.0 if state.cached is None else state.cached.soft_deadline
        left = deadline - self._now()
        return left if left > 0 else None

    @mapped_errors(CacheOperation.TOUCH)
    def touch(self, key: str, ttl: TTL) -> bool:
        """See `BaseBackend.touch`."""
        key = check_key(key)
        seconds = self._seconds(ttl)
        self._opened()
        entry = self._engine.peek(key)
        if entry is not None and state_in(entry.value) is not None:
            return self._leases.touch(key, seconds)
        return self._engine.prolong(key, seconds) if seconds else self._engine.remove(key)

    # -- The primitives of `BaseBackend`, for who works with encoded records ---------------------

    def _read(self, key: str) -> Record | None:
        entry = self._engine.peek(key)
        if entry is None:
            return None
        deadline = entry.deadline  # first: see the engine's essay on readers beside writers
        return self._stored_values.record(key, entry.value, deadline)

    def _update(self, key: str, decide: Decision[T]) -> T:
        engine = self._engine
        while True:
            entry = engine.peek(key)
            stored = None if entry is None else entry.value
            current = (
                None if entry is None else self._stored_values.record(key, stored, entry.deadline)
            )
            now = self._now()
            change, result = decide(current, now)
            if change is UNCHANGED or (entry is None and change is None):
                return result
            if entry is None:
                done = engine.put_if_absent(key, *self._stored_values.opaque(change, now))
            elif change is None:
                done = engine.remove_exactly(entry, stored)
            else:
                value, seconds, weight = self._stored_values.opaque(change, now)
                done = engine.exchange(entry, stored, value, weight, now + seconds)
            if done:
                return result

    def _scan(self, prefix: str) -> Iterator[str]:
        peek = self._engine.peek
        return (
            key
            for key in self._engine.snapshot()
            if key.startswith(prefix) and self._leases.seen(peek(key))
        )

    def _is_live(self, key: str) -> bool:
        return self._leases.seen(self._opened()._engine.peek(key))

    def _clear(self) -> None:
        self._engine.clear()

    def _count_entries(self) -> int:
        return len(self._engine)

    def _peek(self, key: str, within: float = math.inf) -> EntryState:
        return self._opened()._leases.peek(key)

    @mapped_errors(CacheOperation.GET_OR_SET)
    def _claim(self, key: str, claiming: Claiming, within: float = math.inf) -> Claim:
        return self._opened()._leases.change(key, claiming.decide)

    @mapped_errors(CacheOperation.GET_OR_SET)
    def _settle(self, key: str, settling: Filling | Releasing, within: float = math.inf) -> bool:
        return self._opened()._leases.change(key, settling.decide)

    def _wrapped(self, key: str, value: object) -> object:
        stored, _weight = self._stored_values.stored(key, value)
        return stored

    def _unwrapped(self, key: str, form: Any, kind: type[Any] | None) -> Any:
        return self._stored_values.value(key, form, kind)

    def _probe(self) -> bool:
        return not self._engine.closed

    def _evictions(self) -> int | None:
        return self._engine.evicted

    def _release(self) -> None:
        self._engine.close()

    def _mapped(self, error: Exception) -> CacheException:
        return self._closed_error() if isinstance(error, EngineClosed) else super()._mapped(error)

    def _removed(self, key: str) -> bool:
        """Delete an entry; whether it had a value for everyone to see."""
        while (entry := self._engine.peek(key)) is not None:
            stored = entry.value
            seen = self._leases.seen(entry)
            if self._engine.remove_exactly(entry, stored):
                return seen
        return False

    def _count(self, key: str, amount: int, ttl: TTL) -> int:
        key = check_key(key)
        seconds = self._seconds(ttl)
        self._opened()
        engine = self._engine
        while True:
            entry = engine.peek(key)
            stored = 0 if entry is None else entry.value
            if state_in(stored) is not None:
                return self._leases.count(key, amount, seconds)
            if type(stored) is not int:
                raise not_a_counter()
            total = add_int64(stored, amount)
            weight = self._stored_values.weight(key, total, total)
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
                state = state_in(one.value)
                if state is None:
                    stored = one.value
                elif state.cached is None:  # only a lease: nobody had a value yet
                    continue
                else:
                    stored = state.cached.payload
                value = self._stored_values.value(one.key, stored, None)
                listener(one.key, value, CAUSES[one.cause])
            except Exception:  # noqa: BLE001 - users' code; the operation is done
                _log.exception("The eviction listener of cache %r failed.", self.name)


def _checked(items: object) -> list[tuple[str, object]]:
    if not isinstance(items, Mapping):
        message = f"set_many takes a mapping of key to value, not {type(items).__name__}."
        raise CacheValueTypeError(message)
    mapping = cast("Mapping[object, object]", items)
    return [(check_key(key), value) for key, value in mapping.items()]
