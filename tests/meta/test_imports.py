"""What importing `jinpy_utils.cache` costs, and which import paths there are."""

import importlib
import subprocess
import sys

import pytest

CONTRACT = {
    "AsyncCacheClient",
    "AsyncCacheInterface",
    "BaseBackend",
    "BaseCacheBackendConfig",
    "Cache",
    "CacheBackendError",
    "CacheBackendFactory",
    "CacheBackendType",
    "CacheClient",
    "CacheClosedError",
    "CacheConfigurationError",
    "CacheConnectionError",
    "CacheErrorType",
    "CacheException",
    "CacheInterface",
    "CacheKeyError",
    "CacheManager",
    "CacheManagerConfig",
    "CacheOperation",
    "CacheSerializationError",
    "CacheTimeoutError",
    "CacheValueError",
    "FileCacheBackend",
    "FileCacheConfig",
    "MISSING",
    "MemoryCacheBackend",
    "MemoryCacheConfig",
    "RedisCacheBackend",
    "RedisCacheConfig",
    "get_cache",
    "get_cache_manager",
}


def run(program: str) -> str:
    """Run a program in a new interpreter and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    assert "" == done.stderr
    return done.stdout.strip()


def test_importing_the_cache_loads_no_client_library() -> None:
    """`import jinpy_utils.cache` imports neither redis nor lmdb, nor any backend."""
    program = (
        "import sys, jinpy_utils.cache\n"
        "heavy = {'redis', 'lmdb', 'jinpy_cache_redis', 'jinpy_cache_file', 'jinpy_cache_memory'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    assert "[]" == run(program)


def test_a_backend_is_loaded_when_its_name_is_used() -> None:
    """Using `FileCacheBackend` imports lmdb and still not redis."""
    program = (
        "import sys\n"
        "from jinpy_utils.cache import FileCacheBackend\n"
        "print(sorted({'redis', 'lmdb'} & set(sys.modules)))"
    )
    assert "['lmdb']" == run(program)


def test_every_name_of_the_contract_is_exported() -> None:
    """Each published name can be imported, and is listed for `from ... import *`."""
    module = importlib.import_module("jinpy_utils.cache")
    assert set() == CONTRACT - set(module.__all__)
    assert [] == [name for name in module.__all__ if not hasattr(module, name)]


FOR_AUTHORS = {
    "UNCHANGED",
    "Change",
    "Clock",
    "Decision",
    "Record",
    "backend_names",
    "unregister_backend",
}
"""What only those need who write a backend; they depend on the core package itself."""


def test_everything_that_applications_use_of_the_core_is_exported() -> None:
    """Checkers need the names spelt out in both packages, so a new one must not be forgotten."""
    core = importlib.import_module("jinpy_cache_core")
    cache = importlib.import_module("jinpy_utils.cache")
    ours = {name for name in cache.__all__ if not name.startswith(("File", "Memory", "Redis"))}
    assert set(core.__all__) - FOR_AUTHORS == ours
    assert [] == [name for name in ours if getattr(cache, name) is not getattr(core, name)]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("backends", "MemoryCacheBackend"),
        ("backends", "RedisCacheBackend"),
        ("backends", "FileCacheBackend"),
        ("backends", "BaseBackend"),
        ("backends", "CacheBackendFactory"),
        ("config", "CacheManagerConfig"),
        ("config", "RedisCacheConfig"),
        ("core", "CacheManager"),
        ("core", "Cache"),
        ("enums", "CacheBackendType"),
        ("exceptions", "CacheException"),
        ("interfaces", "CacheInterface"),
    ],
)
def test_the_import_paths_of_0_2_still_work(path: str, name: str) -> None:
    """A name imported from its old module is the very object of the new one."""
    old = importlib.import_module(f"jinpy_utils.cache.{path}")
    assert getattr(importlib.import_module("jinpy_utils.cache"), name) is getattr(old, name)
    assert name in old.__all__


def test_a_name_that_is_not_exported_is_an_attribute_error() -> None:
    """A misspelt name is refused as any module refuses it."""
    module = importlib.import_module("jinpy_utils.cache")
    with pytest.raises(AttributeError, match="has no attribute 'MemoryCashBackend'"):
        _ = module.MemoryCashBackend


def test_the_package_tells_its_version() -> None:
    """`jinpy_utils.__version__` is the installed distribution's."""
    from importlib.metadata import version

    import jinpy_utils

    assert version("jinpy-utils") == jinpy_utils.__version__
