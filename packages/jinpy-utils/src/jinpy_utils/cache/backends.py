"""The backends and their factory."""

from typing import TYPE_CHECKING

from jinpy_cache_core import (
    BaseBackend,
    CacheBackendFactory,
)
from jinpy_utils._lazy import lazily

if TYPE_CHECKING:
    from jinpy_cache_file import FileCacheBackend
    from jinpy_cache_memory import MemoryCacheBackend
    from jinpy_cache_redis import RedisCacheBackend

__all__ = [
    "BaseBackend",
    "CacheBackendFactory",
    "FileCacheBackend",
    "MemoryCacheBackend",
    "RedisCacheBackend",
]

__getattr__ = lazily(
    __name__,
    {
        "FileCacheBackend": "jinpy_cache_file",
        "MemoryCacheBackend": "jinpy_cache_memory",
        "RedisCacheBackend": "jinpy_cache_redis",
    },
)
