"""Count up a number of times over some keys."""

import sys
from pathlib import Path

from jinpy_cache_file import FileCacheBackend, FileCacheConfig

directory, times, keys = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
with FileCacheBackend(FileCacheConfig(name="disk", directory=directory)) as cache:
    for number in range(times):
        cache.incr(f"n{number % keys}")
