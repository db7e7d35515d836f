"""One cache API, sync and async, over interchangeable backends: the contract and its facades."""

from jinpy_cache_core.backend.base import BaseBackend
from jinpy_cache_core.clock import Clock
from jinpy_cache_core.config import BaseCacheBackendConfig
from jinpy_cache_core.configuration.factory import CacheBackendFactory
from jinpy_cache_core.configuration.manager import CacheManagerConfig
from jinpy_cache_core.configuration.registry import (
    backend_names,
    register_backend,
    unregister_backend,
)
from jinpy_cache_core.entries.records import UNCHANGED, Change, Decision, Record
from jinpy_cache_core.entries.ttl import TTL
from jinpy_cache_core.entries.typed_key import TypedKey
from jinpy_cache_core.enums import CacheBackendType, CacheErrorType, CacheOperation
from jinpy_cache_core.exceptions import (
    CacheBackendError,
    CacheClosedError,
    CacheConfigurationError,
    CacheConnectionError,
    CacheException,
    CacheKeyError,
    CacheReentryError,
    CacheSerializationError,
    CacheTimeoutError,
    CacheValueError,
)
from jinpy_cache_core.functions.cache_keys import CacheKey
from jinpy_cache_core.functions.cached import cached
from jinpy_cache_core.functions.signatures import AsyncCachedFunction, CachedFunction
from jinpy_cache_core.interfaces import AsyncCacheInterface, CacheInterface
from jinpy_cache_core.loading.context import FactoryContext, factory_context
from jinpy_cache_core.loading.events import CacheEvent
from jinpy_cache_core.loading.options import EntryOptions
from jinpy_cache_core.loading.statistics import CacheStatistics
from jinpy_cache_core.manager.facade import AsyncCacheClient, Cache, CacheClient
from jinpy_cache_core.manager.isolation import isolated_caches
from jinpy_cache_core.manager.manager import CacheManager, get_cache, get_cache_manager
from jinpy_cache_core.manager.typed import TypedCache
from jinpy_cache_core.secret import Secret
from jinpy_cache_core.sentinels import MISSING
from jinpy_cache_core.serializers import Serializer, register_family, register_type

__all__ = [
    "MISSING",
    "TTL",
    "UNCHANGED",
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
    "CacheKey",
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
    "Change",
    "Clock",
    "Decision",
    "EntryOptions",
    "FactoryContext",
    "Record",
    "Secret",
    "Serializer",
    "TypedCache",
    "TypedKey",
    "backend_names",
    "cached",
    "factory_context",
    "get_cache",
    "get_cache_manager",
    "isolated_caches",
    "register_backend",
    "register_family",
    "register_type",
    "unregister_backend",
]


def __getattr__(name: str) -> str:
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415 - only who asks pays for it

        return version("jinpy-cache-core")
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
