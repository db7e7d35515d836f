"""Memory and core: a working cache, sync and async, that tells what to install for redis."""

import asyncio
import math
from importlib.util import find_spec

from jinpy_cache_core import MISSING, Cache, CacheConfigurationError, CacheManagerConfig
from jinpy_cache_memory import MemoryCacheConfig

for absent in ("redis", "lmdb", "jinpy_utils"):
    assert find_spec(absent) is None, absent

CacheManagerConfig(backends=[MemoryCacheConfig(name="mem", default_ttl=60)])
cache = Cache(backend="mem")
cache.set("user:1", {"name": "Ada", "tags": ("a", "b")})
assert cache.get("user:1") == {"name": "Ada", "tags": ("a", "b")}
assert 59 < cache.ttl("user:1") <= 60
cache.set("pi", 3.14, ttl=math.inf)
assert cache.ttl("pi") == math.inf
assert cache.incr("visits") == 1
assert cache.get("nothing", MISSING) is MISSING


async def use() -> None:
    await cache.aset("k", None)
    assert await cache.aget("k", MISSING) is None
    assert cache.get("k", MISSING) is None
    assert await cache.aincr("visits", 2) == 3


asyncio.run(use())
try:
    CacheManagerConfig(backends=["redis://localhost:6379/0"], enable_singleton=False)
except CacheConfigurationError as error:
    assert "pip install jinpy-cache-redis" in str(error), error
else:
    raise SystemExit("redis is not installed, but nothing was said about it")
print("memory works")
