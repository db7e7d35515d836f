"""Which values take so long to encode or decode that an event loop should not do it."""

from collections.abc import Collection, Sized
from typing import Any, Final, cast

HEAVY_BYTES: Final = 512 * 1024
"""Encoded bytes, or characters, above which the work goes to a worker thread."""

HEAVY_ITEMS: Final = 5_000
"""Elements, within all levels that are looked at, above which it does."""

HEAVY_BATCH: Final = 1_000
"""Keys of one operation above which the work goes to a worker thread."""

_LOOKS: Final = 256
"""How many containers are looked into at most: looking must cost less than encoding."""

_CONTAINERS: Final = (list, tuple, dict, set, frozenset)


def is_heavy(value: object) -> bool:
    """Whether encoding a value may take milliseconds, as far as a quick look can tell."""
    kind = type(value)
    if kind is int or kind is float or value is None:
        return False
    if kind is str or kind is bytes or kind is bytearray:
        return len(cast("Collection[object]", value)) > HEAVY_BYTES
    if kind not in _CONTAINERS:
        fields = getattr(value, "__dict__", None)
        return bool(fields) and is_heavy(fields)
    container: Any = value
    return _holds_much(container)


def is_long(keys: object) -> bool:
    """Whether a batch is so long that working on it takes milliseconds."""
    return isinstance(keys, Sized) and len(keys) > HEAVY_BATCH


def _holds_much(container: Collection[Any]) -> bool:
    items = size = 0
    todo: list[Collection[Any]] = [container]
    for _ in range(_LOOKS):
        if not todo:
            return False
        one = todo.pop()
        items += len(one)
        if items > HEAVY_ITEMS:
            return True
        inner: Any = one
        if isinstance(one, dict):
            inner = inner.values()
        for item in cast("Collection[object]", inner):
            if isinstance(item, (str, bytes)):
                size += len(item)
                if size > HEAVY_BYTES:
                    return True
            elif isinstance(item, _CONTAINERS):
                todo.append(cast("Collection[Any]", item))
    return True
