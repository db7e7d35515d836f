"""The exceptions."""

from jinpy_cache_core import (
    CacheBackendError,
    CacheClosedError,
    CacheConfigurationError,
    CacheConnectionError,
    CacheException,
    CacheKeyError,
    CacheSerializationError,
    CacheTimeoutError,
    CacheValueError,
)

__all__ = [
    "CacheBackendError",
    "CacheClosedError",
    "CacheConfigurationError",
    "CacheConnectionError",
    "CacheException",
    "CacheKeyError",
    "CacheSerializationError",
    "CacheTimeoutError",
    "CacheValueError",
]
