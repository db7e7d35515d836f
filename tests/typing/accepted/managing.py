"""Configuration, the manager and its clients."""

from pathlib import Path
from typing import Protocol, assert_type, runtime_checkable

from jinpy_utils.cache import (
    AsyncCacheClient,
    BaseBackend,
    Cache,
    CacheBackendFactory,
    CacheClient,
    CacheConfigurationError,
    CacheConnectionError,
    CacheException,
    CacheManager,
    CacheManagerConfig,
    CacheTimeoutError,
    FileCacheConfig,
    MemoryCacheBackend,
    MemoryCacheConfig,
    RedisCacheConfig,
    get_cache,
    get_cache_manager,
)


def configure() -> CacheManager:
    """Objects and URLs, side by side."""
    config = CacheManagerConfig(
        default_backend="mem",
        backends=[
            MemoryCacheConfig(name="mem", default_ttl=60, max_entries=1000),
            FileCacheConfig(name="disk", directory=Path("cache")),
            RedisCacheConfig(name="redis", url="redis://localhost:6379/0"),
            "memory://?max_entries=1000",
        ],
    )
    return CacheManager(config)


def use(manager: CacheManager) -> None:
    """A client is bound to one backend for the length of a block."""
    with manager.using("mem") as client:
        assert_type(client, CacheClient)
        client.set("k", 1)
    assert_type(get_cache_manager(), CacheManager)
    assert_type(get_cache("mem"), Cache)
    assert_type(CacheBackendFactory.create(MemoryCacheConfig()), BaseBackend)
    with Cache(backend="mem") as cache:
        assert_type(cache, Cache)


async def use_asynchronously(manager: CacheManager) -> None:
    """So is its twin."""
    async with manager.ausing("redis") as client:
        assert_type(client, AsyncCacheClient)
        await client.aset("k", 1)
    async with Cache(backend="mem") as cache:
        assert_type(cache, Cache)


def catch(error: CacheException) -> ValueError | ConnectionError | TimeoutError | None:
    """Every error is also the closest builtin one."""
    if isinstance(error, CacheConfigurationError | CacheConnectionError | CacheTimeoutError):
        return error
    return None


@runtime_checkable
class Named(Protocol):
    """What something with a name is."""

    @property
    def name(self) -> str:
        """The name."""
        ...


class NamedMemory(MemoryCacheBackend, Named):
    """A backend has no metaclass, so it may be a protocol's class, too."""


def uses_a_backend_of_its_own() -> str:
    """A subclass is made, and used, as its parent is."""
    with NamedMemory(MemoryCacheConfig(name="mine")) as cache:
        cache.set("key", 1)
        number: int | None = cache.get("key", type=int)
        return f"{cache.name}: {number}"
