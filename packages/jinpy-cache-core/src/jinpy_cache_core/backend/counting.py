"""Hits and misses, counted for who asks: the reads of an instance are wrapped, or untouched."""

from collections.abc import Callable, Iterable
from typing import Any

from jinpy_cache_core.sentinels import MISSING

Add = Callable[[str], None]
"""Adds one to the counter of that name."""


def counted(name: str, read: Callable[..., Any], add: Add) -> Callable[..., Any]:
    """The same operation, with its hits and misses counted.

    Args:
        name: What the operation is called; one that is no read comes back as it is.
        read: The operation, bound to its cache.
        add: Counts `"hits"` or `"misses"`.
    """
    wrap = _WRAPPERS.get(name)
    return read if wrap is None else wrap(read, add)


def _get(get: Callable[..., Any], add: Add) -> Callable[..., Any]:
    def counted_get(key: str, default: object = None, *, type: Any = None) -> Any:
        return _seen(get(key, MISSING, type=type), default, add)

    return counted_get


def _get_many(get_many: Callable[..., Any], add: Add) -> Callable[..., Any]:
    def counted_get_many(
        keys: Iterable[str], default: object = None, *, type: Any = None
    ) -> dict[str, Any]:
        typed = {} if type is None else {"type": type}
        return _seen_many(get_many(keys, MISSING, **typed), default, add)

    return counted_get_many


def _aget(aget: Callable[..., Any], add: Add) -> Callable[..., Any]:
    async def counted_aget(key: str, default: object = None, *, type: Any = None) -> Any:
        return _seen(await aget(key, MISSING, type=type), default, add)

    return counted_aget


def _aget_many(aget_many: Callable[..., Any], add: Add) -> Callable[..., Any]:
    async def counted_aget_many(
        keys: Iterable[str], default: object = None, *, type: Any = None
    ) -> dict[str, Any]:
        typed = {} if type is None else {"type": type}
        return _seen_many(await aget_many(keys, MISSING, **typed), default, add)

    return counted_aget_many


def _seen(value: object, default: object, add: Add) -> Any:
    found = value is not MISSING
    add("hits" if found else "misses")
    return value if found else default


def _seen_many(values: dict[str, Any], default: object, add: Add) -> dict[str, Any]:
    return {key: _seen(value, default, add) for key, value in values.items()}


_WRAPPERS = {
    "get": _get,
    "get_many": _get_many,
    "aget": _aget,
    "aget_many": _aget_many,
    "_look": _get,
    "_look_many": _get_many,
    "_alook": _aget,
    "_alook_many": _aget_many,
}
