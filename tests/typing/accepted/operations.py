"""Every operation says what it returns, on the facade and on a backend alike."""

import math
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any, assert_type

from jinpy_utils.cache import (
    TTL,
    AsyncCacheInterface,
    BaseBackend,
    Cache,
    CacheInterface,
)


def synchronous(cache: Cache | BaseBackend) -> None:
    """The synchronous operations."""
    cache.set("k", object(), ttl=1)
    assert_type(cache.add("k", 1, ttl=0.5), bool)
    assert_type(cache.delete("k"), bool)
    assert_type(cache.exists("k"), bool)
    assert_type(cache.get_many(["a", "b"]), dict[str, Any])
    cache.set_many({"a": 1, "b": "x"}, ttl=timedelta(minutes=1))
    assert_type(cache.delete_many({"a", "b"}), int)
    assert_type(cache.incr("n"), int)
    assert_type(cache.decr("n", 2, ttl=math.inf), int)
    assert_type(cache.ttl("k"), float | None)
    assert_type(cache.touch("k", None), bool)
    assert_type(cache.scan("prefix"), Iterator[str])
    assert_type(cache.is_healthy(), bool)
    cache.clear()
    cache.close()


async def asynchronous(cache: Cache | BaseBackend) -> None:
    """Their twins."""
    await cache.aset("k", object(), ttl=1)
    assert_type(await cache.aadd("k", 1), bool)
    assert_type(await cache.adelete("k"), bool)
    assert_type(await cache.aget_many(("a", "b")), dict[str, Any])
    await cache.aset_many({"a": 1})
    assert_type(await cache.adelete_many(["a"]), int)
    assert_type(await cache.aincr("n"), int)
    assert_type(await cache.attl("k"), float | None)
    assert_type(cache.ascan(), AsyncIterator[str])
    await cache.aclear()
    await cache.aclose()


def store(cache: CacheInterface, ttl: TTL) -> None:
    """A function that needs a cache asks for the interface."""
    cache.set("k", 1, ttl)


async def store_asynchronously(cache: AsyncCacheInterface, ttl: TTL) -> None:
    """An asynchronous one likewise."""
    await cache.aset("k", 1, ttl)


async def hand_over(cache: Cache, backend: BaseBackend) -> None:
    """The facade and every backend are both."""
    store(cache, 1.5)
    store(backend, None)
    await store_asynchronously(cache, timedelta(seconds=1))
    await store_asynchronously(backend, math.inf)
