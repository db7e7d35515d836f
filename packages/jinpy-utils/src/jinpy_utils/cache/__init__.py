"""One cache API, sync and async, over memory, disk and Redis.

Importing this imports neither redis nor lmdb: a backend is loaded when one of its names is used.
"""

from typing import TYPE_CHECKING

from jinpy_cache_core import (
    MISSING,
    TTL,
    AsyncCacheClient,
    AsyncCachedFunction,
    AsyncCacheInterface,
    BaseBackend,
    BaseCacheBackendConfig,
    Cache,
    CacheBackendError,
    CacheBackendFactory,
    CacheBackendType,
    CacheClient,
    CacheClosedError,
    CacheConfigurationError,
    CacheConnectionError,
    CachedFunction,
    CacheErrorType,
    CacheEvent,
    CacheException,
    CacheInterface,
    CacheKeyError,
    CacheManager,
    CacheManagerConfig,
    CacheOperation,
    CacheReentryError,
    CacheSerializationError,
    CacheStatistics,
    CacheTimeoutError,
    CacheValueError,
    EntryOptions,
    FactoryContext,
    Secret,
    Serializer,
    cached,
    factory_context,
    get_cache,
    get_cache_manager,
    register_backend,
    register_type,
)
from jinpy_utils._lazy import lazily

if TYPE_CHECKING:
    from jinpy_cache_file import FileCacheBackend, FileCacheConfig
    from jinpy_cache_memory import MemoryCacheBackend, MemoryCacheConfig
    from jinpy_cache_redis import RedisCacheBackend, RedisCacheConfig

__all__ = [
    "MISSING",
    "TTL",
    "AsyncCacheClient",
    "AsyncCacheInterface",
    "AsyncCachedFunction",
    "BaseBackend",
    "BaseCacheBackendConfig",
    "Cache",
    "CacheBackendError",
    "CacheBackendFactory",
    "CacheBackendType",
    "CacheClient",
    "CacheClosedError",
    "CacheConfigurationError",
    "CacheConnectionError",
    "CacheErrorType",
    "CacheEvent",
    "CacheException",
    "CacheInterface",
    "CacheKeyError",
    "CacheManager",
    "CacheManagerConfig",
    "CacheOperation",
    "CacheReentryError",
    "CacheSerializationError",
    "CacheStatistics",
    "CacheTimeoutError",
    "CacheValueError",
    "CachedFunction",
    "EntryOptions",
    "FactoryContext",
    "FileCacheBackend",
    "FileCacheConfig",
    "MemoryCacheBackend",
    "MemoryCacheConfig",
    "RedisCacheBackend",
    "RedisCacheConfig",
    "Secret",
    "Serializer",
    "cached",
    "factory_context",
    "get_cache",
    "get_cache_manager",
    "register_backend",
    "register_type",
]

__getattr__ = lazily(
    __name__,
    {
        "FileCacheBackend": "jinpy_cache_file",
        "FileCacheConfig": "jinpy_cache_file",
        "MemoryCacheBackend": "jinpy_cache_memory",
        "MemoryCacheConfig": "jinpy_cache_memory",
        "RedisCacheBackend": "jinpy_cache_redis",
        "RedisCacheConfig": "jinpy_cache_redis",
    },
)
