"""Fill a cache that has a larger map than others on the same directory."""

import sys
from pathlib import Path

from jinpy_cache_file import FileCacheBackend, FileCacheConfig

directory, max_bytes, count = sys.argv[1:]
config = FileCacheConfig(name="disk", directory=Path(directory), max_bytes=int(max_bytes))
with FileCacheBackend(config) as cache:
    for number in range(int(count)):
        cache.set(f"fill-{number}", b"v" * 2000)
