"""The synchronous operations on the backend that is named, as a manager offers them."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar, Unpack, cast, overload

from jinpy_cache_core.backend.base import BaseBackend
from jinpy_cache_core.entries.ttl import TTL
from jinpy_cache_core.entries.typed_key import TypedKey
from jinpy_cache_core.loading.context import FactoryContext
from jinpy_cache_core.loading.events import CacheEvent
from jinpy_cache_core.loading.options import EntryOptions, EntryOverrides
from jinpy_cache_core.loading.statistics import CacheStatistics

D = TypeVar("D")
E = TypeVar("E", bound=CacheEvent)
T = TypeVar("T")


class NamedOperations:
    """Each operation of a cache, with `backend=` to say of which."""

    def backend(self, name: str | None = None) -> BaseBackend:
        """The backend of that name, by default the default one."""
        raise NotImplementedError

    @overload
    def get(
        self, key: TypedKey[T], default: None = None, *, backend: str | None = None
    ) -> T | None: ...
    @overload
    def get(self, key: TypedKey[T], default: D, *, backend: str | None = None) -> T | D: ...
    @overload
    def get(
        self, key: str, default: None = None, *, type: type[T], backend: str | None = None
    ) -> T | None: ...
    @overload
    def get(self, key: str, default: D, *, type: type[T], backend: str | None = None) -> T | D: ...
    @overload
    def get(
        self, key: str, default: object = None, *, type: None = None, backend: str | None = None
    ) -> Any: ...
    def get(
        self,
        key: str | TypedKey[Any],
        default: object = None,
        *,
        type: type[Any] | None = None,
        backend: str | None = None,
    ) -> Any:
        """`BaseBackend.get` of the backend named, by default of the default one."""
        return self.backend(backend).get(cast("str", key), default, type=cast("Any", type))

    @overload
    def set(
        self, key: TypedKey[T], value: T, ttl: TTL = None, *, backend: str | None = None
    ) -> None: ...
    @overload
    def set(
        self, key: str, value: object, ttl: TTL = None, *, backend: str | None = None
    ) -> None: ...
    def set(
        self,
        key: str | TypedKey[Any],
        value: object,
        ttl: TTL = None,
        *,
        backend: str | None = None,
    ) -> None:
        """`BaseBackend.set` of the backend named, by default of the default one."""
        self.backend(backend).set(cast("str", key), value, ttl)

    @overload
    def add(
        self, key: TypedKey[T], value: T, ttl: TTL = None, *, backend: str | None = None
    ) -> bool: ...
    @overload
    def add(
        self, key: str, value: object, ttl: TTL = None, *, backend: str | None = None
    ) -> bool: ...
    def add(
        self,
        key: str | TypedKey[Any],
        value: object,
        ttl: TTL = None,
        *,
        backend: str | None = None,
    ) -> bool:
        """`BaseBackend.add` of the backend named, by default of the default one."""
        return self.backend(backend).add(cast("str", key), value, ttl)

    def delete(self, key: str | TypedKey[Any], *, backend: str | None = None) -> bool:
        """`BaseBackend.delete` of the backend named, by default of the default one."""
        return self.backend(backend).delete(key)

    def pop(self, key: str, default: object = None, *, backend: str | None = None) -> Any:
        """`BaseBackend.pop` of the backend named, by default of the default one."""
        return self.backend(backend).pop(key, default)

    def scan(self, prefix: str = "", *, backend: str | None = None) -> Iterator[str]:
        """`BaseBackend.scan` of the backend named, by default of the default one."""
        return self.backend(backend).scan(prefix)

    def exists(self, key: str | TypedKey[Any], *, backend: str | None = None) -> bool:
        """`BaseBackend.exists` of the backend named, by default of the default one."""
        return self.backend(backend).exists(key)

    def clear(self, *, backend: str | None = None) -> None:
        """`BaseBackend.clear` of the backend named, by default of the default one."""
        self.backend(backend).clear()

    @overload
    def get_many(
        self,
        keys: Iterable[str],
        default: None = None,
        *,
        type: type[T],
        backend: str | None = None,
    ) -> dict[str, T | None]: ...
    @overload
    def get_many(
        self, keys: Iterable[str], default: D, *, type: type[T], backend: str | None = None
    ) -> dict[str, T | D]: ...
    @overload
    def get_many(
        self,
        keys: Iterable[str],
        default: object = None,
        *,
        type: None = None,
        backend: str | None = None,
    ) -> dict[str, Any]: ...
    def get_many(
        self,
        keys: Iterable[str],
        default: object = None,
        *,
        type: type[Any] | None = None,
        backend: str | None = None,
    ) -> dict[str, Any]:
        """`BaseBackend.get_many` of the backend named, by default of the default one."""
        return self.backend(backend).get_many(keys, default, type=cast("Any", type))

    def set_many(
        self, items: Mapping[str, object], ttl: TTL = None, *, backend: str | None = None
    ) -> None:
        """`BaseBackend.set_many` of the backend named, by default of the default one."""
        self.backend(backend).set_many(items, ttl)

    def delete_many(self, keys: Iterable[str], *, backend: str | None = None) -> int:
        """`BaseBackend.delete_many` of the backend named, by default of the default one."""
        return self.backend(backend).delete_many(keys)

    def incr(
        self, key: str, amount: int = 1, ttl: TTL = None, *, backend: str | None = None
    ) -> int:
        """`BaseBackend.incr` of the backend named, by default of the default one."""
        return self.backend(backend).incr(key, amount, ttl)

    def decr(
        self, key: str, amount: int = 1, ttl: TTL = None, *, backend: str | None = None
    ) -> int:
        """`BaseBackend.decr` of the backend named, by default of the default one."""
        return self.backend(backend).decr(key, amount, ttl)

    def ttl(self, key: str, *, backend: str | None = None) -> float | None:
        """`BaseBackend.ttl` of the backend named, by default of the default one."""
        return self.backend(backend).ttl(key)

    def touch(self, key: str, ttl: TTL, *, backend: str | None = None) -> bool:
        """`BaseBackend.touch` of the backend named, by default of the default one."""
        return self.backend(backend).touch(key, ttl)

    def is_healthy(self, *, backend: str | None = None) -> bool:
        """`BaseBackend.is_healthy` of the backend named, by default of the default one."""
        return self.backend(backend).is_healthy()

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
        backend: str | None = None,
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
        backend: str | None = None,
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
        backend: str | None = None,
        **overrides: Unpack[EntryOverrides],
    ) -> Any:
        """`BaseBackend.get_or_set` of the backend named, by default of the default one."""
        return self.backend(backend).get_or_set(
            key,
            factory,
            ttl,
            type=type,
            options=options,
            force_refresh=force_refresh,
            **overrides,
        )

    def get_or_set_many(
        self,
        keys: Iterable[str],
        factory: Callable[[list[str]], Mapping[str, T]],
        ttl: TTL = None,
        *,
        default: Any = None,
        options: EntryOptions | None = None,
        force_refresh: bool = False,
        backend: str | None = None,
        **overrides: Unpack[EntryOverrides],
    ) -> dict[str, T]:
        """`BaseBackend.get_or_set_many` of the backend named, by default of the default one."""
        return self.backend(backend).get_or_set_many(
            keys,
            factory,
            ttl,
            default=default,
            options=options,
            force_refresh=force_refresh,
            **overrides,
        )

    def stats(self, *, backend: str | None = None) -> CacheStatistics:
        """`BaseBackend.stats` of the backend named, by default of the default one."""
        return self.backend(backend).stats()

    def on(
        self,
        event: type[E],
        listener: Callable[[E], object],
        *,
        backend: str | None = None,
    ) -> Callable[[], None]:
        """`BaseBackend.on` of the backend named, by default of the default one."""
        return self.backend(backend).on(event, listener)
