"""What an application holds: the manager of its named backends, and the facades over them."""

from jinpy_cache_core.manager.facade import AsyncCacheClient, Cache, CacheClient
from jinpy_cache_core.manager.manager import CacheManager, get_cache, get_cache_manager

__all__ = [
    "AsyncCacheClient",
    "Cache",
    "CacheClient",
    "CacheManager",
    "get_cache",
    "get_cache_manager",
]
