"""What an entry weighs when the user brings no weigher."""

from sys import getsizeof
from typing import cast

from jinpy_cache_memory.entry import Frozen


def weigh_stored(key: str, stored: object) -> int:
    """The bytes that a key and a stored form take in memory.

    Tuples and frozensets count with their items; of another object kept by reference only the
    object itself counts.
    """
    return getsizeof(key) + _size(stored.data if isinstance(stored, Frozen) else stored)


def _size(value: object) -> int:
    size = getsizeof(value)
    if type(value) is tuple or type(value) is frozenset:
        size += sum(map(_size, cast("tuple[object, ...]", value)))
    return size
