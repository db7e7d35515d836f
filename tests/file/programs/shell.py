"""A process that shares a cache and does what it is told, line by line.

Each line read is a Python expression over `cache` and the other names here; its outcome is printed
as `repr`, or as `!Type: message` when it raises. With the setting `user` it becomes that user
first; not sooner, as another user may be unable to read the interpreter.
"""

import os
import resource  # noqa: F401
import sys
import time  # noqa: F401
from pathlib import Path

from jinpy_cache_file import FileCacheBackend, FileCacheConfig
from jinpy_cache_testing.diagnosis import shown  # noqa: F401

settings = eval(sys.argv[2]) if len(sys.argv) > 2 else {}
user = settings.pop("user", None)
if user is not None:
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
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
