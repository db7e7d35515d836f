"""`BaseBackend`: everything a cache offers, from four primitives that a backend's author writes.

The public operations are written here once: they check the key, the ttl and the amount, encode the
value, and only then touch the store, through a primitive. A primitive moves encoded records; it
knows nothing of values, ttls or errors. What happens to a record is decided by the pure functions
of `jinpy_cache_core.decisions`, which the backend runs atomically.

Each operation has an asynchronous twin that runs it in a worker thread of the backend's own; a
backend whose store speaks async overrides the twins, one that can do several keys in one round trip
overrides the bulk operations.
"""

import asyncio
import functools
import threading
from abc import ABCMeta, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, ClassVar, Concatenate, NoReturn, ParamSpec, Self, TypeVar, cast, overload

from jinpy_cache_core import decisions
from jinpy_cache_core.clock import WALL, Clock
from jinpy_cache_core.codec import Codec
from jinpy_cache_core.config import BaseCacheBackendConfig
from jinpy_cache_core.enums import CacheOperation
from jinpy_cache_core.envelope import NewerEnvelopeError
from jinpy_cache_core.exceptions import (
    CacheBackendError,
    CacheClosedError,
    CacheConfigurationError,
    CacheConnectionError,
    CacheException,
    CacheTimeoutError,
    CacheValueTypeError,
)
from jinpy_cache_core.integers import check_amount, negated
from jinpy_cache_core.interfaces import AsyncCacheInterface, CacheInterface
from jinpy_cache_core.keys import check_key, check_keys, check_prefix
from jinpy_cache_core.loading.leases import Claim, Claiming, Filling, Releasing
from jinpy_cache_core.loading.operations import LoadingOperations
from jinpy_cache_core.loading.plans import Plans
from jinpy_cache_core.records import Decision, Record
from jinpy_cache_core.sentinels import MISSING
from jinpy_cache_core.slots import Slot, slot_of
from jinpy_cache_core.ttl import TTL, ttl_seconds
from jinpy_cache_core.workers import Workers

B = TypeVar("B", bound="BaseBackend")
D = TypeVar("D")
P = ParamSpec("P")
T = TypeVar("T")

HEALTH_KEY = "jinpy-cache:health"
"""The key that a health check reads; it is never written."""


def reporting(
    operation: CacheOperation,
) -> Callable[[Callable[Concatenate[B, P], T]], Callable[Concatenate[B, P], T]]:
    """The one edge of an operation: what escapes it is a `CacheException` that knows its place.

    Args:
        operation: What the decorated method does; plain methods only, not coroutines.
    """

    def decorate(method: Callable[Concatenate[B, P], T]) -> Callable[Concatenate[B, P], T]:
        @functools.wraps(method)
        def edge(self: B, /, *args: P.args, **kwargs: P.kwargs) -> T:
            try:
                return method(self, *args, **kwargs)
            except Exception as error:
                if isinstance(error, TypeError) and _is_of_the_call(error):
                    raise
                key = args[0] if args and isinstance(args[0], str) else kwargs.get("key")
                self._raise_mapped(error, operation, key)

        return edge

    return decorate


