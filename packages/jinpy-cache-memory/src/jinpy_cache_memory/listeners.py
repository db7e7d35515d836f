"""Why a value left the cache, as an eviction listener is told."""

from collections.abc import Callable
from enum import StrEnum
from typing import Any, TypeAlias


class EvictionCause(StrEnum):
    """Why a value left the cache."""

    REPLACED = "replaced"
    """Another value was stored under its key."""

    DELETED = "deleted"
    """It was deleted, popped or cleared, or the cache was closed."""

    EXPIRED = "expired"
    """Its deadline had passed."""

    SIZE = "size"
    """The cache was full."""


EvictionListener: TypeAlias = Callable[[str, Any, EvictionCause], object]
"""Called with the key, the value and the cause, after the operation that dropped the value."""

Weigher: TypeAlias = Callable[[str, Any], int]
"""Tells how many bytes a value counts for, given its key and the value."""
