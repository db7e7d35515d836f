"""What a backend's author writes, and the steps that every operation shares.

A primitive moves encoded records; it knows nothing of values, ttls or errors. What happens to a
record is decided by the pure functions of `jinpy_cache_core.entries.decisions`, which the backend
runs atomically.
"""

import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar, TypeVar, cast

from jinpy_cache_core.backend.errors import ErrorEdge, unread
from jinpy_cache_core.clock import WALL, Clock
from jinpy_cache_core.codec.codec import Codec
from jinpy_cache_core.config import BaseCacheBackendConfig
from jinpy_cache_core.entries import decisions
from jinpy_cache_core.entries.envelope import NewerEnvelopeError
from jinpy_cache_core.entries.keys import check_key
from jinpy_cache_core.entries.records import Decision, Record
from jinpy_cache_core.entries.ttl import TTL, ttl_seconds
from jinpy_cache_core.exceptions import (
    UNREADABLE,
    CacheConfigurationError,
    CacheConfigurationTypeError,
    CacheException,
    CacheValueTypeError,
)
from jinpy_cache_core.sentinels import MISSING

T = TypeVar("T")

HEALTH_KEY = "jinpy-cache:health"
"""The key that a health check reads; it is never written."""

PRIMITIVES = ("_clear", "_read", "_scan", "_update")
"""What a backend cannot be without."""


def _found(find: "weakref.WeakMethod[Callable[[int], bytes | None]]", number: int) -> bytes | None:
    method = find()
    return None if method is None else method(number)


class Primitives(ErrorEdge):
    """The store of a cache, as the operations see it."""

    config_class: ClassVar[type[BaseCacheBackendConfig]] = BaseCacheBackendConfig
    """The class of configuration that this backend takes."""

    default_clock: ClassVar[Clock] = WALL
    """The clock used when none is given; Unix time, which other processes share."""

    def __init__(
        self, config: BaseCacheBackendConfig | None = None, *, clock: Clock | None = None
    ) -> None:
        _refuse_unfinished(type(self))
        if config is None:
            config = self.config_class()
        elif not isinstance(config, self.config_class):
            message = (
                f"{type(self).__name__} takes a {self.config_class.__name__}, "
                f"not {type(config).__name__}."
            )
            raise CacheConfigurationError(message)
        self._config = config
        self._closed = False
        self._now: Clock = cast("Any", type(self)).default_clock if clock is None else clock
        self._default_seconds = ttl_seconds(config.default_ttl)
        self._codec: Codec = config.codec()
        if self._codec.compression == "zstd":
            find: Any = weakref.WeakMethod(self._find_dictionary)
            self._codec.dictionaries.fetch = lambda number: _found(find, number)

    def _find_dictionary(self, number: int) -> bytes | None:
        """The dictionary with this number, from beside the data."""
        raise NotImplementedError

    # -- What a backend's author writes ---------------------------------------------------------

    def _read(self, key: str) -> Record | None:
        """Return what is stored under a key, or `None`.

        Idempotent. An expired record may be returned; it is treated as absent.
        """
        raise NotImplementedError

    def _update(self, key: str, decide: Decision[T]) -> T:
        """Read, decide and write one entry, atomically across everyone who shares the store.

        Call `decide(record, now)` with the stored record (or `None`) and `self._now()`; it returns
        the change to make (a `Record` to store, `None` to remove, `UNCHANGED`) and the result to
        return. It is pure and fast, so it may be called again when a write has to be retried. When
        it raises, nothing may have changed.
        """
        raise NotImplementedError

    def _scan(self, prefix: str) -> Iterator[str]:
        """Iterate over the keys that begin with `prefix`, a literal, in any order.

        Must be safe while others write. Expired keys may be among them; they are left out later.
        """
        raise NotImplementedError

    def _clear(self) -> None:
        """Remove every entry of this cache, and nothing else."""
        raise NotImplementedError

    def _probe(self) -> bool:
        """Tell whether the store can be used, in bounded time; an exception means it cannot."""
        self._read(HEALTH_KEY)
        return True

    def _release(self) -> None:
        """Release what the backend holds; called once, by the first `close`."""

    # -- Bulk, overridable where the store knows better than a loop ------------------------------

    def _read_many(self, keys: list[str]) -> Iterable[Record | None]:
        """Return what is stored under each key, in their order."""
        return [self._read(key) for key in keys]

    def _store_many(self, payloads: dict[str, bytes], seconds: float) -> None:
        """Store each encoded value for `seconds`; zero removes."""
        for key, payload in payloads.items():
            self._update(key, decisions.storing(payload, seconds))

    def _remove_many(self, keys: list[str]) -> int:
        """Remove each key and return how many had a live entry."""
        return sum(self._update(key, decisions.removing) for key in keys)

    # -- Shared steps of the operations ----------------------------------------------------------

    def _seconds(self, ttl: TTL) -> float:
        return ttl_seconds(ttl, self._default_seconds)

    def _live(self, key: str) -> Record | None:
        return decisions.live(self._opened()._read(key), self._now())

    def _is_live(self, key: str) -> bool:
        """Whether there is a live entry; overridden where that is known without reading it."""
        return self._live(key) is not None

    def _value(self, key: str, record: Record, kind: type[Any] | None = None) -> Any:
        """Decode a live record; what a newer release wrote is `MISSING`, and stays where it is."""
        try:
            if kind is None:
                return self._codec.decode(key, record.payload)
            return self._codec.decode_as(key, record.payload, kind)
        except NewerEnvelopeError:
            return MISSING

    def _values(
        self,
        keys: list[str],
        records: Iterable[Record | None],
        default: object,
        kind: type[Any] | None = None,
    ) -> dict[str, Any]:
        now = self._now()
        values = dict.fromkeys(keys, default)
        failure: CacheException | None = None
        for key, stored in zip(keys, records, strict=True):
            record = decisions.live(stored, now)
            if record is not None:
                try:
                    value = self._value(key, record, kind)
                except UNREADABLE as error:
                    failure = unread(failure, error, key, values)
                else:
                    if value is not MISSING:
                        values[key] = value
        if failure is not None:
            raise failure
        return values

    def _encoded(self, items: Mapping[str, object]) -> dict[str, bytes]:
        encode = self._codec.encode
        payloads: dict[str, bytes] = {}
        for given, value in _checked_items(items).items():
            key = check_key(given)
            payloads[key] = encode(key, value)
        return payloads


def _checked_items(items: object) -> Mapping[str, object]:
    if isinstance(items, Mapping):
        return cast("Mapping[str, object]", items)
    message = f"set_many takes a mapping of key to value, not {type(items).__name__}."
    raise CacheValueTypeError(message)


def _refuse_unfinished(kind: type[Primitives]) -> None:
    """Raise unless a backend's author has written every primitive."""
    missing = [name for name in PRIMITIVES if getattr(kind, name) is getattr(Primitives, name)]
    if missing:
        message = f"{kind.__name__} is no backend yet: write its methods {', '.join(missing)}."
        raise CacheConfigurationTypeError(message)
