"""The operations of a cache, as types: what every backend, client and facade offers.

The meaning of each operation, its units, atomicity and errors are documented once, on
`jinpy_cache_core.BaseBackend`. A function that only needs a cache should ask for one of these.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar, Unpack, overload

from jinpy_cache_core.entries.ttl import TTL
from jinpy_cache_core.entries.typed_key import TypedKey
from jinpy_cache_core.loading.context import FactoryContext
from jinpy_cache_core.loading.events import CacheEvent
from jinpy_cache_core.loading.options import EntryOptions, EntryOverrides
from jinpy_cache_core.loading.statistics import CacheStatistics

__all__ = [
    "AsyncCacheInterface",
    "CacheInterface",
    "ObservedInterface",
]

T = TypeVar("T")
D = TypeVar("D")
E = TypeVar("E", bound=CacheEvent)


class ObservedInterface:
    """What tells about a cache, for both kinds of callers."""

    def stats(self) -> CacheStatistics:
        """What the cache has done so far."""
        raise NotImplementedError

    def on(self, event: type[E], listener: Callable[[E], object]) -> Callable[[], None]:
        """Call a listener for each event of a class; the result ends the subscription."""
        raise NotImplementedError


class CacheInterface(ObservedInterface):
    """The synchronous operations."""

    @overload
    def get(self, key: TypedKey[T], default: None = None) -> T | None: ...
    @overload
    def get(self, key: TypedKey[T], default: D) -> T | D: ...
    @overload
    def get(self, key: str, default: None = None, *, type: type[T]) -> T | None: ...
    @overload
    def get(self, key: str, default: D, *, type: type[T]) -> T | D: ...
    @overload
    def get(self, key: str, default: object = None, *, type: None = None) -> Any: ...
    def get(
        self, key: str | TypedKey[Any], default: object = None, *, type: type[Any] | None = None
    ) -> Any:
        """The value, or `default` for a miss."""
        raise NotImplementedError

    @overload
    def set(self, key: TypedKey[T], value: T, ttl: TTL = None) -> None: ...
    @overload
    def set(self, key: str, value: object, ttl: TTL = None) -> None: ...
    def set(self, key: str | TypedKey[Any], value: object, ttl: TTL = None) -> None:
        """Store a value."""
        raise NotImplementedError

    @overload
    def add(self, key: TypedKey[T], value: T, ttl: TTL = None) -> bool: ...
    @overload
    def add(self, key: str, value: object, ttl: TTL = None) -> bool: ...
    def add(self, key: str | TypedKey[Any], value: object, ttl: TTL = None) -> bool:
        """Store a value only if the key is absent."""
        raise NotImplementedError

    def delete(self, key: str | TypedKey[Any]) -> bool:
        """Remove an entry."""
        raise NotImplementedError

    def pop(self, key: str, default: object = None) -> Any:
        """Read and remove an entry."""
        raise NotImplementedError

    def scan(self, prefix: str = "") -> Iterator[str]:
        """The live keys that begin with a prefix."""
        raise NotImplementedError

    def exists(self, key: str | TypedKey[Any]) -> bool:
        """Whether there is a live entry."""
        raise NotImplementedError

    def clear(self) -> None:
        """Remove every entry of this cache, and nothing else."""
        raise NotImplementedError

    @overload
    def get_many(
        self, keys: Iterable[str], default: None = None, *, type: type[T]
    ) -> dict[str, T | None]: ...
    @overload
    def get_many(self, keys: Iterable[str], default: D, *, type: type[T]) -> dict[str, T | D]: ...
    @overload
    def get_many(
        self, keys: Iterable[str], default: object = None, *, type: None = None
    ) -> dict[str, Any]: ...
    def get_many(
        self, keys: Iterable[str], default: object = None, *, type: type[Any] | None = None
    ) -> dict[str, Any]:
        """Every requested key with its value, or with `default` for a miss."""
        raise NotImplementedError

    def set_many(self, items: Mapping[str, object], ttl: TTL = None) -> None:
        """Store several values."""
        raise NotImplementedError

    def delete_many(self, keys: Iterable[str]) -> int:
        """Remove several entries."""
        raise NotImplementedError

    def incr(self, key: str, amount: int = 1, ttl: TTL = None) -> int:
        """Count up atomically."""
        raise NotImplementedError

    def decr(self, key: str, amount: int = 1, ttl: TTL = None) -> int:
        """Count down atomically."""
        raise NotImplementedError

    def ttl(self, key: str) -> float | None:
        """The seconds an entry has left."""
        raise NotImplementedError

    def touch(self, key: str, ttl: TTL) -> bool:
        """Give an entry a new lifetime."""
        raise NotImplementedError

    @overload
    def get_or_set(
        self,
        key: str | TypedKey[Any],
        factory: Callable[[], T],
        ttl: TTL = None,
        *,
        type: type[T] | None = None,
        options: EntryOptions | None = None,
        force_refresh: bool = False,
        **overrides: Unpack[EntryOverrides],
    ) -> T: ...
    @overload
    def get_or_set(
        self,
        key: str | TypedKey[Any],
        factory: Callable[[FactoryContext], T],
        ttl: TTL = None,
        *,
        type: type[T] | None = None,
        options: EntryOptions | None = None,
        force_refresh: bool = False,
        **overrides: Unpack[EntryOverrides],
    ) -> T: ...
    def get_or_set(
        self,
        key: str | TypedKey[Any],
        factory: Callable[..., Any],
        ttl: TTL = None,
        *,
        type: type[Any] | None = None,
        options: EntryOptions | None = None,
        force_refresh: bool = False,
        **overrides: Unpack[EntryOverrides],
    ) -> Any:
        """The value; if there is none, what the factory computes, once for all callers."""
        raise NotImplementedError

    def get_or_set_many(
        self,
        keys: Iterable[str],
        factory: Callable[[list[str]], Mapping[str, T]],
        ttl: TTL = None,
        *,
        default: Any = None,
        options: EntryOptions | None = None,
        force_refresh: bool = False,
        **overrides: Unpack[EntryOverrides],
    ) -> dict[str, T]:
        """The values; the factory computes the missing ones."""
        raise NotImplementedError

    def is_healthy(self) -> bool:
        """Whether the cache can be used right now."""
        raise NotImplementedError

    def close(self) -> None:
        """Release what the cache holds."""
        raise NotImplementedError


class AsyncCacheInterface(ObservedInterface):
    """The asynchronous twins: the same meaning, awaited."""

    @overload
    async def aget(self, key: TypedKey[T], default: None = None) -> T | None: ...
    @overload
    async def aget(self, key: TypedKey[T], default: D) -> T | D: ...
    @overload
    async def aget(self, key: str, default: None = None, *, type: type[T]) -> T | None: ...
    @overload
    async def aget(self, key: str, default: D, *, type: type[T]) -> T | D: ...
    @overload
    async def aget(self, key: str, default: object = None, *, type: None = None) -> Any: ...
    async def aget(
        self, key: str | TypedKey[Any], default: object = None, *, type: type[Any] | None = None
    ) -> Any:
        """Same as `get`, asynchronously."""
        raise NotImplementedError

    @overload
    async def aset(self, key: TypedKey[T], value: T, ttl: TTL = None) -> None: ...
    @overload
    async def aset(self, key: str, value: object, ttl: TTL = None) -> None: ...
    async def aset(self, key: str | TypedKey[Any], value: object, ttl: TTL = None) -> None:
        """Same as `set`, asynchronously."""
        raise NotImplementedError

    @overload
    async def aadd(self, key: TypedKey[T], value: T, ttl: TTL = None) -> bool: ...
    @overload
    async def aadd(self, key: str, value: object, ttl: TTL = None) -> bool: ...
    async def aadd(self, key: str | TypedKey[Any], value: object, ttl: TTL = None) -> bool:
        """Same as `add`, asynchronously."""
        raise NotImplementedError

    async def adelete(self, key: str | TypedKey[Any]) -> bool:
        """Same as `delete`, asynchronously."""
        raise NotImplementedError

    async def apop(self, key: str, default: object = None) -> Any:
        """Same as `pop`, asynchronously."""
        raise NotImplementedError

    def ascan(self, prefix: str = "") -> AsyncIterator[str]:
        """Same as `scan`, asynchronously."""
        raise NotImplementedError

    async def aexists(self, key: str | TypedKey[Any]) -> bool:
        """Same as `exists`, asynchronously."""
        raise NotImplementedError

    async def aclear(self) -> None:
        """Same as `clear`, asynchronously."""
        raise NotImplementedError

    @overload
    async def aget_many(
        self, keys: Iterable[str], default: None = None, *, type: type[T]
    ) -> dict[str, T | None]: ...
    @overload
    async def aget_many(
        self, keys: Iterable[str], default: D, *, type: type[T]
    ) -> dict[str, T | D]: ...
    @overload
    async def aget_many(
        self, keys: Iterable[str], default: object = None, *, type: None = None
    ) -> dict[str, Any]: ...
    async def aget_many(
        self, keys: Iterable[str], default: object = None, *, type: type[Any] | None = None
    ) -> dict[str, Any]:
        """Same as `get_many`, asynchronously."""
        raise NotImplementedError

    async def aset_many(self, items: Mapping[str, object], ttl: TTL = None) -> None:
        """Same as `set_many`, asynchronously."""
        raise NotImplementedError

    async def adelete_many(self, keys: Iterable[str]) -> int:
        """Same as `delete_many`, asynchronously."""
        raise NotImplementedError

    async def aincr(self, key: str, amount: int = 1, ttl: TTL = None) -> int:
        """Same as `incr`, asynchronously."""
        raise NotImplementedError

    async def adecr(self, key: str, amount: int = 1, ttl: TTL = None) -> int:
        """Same as `decr`, asynchronously."""
        raise NotImplementedError

    async def attl(self, key: str) -> float | None:
        """Same as `ttl`, asynchronously."""
        raise NotImplementedError

    async def atouch(self, key: str, ttl: TTL) -> bool:
        """Same as `touch`, asynchronously."""
        raise NotImplementedError

    @overload
    async def aget_or_set(
        self,
        key: str | TypedKey[Any],
        factory: Callable[[], Awaitable[T]],
        ttl: TTL = None,
        *,
        type: type[T] | None = None,
        options: EntryOptions | None = None,
        force_refresh: bool = False,
        **overrides: Unpack[EntryOverrides],
    ) -> T: ...
    @overload
    async def aget_or_set(
        self,
        key: str | TypedKey[Any],
        factory: Callable[[FactoryContext], Awaitable[T]],
        ttl: TTL = None,
        *,
        type: type[T] | None = None,
        options: EntryOptions | None = None,
        force_refresh: bool = False,
        **overrides: Unpack[EntryOverrides],
    ) -> T: ...
    @overload
    async def aget_or_set(
        self,
        key: str | TypedKey[Any],
        factory: Callable[[], T] | Callable[[FactoryContext], T],
        ttl: TTL = None,
        *,
        type: type[T] | None = None,
        options: EntryOptions | None = None,
        force_refresh: bool = False,
        **overrides: Unpack[EntryOverrides],
    ) -> T: ...
    async def aget_or_set(
        self,
        key: str | TypedKey[Any],
        factory: Callable[..., Any],
        ttl: TTL = None,
        *,
        type: type[Any] | None = None,
        options: EntryOptions | None = None,
        force_refresh: bool = False,
        **overrides: Unpack[EntryOverrides],
    ) -> Any:
        """Same as `get_or_set`, asynchronously."""
        raise NotImplementedError

    async def aget_or_set_many(
        self,
        keys: Iterable[str],
        factory: Callable[[list[str]], Awaitable[Mapping[str, T]] | Mapping[str, T]],
        ttl: TTL = None,
        *,
        default: Any = None,
        options: EntryOptions | None = None,
        force_refresh: bool = False,
        **overrides: Unpack[EntryOverrides],
    ) -> dict[str, T]:
        """Same as `get_or_set_many`, asynchronously."""
        raise NotImplementedError

    async def ais_healthy(self) -> bool:
        """Same as `is_healthy`, asynchronously."""
        raise NotImplementedError

    async def aclose(self) -> None:
        """Same as `close`, asynchronously."""
        raise NotImplementedError