class _CountingReads(ABCMeta):
    """Wraps the reads of a backend that is to count them, once it is complete."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        backend = super().__call__(*args, **kwargs)
        if backend.config.statistics:
            backend._count_reads()
        return backend


class BaseBackend(LoadingOperations, CacheInterface, AsyncCacheInterface, metaclass=_CountingReads):
    """One cache over one store, usable from any thread and any event loop.

    Every method that takes a key raises `CacheKeyError` for one that is not a `str` of 1 to 1,024
    UTF-8 bytes, every method that takes a ttl raises `CacheValueError` for one that is no duration,
    and every method but `close` and `is_healthy` raises `CacheClosedError` once the backend is
    closed; all of that before anything is read or written. A store that fails raises
    `CacheConnectionError`, `CacheTimeoutError` or `CacheBackendError`.

    To write a backend, subclass this, name a `config_class` and implement `_read`, `_update`,
    `_scan` and `_clear`; the rest has a correct default. `jinpy_cache_core.testing` holds the suite
    that tells whether it is one.

    Args:
        config: The backend's settings; by default those of `config_class` itself.
        clock: Returns the present in seconds; injected by tests.
    """

    config_class: ClassVar[type[BaseCacheBackendConfig]] = BaseCacheBackendConfig
    """The class of configuration that this backend takes."""

    default_clock: ClassVar[Clock] = WALL
    """The clock used when none is given; Unix time, which other processes share."""

    def __init__(
        self, config: BaseCacheBackendConfig | None = None, *, clock: Clock | None = None
    ) -> None:
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
        self._closing = threading.Lock()
        self._now: Clock = cast("Any", type(self)).default_clock if clock is None else clock
        self._default_seconds = ttl_seconds(config.default_ttl)
        self._codec: Codec = config.codec()
        self._workers = Workers(config.name)
        self._options = config.options
        self._plans = Plans(self)

    # -- What a backend's author writes ---------------------------------------------------------

    @abstractmethod
    def _read(self, key: str) -> Record | None:
        """Return what is stored under a key, or `None`.

        Idempotent. An expired record may be returned; it is treated as absent.
        """

    @abstractmethod
    def _update(self, key: str, decide: Decision[T]) -> T:
        """Read, decide and write one entry, atomically across everyone who shares the store.

        Call `decide(record, now)` with the stored record (or `None`) and `self._now()`; it returns
        the change to make (a `Record` to store, `None` to remove, `UNCHANGED`) and the result to
        return. It is pure and fast, so it may be called again when a write has to be retried. When
        it raises, nothing may have changed.
        """

    @abstractmethod
    def _scan(self, prefix: str) -> Iterator[str]:
        """Iterate over the keys that begin with `prefix`, a literal, in any order.

        Must be safe while others write. Expired keys may be among them; they are left out later.
        """

    @abstractmethod
    def _clear(self) -> None:
        """Remove every entry of this cache, and nothing else."""

    def _probe(self) -> bool:
        """Tell whether the store can be used, in bounded time; an exception means it cannot."""
        self._read(HEALTH_KEY)
        return True

    def _release(self) -> None:
        """Release what the backend holds; called once, by the first `close`."""

    def _mapped(self, error: Exception) -> CacheException:
        """Map a foreign exception of the store to ours; the given one becomes its cause."""
        reason = f"The {self.backend_type} store failed: {type(error).__name__}: {error}"
        if isinstance(error, TimeoutError):
            return CacheTimeoutError(reason, errno=error.errno)
        if isinstance(error, ConnectionError):
            return CacheConnectionError(reason, errno=error.errno)
        return CacheBackendError(reason, errno=getattr(error, "errno", None))

    # -- What everyone may ask ------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The configured name."""
        return self._config.name

    @property
    def backend_type(self) -> str:
        """The kind of store: `"memory"`, `"file"`, `"redis"`, or a third party's word."""
        return self._config.backend_type

    @property
    def config(self) -> BaseCacheBackendConfig:
        """The settings this backend was built from."""
        return self._config

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def __repr__(self) -> str:
        state = " closed" if self._closed else ""
        return f"<{type(self).__name__} {self.name!r}{state}>"

    # -- Synchronous operations -----------------------------------------------------------------

    @overload
    def get(self, key: str, default: None = None, *, type: type[T]) -> T | None: ...
    @overload
    def get(self, key: str, default: D, *, type: type[T]) -> T | D: ...
    @overload
    def get(self, key: str, default: object = None, *, type: None = None) -> Any: ...
    @reporting(CacheOperation.GET)  # type: ignore[misc]  # mypy loses the decorated signature
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

    @reporting(CacheOperation.SET)
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

    @reporting(CacheOperation.ADD)
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

    @reporting(CacheOperation.DELETE)
    def delete(self, key: str) -> bool:
        """Remove an entry, atomically.

        Args:
            key: The key, verbatim.

        Returns:
            True if a live entry was removed.
        """
        key = check_key(key)
        return self._opened()._update(key, decisions.removing)

    @reporting(CacheOperation.POP)
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

    @reporting(CacheOperation.SCAN)
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

    @reporting(CacheOperation.EXISTS)
    def exists(self, key: str) -> bool:
        """Tell whether a key has a live entry, be its value `None`.

        Args:
            key: The key, verbatim.
        """
        return self._is_live(check_key(key))

    @reporting(CacheOperation.CLEAR)
    def clear(self) -> None:
        """Remove every entry of this cache's namespace, and nothing else."""
        self._opened()._clear()

    @reporting(CacheOperation.GET_MANY)
    def get_many(self, keys: Iterable[str], default: object = None) -> dict[str, Any]:
        """Read several values; each is read whole, but not all at one instant.

        Args:
            keys: Any iterable of keys; a repeated key is read once.
            default: What a miss carries.

        Returns:
            Every requested key, in the order first given, with its value or `default`.

        Raises:
            CacheKeyTypeError: `keys` is a single str.
            CacheSerializationError: One of the stored values is no value.
        """
        wanted = check_keys(keys)
        self._opened()
        return self._values(wanted, self._read_many(wanted), default)

    @reporting(CacheOperation.SET_MANY)
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

    @reporting(CacheOperation.DELETE_MANY)
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

    @reporting(CacheOperation.INCR)
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

    @reporting(CacheOperation.DECR)
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

    @reporting(CacheOperation.TTL)
    def ttl(self, key: str) -> float | None:
        """Tell how long an entry has left to live.

        Args:
            key: The key, verbatim.

        Returns:
            Seconds, `math.inf` for an entry that never expires, `None` for no live entry.
        """
        key = check_key(key)
        return decisions.seconds_left(self._opened()._read(key), self._now())

    @reporting(CacheOperation.TOUCH)
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

    def is_healthy(self) -> bool:
        """Tell whether the store can be used right now; never raises, writes nothing."""
        try:
            return not self._closed and self._probe()
        except Exception:  # noqa: BLE001 - whatever it is, the store is not healthy
            return False

    def close(self) -> None:
        """Release the store; idempotent.

        Values that are being computed in the background are waited for, for a while. Operations
        that have begun finish or raise `CacheClosedError`; later ones raise it.
        """
        if not self._closed:
            self._plans.drain()
        with self._closing:
            first, self._closed = not self._closed, True
        if first:
            self._workers.close()
            self._release()

    def __contains__(self, key: str) -> bool:
        return self.exists(key)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # -- Asynchronous operations ----------------------------------------------------------------

    @overload
    async def aget(self, key: str, default: None = None, *, type: type[T]) -> T | None: ...
    @overload
    async def aget(self, key: str, default: D, *, type: type[T]) -> T | D: ...
    @overload
    async def aget(self, key: str, default: object = None, *, type: None = None) -> Any: ...
    async def aget(self, key: str, default: object = None, *, type: type[Any] | None = None) -> Any:
        """Same as `get`, asynchronously."""
        return await self._run(self.get, key, default, type=cast("Any", type))

    async def aset(self, key: str, value: object, ttl: TTL = None) -> None:
        """Same as `set`, asynchronously."""
        await self._run(self.set, key, value, ttl)

    async def aadd(self, key: str, value: object, ttl: TTL = None) -> bool:
        """Same as `add`, asynchronously."""
        return await self._run(self.add, key, value, ttl)

    async def adelete(self, key: str) -> bool:
        """Same as `delete`, asynchronously."""
        return await self._run(self.delete, key)

    async def apop(self, key: str, default: object = None) -> Any:
        """Same as `pop`, asynchronously."""
        return await self._run(self.pop, key, default)

    async def ascan(self, prefix: str = "") -> AsyncIterator[str]:
        """Same as `scan`, asynchronously."""
        for key in await self._run(lambda: list(self.scan(prefix))):
            yield key

    async def aexists(self, key: str) -> bool:
        """Same as `exists`, asynchronously."""
        return await self._run(self.exists, key)

    async def aclear(self) -> None:
        """Same as `clear`, asynchronously."""
        await self._run(self.clear)

    async def aget_many(self, keys: Iterable[str], default: object = None) -> dict[str, Any]:
        """Same as `get_many`, asynchronously."""
        return await self._run(self.get_many, _listed(keys), default)

    async def aset_many(self, items: Mapping[str, object], ttl: TTL = None) -> None:
        """Same as `set_many`, asynchronously."""
        await self._run(self.set_many, _copied(items), ttl)

    async def adelete_many(self, keys: Iterable[str]) -> int:
        """Same as `delete_many`, asynchronously."""
        return await self._run(self.delete_many, _listed(keys))

    async def aincr(self, key: str, amount: int = 1, ttl: TTL = None) -> int:
        """Same as `incr`, asynchronously."""
        return await self._run(self.incr, key, amount, ttl)

    async def adecr(self, key: str, amount: int = 1, ttl: TTL = None) -> int:
        """Same as `decr`, asynchronously."""
        return await self._run(self.decr, key, amount, ttl)

    async def attl(self, key: str) -> float | None:
        """Same as `ttl`, asynchronously."""
        return await self._run(self.ttl, key)

    async def atouch(self, key: str, ttl: TTL) -> bool:
        """Same as `touch`, asynchronously."""
        return await self._run(self.touch, key, ttl)

    async def ais_healthy(self) -> bool:
        """Same as `is_healthy`, asynchronously."""
        return await self._run(self.is_healthy)

    async def aclose(self) -> None:
        """Same as `close`, asynchronously."""
        await self._plans.adrain()
        await asyncio.to_thread(self.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

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

    # -- What the loading layer asks -------------------------------------------------------------

    @reporting(CacheOperation.GET_OR_SET)
    def _peek(self, key: str) -> Slot:
        """What is in the place of a key: a value, fresh or stale, and a lease."""
        return slot_of(self._opened()._read(key), self._now())

    @reporting(CacheOperation.GET_OR_SET)
    def _claim(self, key: str, claiming: Claiming) -> Claim:
        """Find a value, or take the lead in computing it, or learn who has it, atomically."""
        return self._opened()._update(key, claiming)

    @reporting(CacheOperation.GET_OR_SET)
    def _settle(self, key: str, settling: Filling | Releasing) -> bool:
        """Store a computed value or give up the lead, if the lease still stands, atomically."""
        return self._opened()._update(key, settling)

    async def _apeek(self, key: str) -> Slot:
        """Same as `_peek`, asynchronously."""
        return await self._run(self._peek, key)

    async def _aclaim(self, key: str, claiming: Claiming) -> Claim:
        """Same as `_claim`, asynchronously."""
        return await self._run(self._claim, key, claiming)

    async def _asettle(self, key: str, settling: Filling | Releasing) -> bool:
        """Same as `_settle`, asynchronously."""
        return await self._run(self._settle, key, settling)

    def _wrapped(self, key: str, value: object) -> Any:
        """The form in which a value is held in its place."""
        return self._codec.encode(key, value)

    def _unwrapped(self, key: str, held: Any, kind: type[Any] | None) -> Any:
        """The value of a form that `_wrapped` gave, or of what was in the place."""
        return self._value(key, Record(held), kind)

    # -- Shared steps of the operations ----------------------------------------------------------

    def _opened(self) -> Self:
        """Return the backend itself, unless it is closed."""
        if self._closed:
            raise self._closed_error()
        return self

    def _closed_error(self) -> CacheClosedError:
        message = f"The cache {self.name!r} is closed. Create a new one, or close it later."
        return CacheClosedError(message, backend=self.name, backend_type=self.backend_type)

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
        self, keys: list[str], records: Iterable[Record | None], default: object
    ) -> dict[str, Any]:
        now = self._now()
        values = dict.fromkeys(keys, default)
        for key, stored in zip(keys, records, strict=True):
            record = decisions.live(stored, now)
            if record is not None:
                value = self._value(key, record)
                if value is not MISSING:
                    values[key] = value
        return values

    def _encoded(self, items: Mapping[str, object]) -> dict[str, bytes]:
        encode = self._codec.encode
        payloads: dict[str, bytes] = {}
        for given, value in _checked_items(items).items():
            key = check_key(given)
            payloads[key] = encode(key, value)
        return payloads

    def _count(self, key: str, amount: int, ttl: TTL) -> int:
        key = check_key(key)
        decide = decisions.counting(amount, self._seconds(ttl))
        return self._opened()._update(key, decide)

    def _live_keys(self, prefix: str) -> Iterator[str]:
        try:
            for key in self._scan(prefix):
                if self._is_live(key):
                    yield key
        except Exception as error:  # noqa: BLE001 - as in `reporting`
            self._raise_mapped(error, CacheOperation.SCAN, None)

    async def _run(self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call in a worker thread; once closed, here, as it only says so."""
        if not self._closed:
            try:
                return await self._workers.run(call, *args, **kwargs)
            except RuntimeError:
                if not self._closed:  # between the look and the call
                    raise
        return call(*args, **kwargs)

    def _raise_mapped(self, error: Exception, operation: CacheOperation, key: object) -> NoReturn:
        """Raise what escaped an operation, in its context; call it in an `except` clause."""
        if isinstance(error, CacheException):
            raise self._placed(error, operation, key)
        if isinstance(error, MemoryError):
            raise error
        if self._closed:  # the store was released while it was being used
            raise self._placed(self._closed_error(), operation, key) from error
        raise self._placed(self._mapped(error), operation, key) from error

    def _placed(
        self, error: CacheException, operation: CacheOperation, key: object
    ) -> CacheException:
        return error.in_context(
            operation=operation, backend=self.name, backend_type=self.backend_type, key=key
        )


def _checked_items(items: object) -> Mapping[str, object]:
    if isinstance(items, Mapping):
        return cast("Mapping[str, object]", items)
    message = f"set_many takes a mapping of key to value, not {type(items).__name__}."
    raise CacheValueTypeError(message)


def _listed(keys: Iterable[str]) -> Iterable[str]:
    """Take the keys from an iterable in the caller's thread; leave what is none to be refused."""
    if isinstance(keys, (str, bytes, bytearray)) or not isinstance(keys, Iterable):
        return keys
    return list(keys)


def _copied(items: Mapping[str, object]) -> Mapping[str, object]:
    return dict(items) if isinstance(items, Mapping) else items


def _is_of_the_call(error: TypeError) -> bool:
    """Whether the arguments did not fit the method, so that it never began."""
    trace = error.__traceback__
    return trace is not None and trace.tb_next is None
