"""Redis and Valkey behind the one cache API: standalone, Sentinel, Cluster; sync and async."""

from jinpy_cache_redis.backend import RedisCacheBackend
from jinpy_cache_redis.config import RedisCacheConfig

__all__ = ["RedisCacheBackend", "RedisCacheConfig"]


def __getattr__(name: str) -> str:
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415 - only who asks pays for it

        return version("jinpy-cache-redis")
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
