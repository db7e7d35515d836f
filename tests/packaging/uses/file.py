"""File and core: what one process stores, the next one reads."""

import subprocess
import sys
from pathlib import Path

from jinpy_cache_core import Cache, CacheManager, CacheManagerConfig
from jinpy_cache_file import FileCacheConfig

here = Path("cache").resolve()
CacheManager(CacheManagerConfig(backends=[FileCacheConfig(name="disk", directory=here)]))
cache = Cache(backend="disk")

if sys.argv[1:] == ["read"]:
    assert cache.get("report") == {"ok": True, "parts": (1, 2)}
    cache.close()
    raise SystemExit

cache.set("report", {"ok": True, "parts": (1, 2)})
assert cache.incr("runs") == 1
cache.close()
subprocess.run([sys.executable, "-I", __file__, "read"], check=True)
print("file works")
