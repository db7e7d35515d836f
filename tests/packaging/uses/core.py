"""Core alone: the contract works with a backend of the user's own, and names what is missing."""

from importlib.util import find_spec

from jinpy_cache_core import (
    CacheConfigurationError,
    CacheKeyError,
    CacheManager,
    CacheManagerConfig,
    backend_names,
)

assert backend_names() == ["null"]
for absent in ("redis", "lmdb", "jinpy_utils", "jinpy_cache_memory", "hypothesis", "pytest"):
    assert find_spec(absent) is None, absent

for name in ("memory", "file", "redis"):
    try:
        config = CacheManagerConfig(backends=[f"{name}://localhost/x"], enable_singleton=False)
        CacheManager(config)
    except CacheConfigurationError as error:
        assert f"pip install jinpy-cache-{name}" in str(error), error
    else:
        raise SystemExit(f"{name} is not installed, but nothing was said about it")

assert issubclass(CacheKeyError, ValueError)
print("core works")
