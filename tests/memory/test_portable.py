"""`portable=True`: what works in memory works on the shared stores, and the other way round."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from jinpy_cache_core import CacheConfigurationError, CacheSerializationError
from jinpy_cache_core.serializers import MsgpackSerializer
from jinpy_cache_memory import MemoryCacheBackend, MemoryCacheConfig
from jinpy_cache_testing.samples import PLAIN, RICH, TRICKY, same


@attrs.frozen
class User:
    """A class that is not registered."""

    name: str


def outcome(act: Callable[[], Any]) -> Any:
    """What a call returned, or the words it was refused with."""
    try:
        return act()
    except CacheSerializationError as error:
        return str(error).partition(" [operation")[0]


@pytest.fixture
def cache() -> MemoryCacheBackend:
    """A cache that stands in for a shared one."""
    return MemoryCacheBackend(MemoryCacheConfig(portable=True))


def test_it_takes_and_refuses_what_shared_stores_do(cache: MemoryCacheBackend) -> None:
    """With the same words, at writing and at reading."""
    serializer = MsgpackSerializer()
    values = {**PLAIN, **RICH, **TRICKY, "user": User("a"), "nested": [{"lock": threading.Lock()}]}
    for name, value in values.items():
        if type(value) is int:
            continue  # counters are text on every store

        def on_shared(value: object = value) -> object:
            return serializer.loads(serializer.dumps(value))

        def here(value: object = value) -> object:
            cache.set("key", value)
            return cache.get("key")

        assert same(outcome(on_shared), outcome(here)), name


def test_instances_come_back_as_there(cache: MemoryCacheBackend) -> None:
    """With `type=`, and not without."""
    cache.set("key", User("a"))
    assert User("a") == cache.get("key", type=User)
    with pytest.raises(CacheSerializationError, match="no class of that name"):
        cache.get("key")


def test_a_serializer_of_this_store_alone_is_a_contradiction(tmp_path: Path) -> None:
    """References and unsigned pickles exist nowhere else."""
    with pytest.raises(CacheConfigurationError, match="serializer=None"):
        MemoryCacheConfig(portable=True, serializer=None)
    with pytest.raises(CacheConfigurationError, match="secret"):
        MemoryCacheConfig(portable=True, serializer="pickle")
    assert "json" == MemoryCacheConfig(portable=True, serializer="json").serializer


def test_the_place_of_what_cannot_be_stored_is_named() -> None:
    """Without `portable` too, where values are pickled."""
    cache = MemoryCacheBackend(MemoryCacheConfig())
    with pytest.raises(CacheSerializationError, match=r"_thread\.lock at \$\.users\[1\]\.conn\. "):
        cache.set("key", {"users": [1, {"conn": threading.Lock()}]})
