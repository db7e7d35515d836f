"""A process that shares a cache and does what it is told, line by line.

Each line read is a Python expression over `cache` and the other names here; its outcome is printed
as `repr`, or as `!Type: message` when it raises.
"""

import os  # noqa: F401 - for the lines
import resource  # noqa: F401
import sys
import time  # noqa: F401
from pathlib import Path

from jinpy_cache_file import FileCacheBackend, FileCacheConfig

settings = eval(sys.argv[2]) if len(sys.argv) > 2 else {}
config = FileCacheConfig(**{"name": "disk", "directory": Path(sys.argv[1]), **settings})
cache = FileCacheBackend(config)
sys.stdout.write("ready\n")
sys.stdout.flush()
for line in sys.stdin:
    try:
        outcome = repr(eval(line))
    except Exception as error:
        cause = type(error.__cause__).__name__
        outcome = f"!{type(error).__name__} errno={getattr(error, 'errno', None)} {cause}: {error}"
    sys.stdout.write(f"{outcome}\n")
    sys.stdout.flush()
cache.close()
