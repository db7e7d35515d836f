"""Read one key and write another, as a process that shares a small cache."""

import sys
from pathlib import Path

from jinpy_cache_file import FileCacheBackend, FileCacheConfig

directory, used, written = sys.argv[1:]
config = FileCacheConfig(name="disk", directory=Path(directory), max_entries=8)
with FileCacheBackend(config) as cache:
    cache.get(used)
    cache.set(written, "written")
