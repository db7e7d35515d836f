"""The asynchronous operations on the backend that is named, as a manager offers them."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Any, TypeVar, Unpack, cast, overload

from jinpy_cache_core.backend.base import BaseBackend
from jinpy_cache_core.entries.ttl import TTL
from jinpy_cache_core.entries.typed_key import TypedKey
from jinpy_cache_core.loading.context import FactoryContext
from jinpy_cache_core.loading.options import EntryOptions, EntryOverrides

D = TypeVar("D")
T = TypeVar("T")


class AsyncNamedOperations:
    """The twins of `NamedOperations`."""

    def backend(self, name: str | None = None) -> BaseBackend:
        """The backend of that name, by default the default one."""
        raise NotImplementedError

    @overload
    async def aget(
        self, key: TypedKey[T], default: None = None, *, backend: str | None = None
    ) -> T | None: ...
    @overload
    async def aget(self, key: TypedKey[T], default: D, *, backend: str | None = None) -> T | D: ...
    @overload
    async def aget(
        self, key: str, default: None = None, *, type: type[T], backend: str | None = None
    ) -> T | None: ...
    @overload
    async def aget(
        self, key: str, default: D, *, type: type[T], backend: str | None = None
    ) -> T | D: ...
    @overload
    async def aget(
        self, key: str, default: object = None, *, type: None = None, backend: str | None = None
    ) -> Any: ...
    async def aget(
        self,
        key: str | TypedKey[Any],
        default: object = None,
        *,
        type: type[Any] | None = None,
        backend: str | None = None,
    ) -> Any:
        """Same as `get`, asynchronously."""
        return await self.backend(backend).aget(cast("str", key), default, type=cast("Any", type))

    @overload
    async def aset(
        self, key: TypedKey[T], value: T, ttl: TTL = None, *, backend: str | None = None
    ) -> None: ...
    @overload
    async def aset(
        self, key: str, value: object, ttl: TTL = None, *, backend: str | None = None
    ) -> None: ...
    async def aset(
        self,
        key: str | TypedKey[Any],
        value: object,
        ttl: TTL = None,
        *,
        backend: str | None = None,
    ) -> None:
        """Same as `set`, asynchronously."""
        await self.backend(backend).aset(cast("str", key), value, ttl)

    @overload
    async def aadd(
        self, key: TypedKey[T], value: T, ttl: TTL = None, *, backend: str | None = None
    ) -> bool: ...
    @overload
    async def aadd(
        self, key: str, value: object, ttl: TTL = None, *, backend: str | None = None
    ) -> bool: ...
    async def aadd(
        self,
        key: str | TypedKey[Any],
        value: object,
        ttl: TTL = None,
        *,
        backend: str | None = None,
    ) -> bool:
        """Same as `add`, asynchronously."""
        return await self.backend(backend).aadd(cast("str", key), value, ttl)

    async def adelete(self, key: str | TypedKey[Any], *, backend: str | None = None) -> bool:
        """Same as `delete`, asynchronously."""
        return await self.backend(backend).adelete(key)

    async def apop(self, key: str, default: object = None, *, backend: str | None = None) -> Any:
        """Same as `pop`, asynchronously."""
        return await self.backend(backend).apop(key, default)

    def ascan(self, prefix: str = "", *, backend: str | None = None) -> AsyncIterator[str]:
        """Same as `scan`, asynchronously."""
        return self.backend(backend).ascan(prefix)

    async def aexists(self, key: str | TypedKey[Any], *, backend: str | None = None) -> bool:
        """Same as `exists`, asynchronously."""
        return await self.backend(backend).aexists(key)

    async def aclear(self, *, backend: str | None = None) -> None:
        """Same as `clear`, asynchronously."""
        await self.backend(backend).aclear()

    @overload
    async def aget_many(
        self,
        keys: Iterable[str],
        default: None = None,
        *,
        type: type[T],
        backend: str | None = None,
    ) -> dict[str, T | None]: ...
    @overload
    async def aget_many(
        self, keys: Iterable[str], default: D, *, type: type[T], backend: str | None = None
    ) -> dict[str, T | D]: ...
    @overload
    async def aget_many(
        self,
        keys: Iterable[str],
        default: object = None,
        *,
        type: None = None,
        backend: str | None = None,
    ) -> dict[str, Any]: ...
    async def aget_many(
        self,
        keys: Iterable[str],
        default: object = None,
        *,
        type: type[Any] | None = None,
        backend: str | None = None,
    ) -> dict[str, Any]:
        """Same as `get_many`, asynchronously."""
        return await self.backend(backend).aget_many(keys, default, type=cast("Any", type))

    async def aset_many(
        self, items: Mapping[str, object], ttl: TTL = None, *, backend: str | None = None
    ) -> None:
        """Same as `set_many`, asynchronously."""
        await self.backend(backend).aset_many(items, ttl)

    async def adelete_many(self, keys: Iterable[str], *, backend: str | None = None) -> int:
        """Same as `delete_many`, asynchronously."""
        return await self.backend(backend).adelete_many(keys)

    async def aincr(
        self, key: str, amount: int = 1, ttl: TTL = None, *, backend: str | None = None
    ) -> int:
        """Same as `incr`, asynchronously."""
        return await self.backend(backend).aincr(key, amount, ttl)

    async def adecr(
        self, key: str, amount: int = 1, ttl: TTL = None, *, backend: str | None = None
    ) -> int:
        """Same as `decr`, asynchronously."""
        return await self.backend(backend).adecr(key, amount, ttl)

    async def attl(self, key: str, *, backend: str | None = None) -> float | None:
        """Same as `ttl`, asynchronously."""
        return await self.backend(backend).attl(key)

    async def atouch(self, key: str, ttl: TTL, *, backend: str | None = None) -> bool:
        """Same as `touch`, asynchronously."""
        return await self.backend(backend).atouch(key, ttl)

    async def ais_healthy(self, *, backend: str | None = None) -> bool:
        """Same as `is_healthy`, asynchronously."""
        return await self.backend(backend).ais_healthy()

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
        backend: str | None = None,
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
        backend: str | None = None,
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
        backend: str | None = None,
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
        backend: str | None = None,
        **overrides: Unpack[EntryOverrides],
    ) -> Any:
        """Same as `get_or_set`, asynchronously."""
        return await self.backend(backend).aget_or_set(
            key,
            factory,
            ttl,
            type=type,
            options=options,
            force_refresh=force_refresh,
            **overrides,
        )

    async def aget_or_set_many(
        self,
        keys: Iterable[str],
        factory: Callable[[list[str]], Awaitable[Mapping[str, T]] | Mapping[str, T]],
        ttl: TTL = None,
        *,
        default: Any = None,
        options: EntryOptions | None = None,
        force_refresh: bool = False,
        backend: str | None = None,
        **overrides: Unpack[EntryOverrides],
    ) -> dict[str, T]:
        """Same as `get_or_set_many`, asynchronously."""
        return await self.backend(backend).aget_or_set_many(
            keys,
            factory,
            ttl,
            default=default,
            options=options,
            force_refresh=force_refresh,
            **overrides,
        )
