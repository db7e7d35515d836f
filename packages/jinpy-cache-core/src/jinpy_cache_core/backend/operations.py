"""The synchronous operations, each written once.

They check the key, the ttl and the amount, encode the value, and only then touch the store, through
a primitive.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from jinpy_cache_core.backend import substitutes
from jinpy_cache_core.backend.errors import false_on_failure, mapped_errors
from jinpy_cache_core.backend.primitives import Primitives
from jinpy_cache_core.declarations import signature_of
from jinpy_cache_core.entries import decisions
from jinpy_cache_core.entries.integers import check_amount, negated
from jinpy_cache_core.entries.keys import check_key, check_keys, check_prefix
from jinpy_cache_core.entries.ttl import TTL
from jinpy_cache_core.enums import CacheOperation
from jinpy_cache_core.interfaces import CacheInterface
from jinpy_cache_core.sentinels import MISSING


class Operations(Primitives, CacheInterface):
    """What a cache does, synchronously."""

    @signature_of(CacheInterface.get)
    @mapped_errors(CacheOperation.GET, miss=substitutes.given_default)
    def get(self, key: str, default: object = None, *, type: type[Any] | None = None) -> Any:
        """Read a value.

        Args:
            key: The key, verbatim.
            default: What to return for a miss; pass `MISSING` to tell a miss from a cached `None`.
            type: Structure the stored value into this class; nothing is coerced.

        Returns:
            The value equal to the one that was stored, type included, or `default`.

        Raises:
            CacheSerializationError: The stored bytes are no value, or not one of `type`.
        """
        key = check_key(key)
        record = self._live(key)
        value = MISSING if record is None else self._value(key, record, type)
        return default if value is MISSING else value

    @signature_of(CacheInterface.set)
    @mapped_errors(CacheOperation.SET, miss=substitutes.unset)
    def set(self, key: str, value: object, ttl: TTL = None) -> None:
        """Store a value under a key, replacing what was there, atomically.

        Args:
            key: The key, verbatim.
            value: What to store; it is stored by value, so later changes to it do not show.
            ttl: Seconds or a `timedelta`; `None` for the backend's `default_ttl`, `math.inf` for
                never. Zero or less removes the entry.

        Raises:
            CacheSerializationError: The value cannot be stored exactly; the old one stays.
            CacheValueError: The encoded value exceeds `max_value_bytes`; the old one stays.
        """
        key = check_key(key)
        decide = decisions.storing(self._codec.encode(key, value), self._seconds(ttl))
        self._opened()._update(key, decide)

    @signature_of(CacheInterface.add)
    @mapped_errors(CacheOperation.ADD, miss=substitutes.answers(False))
    def add(self, key: str, value: object, ttl: TTL = None) -> bool:
        """Store a value only if the key is absent, atomically.

        Args:
            key: The key, verbatim.
            value: What to store.
            ttl: As for `set`; zero or less stores nothing.

        Returns:
            True if the key was absent, False if it was left as it is.

        Raises:
            CacheSerializationError: The value cannot be stored exactly.
        """
        key = check_key(key)
        decide = decisions.adding(self._codec.encode(key, value), self._seconds(ttl))
        return self._opened()._update(key, decide)

    @signature_of(CacheInterface.delete)
    @mapped_errors(CacheOperation.DELETE)
    def delete(self, key: str) -> bool:
        """Remove an entry, atomically.

        Args:
            key: The key, verbatim.

        Returns:
            True if a live entry was removed.
        """
        key = check_key(key)
        return self._opened()._update(key, decisions.removing)

    @mapped_errors(CacheOperation.POP)
    def pop(self, key: str, default: object = None) -> Any:
        """Read and remove an entry, atomically: of many callers one gets the value.

        Args:
            key: The key, verbatim.
            default: What to return for a miss.

        Returns:
            The value, or `default`.

        Raises:
            CacheSerializationError: The stored bytes are no value; the entry stays.
        """
        key = check_key(key)
        while True:
            record = self._live(key)
            value = MISSING if record is None else self._value(key, record)
            if record is None or value is MISSING:
                return default
            if self._update(key, decisions.removing_exactly(record)):
                return value

    @mapped_errors(CacheOperation.SCAN)
    def scan(self, prefix: str = "") -> Iterator[str]:
        """Iterate over the live keys that begin with a prefix, in no particular order.

        Safe while others write: a key that is there all the time is yielded once; one that is
        added or removed meanwhile may or may not be.

        Args:
            prefix: The literal beginning of the keys; by default all of this cache.

        Yields:
            Each key, without its namespace.

        Raises:
            CacheKeyError: No key can begin with this prefix.
        """
        prefix = check_prefix(prefix)
        return self._opened()._live_keys(prefix)

    @signature_of(CacheInterface.exists)
    @mapped_errors(CacheOperation.EXISTS, miss=substitutes.answers(False))
    def exists(self, key: str) -> bool:
        """Tell whether a key has a live entry, be its value `None`.

        Args:
            key: The key, verbatim.
        """
        return self._is_live(check_key(key))

    @mapped_errors(CacheOperation.CLEAR)
    def clear(self) -> None:
        """Remove every entry of this cache's namespace, and nothing else."""
        self._opened()._clear()

    @signature_of(CacheInterface.get_many)
    @mapped_errors(CacheOperation.GET_MANY)
    def get_many(
        self, keys: Iterable[str], default: object = None, *, type: type[Any] | None = None
    ) -> dict[str, Any]:
        """Read several values; each is read whole, but not all at one instant.

        Args:
            keys: Any iterable of keys; a repeated key is read once.
            default: What a miss carries.
            type: Structure each stored value into this class; nothing is coerced.

        Returns:
            Every requested key, in the order first given, with its value or `default`.

        Raises:
            CacheKeyTypeError: `keys` is a single str.
            CacheSerializationError: One of the stored values is no value: that of the error's
                `key`. Its `partial` holds all that could be read, misses included.
        """
        return self._found(check_keys(keys), default, type)

    @mapped_errors(CacheOperation.GET_MANY, miss=substitutes.all_missed)
    def _found(
        self, wanted: list[str], default: object, kind: type[Any] | None = None
    ) -> dict[str, Any]:
        self._opened()
        return self._values(wanted, self._read_many(wanted), default, kind)

    @mapped_errors(CacheOperation.SET_MANY, miss=substitutes.none_set)
    def set_many(self, items: Mapping[str, object], ttl: TTL = None) -> None:
        """Store several values with one ttl.

        Everything is checked and encoded before anything is written; each entry is written
        atomically, the lot of them is not.

        Args:
            items: The values by key.
            ttl: As for `set`.

        Raises:
            CacheSerializationError: A value cannot be stored exactly; nothing was written.
            CacheKeyError: A key is not one; nothing was written.
        """
        seconds = self._seconds(ttl)
        payloads = self._encoded(items)
        self._opened()
        if payloads:
            self._store_many(payloads, seconds)

    @mapped_errors(CacheOperation.DELETE_MANY)
    def delete_many(self, keys: Iterable[str]) -> int:
        """Remove several entries, each atomically.

        Args:
            keys: Any iterable of keys.

        Returns:
            How many live entries were removed.
        """
        wanted = check_keys(keys)
        self._opened()
        return self._remove_many(wanted) if wanted else 0

    @mapped_errors(CacheOperation.INCR)
    def incr(self, key: str, amount: int = 1, ttl: TTL = None) -> int:
        """Count up, atomically across threads, tasks and processes.

        Args:
            key: The key, verbatim; a missing one starts at 0.
            amount: A signed 64-bit integer, negative to count down.
            ttl: The lifetime of a counter that is created; an existing one keeps its expiry.

        Returns:
            The new count.

        Raises:
            CacheValueError: The stored value is not an int, or the sum does not fit in signed
                64 bits; the entry is left as it is.
        """
        return self._count(key, check_amount(amount), ttl)

    @mapped_errors(CacheOperation.DECR)
    def decr(self, key: str, amount: int = 1, ttl: TTL = None) -> int:
        """Count down: `incr` by the negated amount.

        Args:
            key: The key, verbatim; a missing one starts at 0.
            amount: A signed 64-bit integer.
            ttl: As for `incr`.

        Returns:
            The new count.

        Raises:
            CacheValueError: As for `incr`.
        """
        return self._count(key, negated(amount), ttl)

    @mapped_errors(CacheOperation.TTL, miss=substitutes.answers(None))
    def ttl(self, key: str) -> float | None:
        """Tell how long an entry has left to live.

        Args:
            key: The key, verbatim.

        Returns:
            Seconds, `math.inf` for an entry that never expires, `None` for no live entry.
        """
        key = check_key(key)
        return decisions.seconds_left(self._opened()._read(key), self._now())

    @mapped_errors(CacheOperation.TOUCH, miss=substitutes.untouched)
    def touch(self, key: str, ttl: TTL) -> bool:
        """Give a live entry a new lifetime from now on, atomically.

        Args:
            key: The key, verbatim.
            ttl: As for `set`; zero or less removes the entry.

        Returns:
            True if there was a live entry.
        """
        key = check_key(key)
        decide = decisions.touching(self._seconds(ttl))
        return self._opened()._update(key, decide)

    @false_on_failure
    def is_healthy(self) -> bool:
        """Tell whether the store can be used right now; never raises, writes nothing."""
        return not self._closed and self._probe()

    def __contains__(self, key: str) -> bool:
        return self.exists(key)

    @mapped_errors(CacheOperation.SCAN)
    def __len__(self) -> int:
        """How many entries there are; one that has just expired may still count.

        Exact and quick where the store keeps count; elsewhere, as on Redis, every key is walked.
        """
        return self._opened()._count_entries()

    def __bool__(self) -> bool:
        """True, empty or closed: `cache or other` means this cache."""
        return True

    def _count_entries(self) -> int:
        return sum(1 for _ in self._scan(""))

    def _count(self, key: str, amount: int, ttl: TTL) -> int:
        key = check_key(key)
        decide = decisions.counting(amount, self._seconds(ttl), self._codec.integer_form(key))
        return self._opened()._update(key, decide)

    @mapped_errors(CacheOperation.SCAN, miss=substitutes.answers(None))
    def _live_keys(self, prefix: str) -> Iterator[str]:
        for key in self._scan(prefix):
            if self._is_live(key):
                yield key
