"""Everything in one install: the names of all backends, and only the used ones imported."""

import sys
from pathlib import Path

import jinpy_utils.cache
from jinpy_utils.cache import Cache, CacheManagerConfig, MemoryCacheConfig

assert not {"redis", "lmdb"} & set(sys.modules)

config = CacheManagerConfig(backends=[MemoryCacheConfig(name="mem", default_ttl=60)])
cache = Cache(backend="mem")
cache.set("a", 1)
assert cache.get("a") == 1

missing = [name for name in jinpy_utils.cache.__all__ if not hasattr(jinpy_utils.cache, name)]
assert not missing, missing
from jinpy_utils.cache import FileCacheConfig, RedisCacheConfig  # noqa: E402 - imports both

FileCacheConfig(name="disk", directory=Path("cache"))
RedisCacheConfig(name="redis", url="redis://127.0.0.1:6379/0")
print("meta works")
