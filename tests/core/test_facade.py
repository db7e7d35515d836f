"""What users hold: bound to their backend on first use, at no cost afterwards."""

import inspect
import pickle
from typing import Any
from unittest import mock

import pytest

from jinpy_cache_core import (
    AsyncCacheClient,
    AsyncCacheInterface,
    BaseBackend,
    Cache,
    CacheBackendFactory,
    CacheClient,
    CacheConfigurationError,
    CacheInterface,
    CacheManager,
    CacheManagerConfig,
)
from jinpy_cache_core.manager.facade import ASYNC_OPERATIONS, SYNC_OPERATIONS
from jinpy_cache_testing.diagnosis import frames_of


def test_a_bound_operation_is_the_backends_own() -> None:
    """After the first use `cache.get` is the backend's `get`: a hit costs nothing more."""
    manager = CacheManager(CacheManagerConfig(backends=["shelf://a"]))
    cache = Cache("a")
    cache.get("key")
    assert manager.backend("a").get == cache.get
    assert manager.backend("a").aset_many == cache.aset_many


def test_an_operation_taken_off_early_follows_the_cache() -> None:
    """`get = cache.get` before the first use is bound only once, and stays valid like the cache."""
    manager = CacheManager(CacheManagerConfig(backends=["shelf://a"]))
    cache = Cache("a")
    get = cache.get
    get("key")
    cache.set("key", 1)
    with mock.patch.object(manager, "backend", side_effect=AssertionError):
        assert 1 == get("key")
    assert frames_of(lambda: cache.get("key")) == frames_of(lambda: get("key"))
    CacheManager(CacheManagerConfig(backends=["shelf://a"]))
    assert None is get("key")
    assert frames_of(lambda: cache.get("key")) == frames_of(lambda: get("key"))


def test_a_cache_may_be_made_before_its_backend_is_configured() -> None:
    """A module-level cache finds the backend that the application configures later."""
    cache = Cache("late")
    with pytest.raises(CacheConfigurationError, match="'late'"):
        cache.get("key")
    CacheManager(CacheManagerConfig(backends=["shelf://late"]))
    cache.set("key", 1)
    assert cache.get("key") == 1


def test_a_cache_follows_a_new_configuration() -> None:
    """A bound cache is bound anew when the manager replaces its backend."""
    CacheManager(CacheManagerConfig(backends=["shelf://a"]))
    cache = Cache("a")
    cache.set("key", 1)
    CacheManager(CacheManagerConfig(backends=["shelf://a"]))
    assert None is cache.get("key")


def test_a_cache_can_hold_a_backend_itself() -> None:
    """A backend may be given instead of a name, and is closed with the cache."""
    backend = CacheBackendFactory.create("shelf://own")
    with Cache(backend) as cache:
        cache.set("key", None)
        assert "key" in cache
        assert backend is cache.backend
    assert backend.closed


async def test_a_cache_is_an_async_context_too() -> None:
    """`async with` closes the backend as `with` does."""
    backend = CacheBackendFactory.create("shelf://own")
    async with Cache(backend) as cache:
        await cache.aset("key", 1)
    assert backend.closed


@pytest.mark.parametrize(
    ("facade", "operations"),
    [
        (Cache, {*SYNC_OPERATIONS, *ASYNC_OPERATIONS}),
        (CacheClient, {*SYNC_OPERATIONS}),
        (AsyncCacheClient, {*ASYNC_OPERATIONS}),
    ],
)
def test_the_class_shows_the_backends_operations(facade: Any, operations: set[str]) -> None:
    """Help, autospec and inspection see the signature and the docstring of the backend's own."""
    for name in operations:
        own = getattr(BaseBackend, name)
        assert own.__doc__ == getattr(facade, name).__doc__
        assert inspect.signature(own) == inspect.signature(getattr(facade, name))
    assert callable(mock.create_autospec(facade, instance=True).__getattribute__)


def test_every_operation_of_the_interfaces_is_offered() -> None:
    """The lists of operations are those of the interfaces, each with its twin."""
    declared = {name for name in vars(CacheInterface) if not name.startswith("_")}
    twins = {name for name in vars(AsyncCacheInterface) if not name.startswith("_")}
    assert set(SYNC_OPERATIONS) == declared
    assert set(ASYNC_OPERATIONS) == twins
    assert {f"a{name}" for name in declared} == twins


def test_the_repr_names_the_backend() -> None:
    """A facade shows its name and nothing of its entries."""
    backend = CacheBackendFactory.create("shelf://own")
    assert repr(Cache(backend)) == "<Cache 'own'>"
    assert repr(CacheClient("a")) == "<CacheClient 'a'>"
    assert repr(Cache()) == "<Cache>"


def test_a_configuration_is_not_taken_for_a_backend(shelf: Any) -> None:
    """The error says how a backend is made of it."""
    with pytest.raises(CacheConfigurationError, match=r"not ShelfConfig\. CacheBackendFactory"):
        Cache(backend=shelf.config_class())


def test_a_facade_of_a_name_can_be_sent_to_another_process():
    """It is a name and nothing else; one of a backend is refused with what to send instead."""
    assert "other" == pickle.loads(pickle.dumps(Cache(backend="other")))._backend
    config = CacheManagerConfig(backends=["shelf://a"])
    with CacheManager(config) as manager, pytest.raises(TypeError, match="name of a backend"):
        pickle.dumps(Cache(backend=manager.backend()))
