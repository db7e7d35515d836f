"""A misspelt or mistyped setting is seen before anything runs."""

from jinpy_utils.cache import (
    Cache,
    CacheManagerConfig,
    FileCacheBackend,
    FileCacheConfig,
    MemoryCacheBackend,
    MemoryCacheConfig,
    RedisCacheBackend,
)


def wrong_settings() -> None:
    """Settings have names and types."""
    MemoryCacheConfig("mem")  # E
    MemoryCacheConfig(nmae="mem")  # E
    MemoryCacheConfig(name=1)  # E
    MemoryCacheConfig(max_entries="many")  # E
    CacheManagerConfig(backends=[1])  # E
    CacheManagerConfig(default_backend=3)  # E
    Cache(backend=1)  # E


def wrong_backends(config: FileCacheConfig) -> None:
    """Backends are classes like any other: checkers know what they take."""
    MemoryCacheBackend(bogus=1)  # E
    FileCacheBackend(bogus=1)  # E
    RedisCacheBackend(bogus=1)  # E
    MemoryCacheBackend(config)  # E
    MemoryCacheBackend().bogus()  # E


def changed_settings(config: MemoryCacheConfig) -> None:
    """A configuration is immutable."""
    config.name = "other"  # E
