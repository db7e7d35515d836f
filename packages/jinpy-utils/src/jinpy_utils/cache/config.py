"""The configuration classes."""

from typing import TYPE_CHECKING

from jinpy_cache_core import (
    BaseCacheBackendConfig,
    CacheManagerConfig,
)
from jinpy_utils._lazy import lazily

if TYPE_CHECKING:
    from jinpy_cache_file import FileCacheConfig
    from jinpy_cache_memory import MemoryCacheConfig
    from jinpy_cache_redis import RedisCacheConfig

__all__ = [
    "BaseCacheBackendConfig",
    "CacheManagerConfig",
    "FileCacheConfig",
    "MemoryCacheConfig",
    "RedisCacheConfig",
]

__getattr__ = lazily(
    __name__,
    {
        "FileCacheConfig": "jinpy_cache_file",
        "MemoryCacheConfig": "jinpy_cache_memory",
        "RedisCacheConfig": "jinpy_cache_redis",
    },
)
