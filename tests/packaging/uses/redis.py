"""Redis and core: a server that does not answer is one documented error, in time."""

import socket

from jinpy_cache_core import Cache, CacheConnectionError, CacheManager, CacheManagerConfig
from jinpy_cache_redis import RedisCacheConfig

with socket.socket() as taken:
    taken.bind(("127.0.0.1", 0))  # nobody listens on this port while we hold it
    url = f"redis://127.0.0.1:{taken.getsockname()[1]}/0"
    CacheManager(CacheManagerConfig(backends=[RedisCacheConfig(namespace="works", url=url)]))
    cache = Cache(backend="redis")
    assert cache.is_healthy() is False
    try:
        cache.get("k")
    except CacheConnectionError as error:
        assert isinstance(error, ConnectionError)
    else:
        raise SystemExit("no server listens, but get() found one")
    cache.close()
print("redis works")
