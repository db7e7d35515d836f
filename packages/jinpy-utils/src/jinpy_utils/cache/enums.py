"""The enumerations."""

from jinpy_cache_core import (
    CacheBackendType,
    CacheErrorType,
    CacheOperation,
)

__all__ = [
    "CacheBackendType",
    "CacheErrorType",
    "CacheOperation",
]
