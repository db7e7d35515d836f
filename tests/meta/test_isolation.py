"""Tests of applications: fresh caches for each, none at all, and what is left afterwards."""

import asyncio
import os
import subprocess
import sys

import pytest

from jinpy_utils.cache import (
    Cache,
    CacheBackendFactory,
    CacheConfigurationError,
    CacheManager,
    CacheManagerConfig,
    FileCacheConfig,
    MemoryCacheConfig,
    cached,
    get_cache,
    isolated_caches,
)

cache = Cache()
named = Cache("disk")


@cached
def number() -> int:
    """Cached by the process-wide default."""
    return len(list(cache.scan("call:")))


@pytest.fixture(autouse=True)
def _own_manager():
    manager = CacheManager()
    manager.close()
    manager.configure(CacheManagerConfig())
    yield
    manager.close()


def test_what_was_bound_before_is_fresh_inside_and_as_before_after(tmp_path):
    """Module-level caches and decorated functions, by the default name and by another."""
    disk = FileCacheConfig(name="disk", directory=tmp_path / "disk", default_ttl=60)
    CacheManager(CacheManagerConfig(backends=[MemoryCacheConfig(), disk]))
    cache.set("key", "outside")
    named.set("key", "outside")
    assert 0 == number()

    with isolated_caches() as manager:
        assert manager is CacheManager()
        assert [None, None, False] == [cache.get("key"), named.get("key"), number.cache_contains()]
        cache.set("call:1", 1)
        named.set("key", "inside")
        assert 1 == number()
        assert 60 == pytest.approx(named.ttl("key"), abs=5)
        assert "inside" == get_cache("disk").get("key")
        assert "memory" == named.backend.config.backend_type
        with pytest.raises(CacheConfigurationError, match="dsk"):
            Cache("dsk").get("key")
        with isolated_caches():
            assert named.get("key") is None
        assert "inside" == named.get("key")

    assert ["outside", "outside", 0] == [cache.get("key"), named.get("key"), number()]
    assert "file" == named.backend.config.backend_type


def test_a_configuration_inside_is_undone():
    """Its backends are closed, and those of before still open."""
    cache.set("key", 1)
    with isolated_caches():
        CacheManager(CacheManagerConfig(backends=[MemoryCacheConfig(name="other")]))
        inner = Cache("other").backend
        cache.set("key", 2)
    assert 1 == cache.get("key")
    assert "closed" in repr(inner)
    with pytest.raises(CacheConfigurationError):
        Cache("other").get("key")


def test_a_failing_test_leaves_nothing():
    """The caches are back whatever is raised."""
    cache.set("key", 1)
    with pytest.raises(ZeroDivisionError), isolated_caches():
        cache.set("key", 2 // len(cache.get("key", "")))
    assert 1 == cache.get("key")


def test_each_test_with_the_fixture_has_caches_of_its_own(tmp_path):
    """The plugin of the distribution for tests; by its module's name, however it is installed."""
    (tmp_path / "test_it.py").write_text(
        "from jinpy_utils.cache import Cache\n"
        "cache = Cache()\n"
        "def test_one(isolated_caches): cache.set('key', 1); assert cache.get('key') == 1\n"
        "def test_two(isolated_caches): assert cache.get('key') is None\n"
    )
    plugin = ["-p", "jinpy_cache_testing.plugin", "-p", "no:cacheprovider"]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *plugin, tmp_path],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )
    assert "2 passed" in run.stdout, run.stdout + run.stderr


def test_a_null_cache_keeps_nothing():
    """Reads miss, functions are computed, and what is wrong is refused as everywhere."""
    with CacheBackendFactory.create("null://") as null:
        null.set("key", 1)
        assert [None, False, True, True, 2, 2] == [
            null.get("key"),
            null.exists("key"),
            null.add("key", 1),
            null.add("key", 1),
            null.incr("n", 2),
            null.incr("n", 2),
        ]
        assert [1, 2] == [null.get_or_set("key", lambda n=n: n) for n in (1, 2)]
        assert {"a": 1} == null.get_or_set_many(["a"], lambda keys: dict.fromkeys(keys, 1))
        assert 3 == asyncio.run(null.aget_or_set("key", lambda: 3))
        assert [] == list(null.scan())
        null.clear()
        assert null.is_healthy()
        with pytest.raises(CacheConfigurationError):
            CacheBackendFactory.create("null://?bogus=1")


@pytest.mark.parametrize("said", ["1", "true", "YES"])
def test_the_environment_turns_caching_off(monkeypatch, tmp_path, said):
    """Every backend that is made of a configuration keeps nothing, under its own name."""
    monkeypatch.setenv("JINPY_CACHE_DISABLED", said)
    with CacheBackendFactory.create(FileCacheConfig(name="disk", directory=tmp_path)) as backend:
        assert ["disk", "null"] == [backend.name, backend.config.backend_type]
    CacheManager(CacheManagerConfig())
    cache.set("key", 1)
    assert cache.get("key") is None


def test_a_word_that_says_neither_is_refused(monkeypatch):
    """A typing error must not turn the cache on or off in silence."""
    monkeypatch.setenv("JINPY_CACHE_DISABLED", "maybe")
    with pytest.raises(CacheConfigurationError, match="JINPY_CACHE_DISABLED='maybe'"):
        CacheBackendFactory.create("memory://")
