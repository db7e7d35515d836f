"""The operations of a cache, as types."""

from jinpy_cache_core import (
    AsyncCacheInterface,
    CacheInterface,
)

__all__ = [
    "AsyncCacheInterface",
    "CacheInterface",
]
