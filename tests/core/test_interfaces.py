"""The interfaces say the same as the backend and its facades, for both kinds of callers."""

import inspect
from typing import Any

import pytest

from jinpy_cache_core import (
    AsyncCacheClient,
    AsyncCacheInterface,
    BaseBackend,
    Cache,
    CacheClient,
    CacheInterface,
)

SYNC = sorted(name for name in vars(CacheInterface) if not name.startswith("_"))
ASYNC = sorted(name for name in vars(AsyncCacheInterface) if not name.startswith("_"))


def parameters(function: Any) -> dict[str, tuple[Any, Any]]:
    """Kind and default of each parameter by name."""
    return {
        name: (parameter.kind, parameter.default)
        for name, parameter in inspect.signature(function).parameters.items()
    }


def test_every_operation_has_a_twin():
    """The asynchronous names are the synchronous ones behind an `a`."""
    assert sorted(f"a{name}" for name in SYNC) == ASYNC


@pytest.mark.parametrize("name", SYNC)
def test_twins_take_the_same(name: str):
    """Same parameters, same kinds, same defaults."""
    sync, twin = getattr(BaseBackend, name), getattr(BaseBackend, f"a{name}")

    assert parameters(sync) == parameters(twin)


@pytest.mark.parametrize("name", SYNC)
def test_the_backend_takes_what_the_interface_says(name: str):
    """A function that asks for the interface can call the backend, in both halves."""
    sync, twin = getattr(CacheInterface, name), getattr(AsyncCacheInterface, f"a{name}")

    assert parameters(sync) == parameters(getattr(BaseBackend, name))
    assert parameters(twin) == parameters(getattr(BaseBackend, f"a{name}"))


@pytest.mark.parametrize("name", ASYNC)
def test_a_twin_is_awaited_or_iterated(name: str):
    """Coroutine functions everywhere, but `ascan` is iterated."""
    twin = getattr(BaseBackend, name)

    if name == "ascan":
        assert inspect.isasyncgenfunction(twin)
    else:
        assert inspect.iscoroutinefunction(twin)


@pytest.mark.parametrize("name", SYNC)
def test_every_operation_is_documented(name: str):
    """A sentence on the operation; the twin refers to it."""
    assert inspect.getdoc(getattr(BaseBackend, name))
    assert f"Same as `{name}`" in (inspect.getdoc(getattr(BaseBackend, f"a{name}")) or "")


def test_each_facade_offers_its_half():
    """`Cache` has both, the clients one each."""
    assert issubclass(Cache, CacheInterface)
    assert issubclass(Cache, AsyncCacheInterface)
    assert issubclass(CacheClient, CacheInterface)
    assert not issubclass(CacheClient, AsyncCacheInterface)
    assert issubclass(AsyncCacheClient, AsyncCacheInterface)
    assert not issubclass(AsyncCacheClient, CacheInterface)
    assert issubclass(BaseBackend, (CacheInterface, AsyncCacheInterface))
