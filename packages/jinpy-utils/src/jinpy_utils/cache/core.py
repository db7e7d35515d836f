"""The facades and the manager."""

from jinpy_cache_core import (
    AsyncCacheClient,
    Cache,
    CacheClient,
    CacheManager,
    get_cache,
    get_cache_manager,
)

__all__ = [
    "AsyncCacheClient",
    "Cache",
    "CacheClient",
    "CacheManager",
    "get_cache",
    "get_cache_manager",
]
