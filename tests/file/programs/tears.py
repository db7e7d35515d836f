"""Write, or read, values of very different sizes under one key, each whole in itself."""

import sys
import time
from hashlib import sha256
from pathlib import Path

from jinpy_cache_file import FileCacheBackend, FileCacheConfig

directory, role, seconds = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
SIZES = (1, 100, 2_000, 30_000, 40_000, 500_000, 5_000_000)
done = 0
end = time.monotonic() + seconds
with FileCacheBackend(FileCacheConfig(name="disk", directory=directory)) as cache:
    while time.monotonic() < end:
        if role == "write":
            body = bytes([done % 251]) * SIZES[done % len(SIZES)]
            cache.set("one", {"body": body, "digest": sha256(body).digest()})
        elif (value := cache.get("one")) is not None:
            assert sha256(value["body"]).digest() == value["digest"]
        done += 1
sys.stdout.write(str(done))
