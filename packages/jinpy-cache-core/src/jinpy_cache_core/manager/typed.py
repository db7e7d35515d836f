"""`TypedCache`: the part of a cache whose keys begin alike and whose values are of one type."""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar, Unpack, overload

from jinpy_cache_core.entries.keys import check_key, check_keys, check_prefix
from jinpy_cache_core.entries.ttl import TTL
from jinpy_cache_core.loading.options import EntryOverrides

D = TypeVar("D")
T = TypeVar("T")


class TypedCache(Generic[T]):
    """A view of a cache: every key gets a prefix, every value is read as one type.

    It keeps nothing itself. The asynchronous methods need a cache that has them.

    Args:
        cache: A `Cache`, a client or a backend.
        kind: The type; nothing is coerced.
        prefix: What stands before every key.
        ttl: How long a value lives where a call does not say.
    """

    def __init__(self, cache: Any, kind: Any, *, prefix: str = "", ttl: TTL = None) -> None:
        self._cache = cache
        self._kind = kind
        self._prefix = check_prefix(prefix)
        self._ttl = ttl

    def key(self, name: str) -> str:
        """The key of the cache for a name of this view."""
        return self._prefix + check_key(name)

    def _lifetime(self, ttl: TTL) -> TTL:
        return self._ttl if ttl is None else ttl

    def _named(self, names: Iterable[str]) -> dict[str, str]:
        return {self._prefix + name: name for name in check_keys(names)}

    def _keyed(self, items: Mapping[str, T]) -> dict[str, object]:
        return {self.key(name): value for name, value in items.items()}

    @overload
    def get(self, name: str, default: None = None) -> T | None: ...
    @overload
    def get(self, name: str, default: D) -> T | D: ...
    def get(self, name: str, default: object = None) -> Any:
        """The value, or `default` for a miss."""
        return self._cache.get(self.key(name), default, type=self._kind)

    def set(self, name: str, value: T, ttl: TTL = None) -> None:
        """Store a value."""
        self._cache.set(self.key(name), value, self._lifetime(ttl))

    def add(self, name: str, value: T, ttl: TTL = None) -> bool:
        """Store a value only if there is none."""
        added: bool = self._cache.add(self.key(name), value, self._lifetime(ttl))
        return added

    def delete(self, name: str) -> bool:
        """Remove an entry; whether there was one."""
        removed: bool = self._cache.delete(self.key(name))
        return removed

    def exists(self, name: str) -> bool:
        """Whether there is a live entry."""
        found: bool = self._cache.exists(self.key(name))
        return found

    def scan(self, prefix: str = "") -> Iterator[str]:
        """The names of this view that begin with a prefix."""
        start = len(self._prefix)
        for key in self._cache.scan(self._prefix + check_prefix(prefix)):
            if len(key) > start:
                yield key[start:]

    @overload
    def get_many(self, names: Iterable[str], default: None = None) -> dict[str, T | None]: ...
    @overload
    def get_many(self, names: Iterable[str], default: D) -> dict[str, T | D]: ...
    def get_many(self, names: Iterable[str], default: object = None) -> dict[str, Any]:
        """Every name with its value, or with `default` for a miss."""
        named = self._named(names)
        found = self._cache.get_many(named, default, type=self._kind)
        return {named[key]: value for key, value in found.items()}

    def set_many(self, items: Mapping[str, T], ttl: TTL = None) -> None:
        """Store several values."""
        self._cache.set_many(self._keyed(items), self._lifetime(ttl))

    def delete_many(self, names: Iterable[str]) -> int:
        """Remove several entries; how many there were."""
        removed: int = self._cache.delete_many(self._named(names))
        return removed

    def get_or_set(
        self,
        name: str,
        factory: Callable[[], T],
        ttl: TTL = None,
        **overrides: Unpack[EntryOverrides],
    ) -> T:
        """The value, computed if it is missing."""
        value: T = self._cache.get_or_set(
            self.key(name), factory, self._lifetime(ttl), type=self._kind, **overrides
        )
        return value

    @overload
    async def aget(self, name: str, default: None = None) -> T | None: ...
    @overload
    async def aget(self, name: str, default: D) -> T | D: ...
    async def aget(self, name: str, default: object = None) -> Any:
        """Same as `get`, asynchronously."""
        return await self._cache.aget(self.key(name), default, type=self._kind)

    async def aset(self, name: str, value: T, ttl: TTL = None) -> None:
        """Same as `set`, asynchronously."""
        await self._cache.aset(self.key(name), value, self._lifetime(ttl))

    async def aadd(self, name: str, value: T, ttl: TTL = None) -> bool:
        """Same as `add`, asynchronously."""
        added: bool = await self._cache.aadd(self.key(name), value, self._lifetime(ttl))
        return added

    async def adelete(self, name: str) -> bool:
        """Same as `delete`, asynchronously."""
        removed: bool = await self._cache.adelete(self.key(name))
        return removed

    async def aexists(self, name: str) -> bool:
        """Same as `exists`, asynchronously."""
        found: bool = await self._cache.aexists(self.key(name))
        return found

    @overload
    async def aget_many(
        self, names: Iterable[str], default: None = None
    ) -> dict[str, T | None]: ...
    @overload
    async def aget_many(self, names: Iterable[str], default: D) -> dict[str, T | D]: ...
    async def aget_many(self, names: Iterable[str], default: object = None) -> dict[str, Any]:
        """Same as `get_many`, asynchronously."""
        named = self._named(names)
        found = await self._cache.aget_many(named, default, type=self._kind)
        return {named[key]: value for key, value in found.items()}

    async def aset_many(self, items: Mapping[str, T], ttl: TTL = None) -> None:
        """Same as `set_many`, asynchronously."""
        await self._cache.aset_many(self._keyed(items), self._lifetime(ttl))

    async def adelete_many(self, names: Iterable[str]) -> int:
        """Same as `delete_many`, asynchronously."""
        removed: int = await self._cache.adelete_many(self._named(names))
        return removed

    async def aget_or_set(
        self,
        name: str,
        factory: Callable[[], Awaitable[T] | T],
        ttl: TTL = None,
        **overrides: Unpack[EntryOverrides],
    ) -> T:
        """Same as `get_or_set`, asynchronously."""
        value: T = await self._cache.aget_or_set(
            self.key(name), factory, self._lifetime(ttl), type=self._kind, **overrides
        )
        return value

    def __repr__(self) -> str:
        return f"<TypedCache {self._prefix!r} of {self._cache!r}>"
