"""The memory backend beside a dict and the in-process caches of others.

The peers hand out the very object that was stored, as our `serializer=None` does; our default keeps
values by value, which costs nothing for scalars and a copy for containers. So containers are also
compared with what a careful user of a peer writes: the peer and `copy.deepcopy`.

With `--compiled` the engine is machine code, and more is promised.
"""

import asyncio
import copy
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import aiocache
import cachebox
import cachetools
import cashews
import moka_py
import theine

from bench_suite.measuring import Limit, Scenario, Suite, Work
from jinpy_cache_memory import compiled
from jinpy_utils.cache import Cache, CacheManager, CacheManagerConfig, MemoryCacheConfig

KEYS = [f"user:{number}" for number in range(10_000)]
ABSENT = [f"absent:{number}" for number in range(10_000)]
CAPACITY = 100_000
TENTH = len(KEYS) // 10
"""A capacity that makes nearly every write of `KEYS` evict something."""

LIFETIME = 3600.0
RECORD = {"name": "Ada", "roles": ["admin", "author"], "visits": 17, "active": True}
THREADS = 8
PASSES = 20
"""How often each thread goes through the keys, so that starting it does not count."""


@contextmanager
def suite() -> Iterator[Suite]:
    """Fill every cache, offer the scenarios, and close what was opened."""
    configs = [
        MemoryCacheConfig(name="by value", max_entries=CAPACITY),
        MemoryCacheConfig(name="by reference", max_entries=CAPACITY, serializer=None),
        MemoryCacheConfig(name="with lifetimes", max_entries=CAPACITY),
        MemoryCacheConfig(name="full", max_entries=TENTH),
    ]
    config = CacheManagerConfig(backends=configs, enable_singleton=False)
    with CacheManager(config) as manager, asyncio.Runner() as runner:
        by_name = {each.name: Cache(backend=each.name, manager=manager) for each in configs}
        ours = by_name["by value"]
        for cache in by_name.values():
            cache.clear()  # the first call finds the backend
        peers = cashews.Cache(), aiocache.SimpleMemoryCache()
        peers[0].setup(f"mem://?size={CAPACITY}")
        try:
            yield Suite(
                scenarios=[
                    *_scalars(ours),
                    *_lifetimes(by_name["with lifetimes"]),
                    _evicting(by_name["full"]),
                    _threads(ours),
                    *_containers(ours, by_name["by reference"]),
                    *_asynchronous(ours, peers, runner),
                ],
                limits=[*(_of_machine_code() if compiled else _of_source())],
            )
        finally:
            runner.run(peers[0].close())


def _of_source() -> Iterator[Limit]:
    yield _limit("get, hit", "dict", 6)
    for peer in ("cachetools LRU", "moka-py", "theine"):
        yield _limit("get, hit", peer, 1)
    yield _limit("aget, hit", "cashews", 0.2)


def _of_machine_code() -> Iterator[Limit]:
    yield _limit("get, hit", "dict", 2)
    yield _limit("get, hit", "cachebox LRU", 1)
    yield _limit("get with ttl, hit", "cachebox VTTL", 1.3)
    yield _limit("get, miss", "dict", 3)
    yield _limit("set with ttl", "cachebox VTTL", 1)
    yield _limit("set", "cachetools TTL", 0.5)
    for peer in ("cachetools LRU", "moka-py", "theine"):
        yield _limit("set, evicting", peer, 1)
    yield _limit("aget, hit", "cashews", 0.1)
    yield Limit(
        scenario="get by threads",
        contender=f"Cache, {THREADS} threads",
        reference="Cache, one thread",
        at_most=1 / 0.9,
    )


def _limit(scenario: str, reference: str, at_most: float) -> Limit:
    return Limit(scenario=scenario, contender="Cache", reference=reference, at_most=at_most)


def _scalars(ours: Cache) -> Iterator[Scenario]:
    """Reads and writes of an int that never expires."""
    plain = dict.fromkeys(KEYS, 1)
    tools: cachetools.LRUCache[str, int] = cachetools.LRUCache(CAPACITY)
    timed: cachetools.TTLCache[str, int] = cachetools.TTLCache(CAPACITY, LIFETIME)
    box: cachebox.LRUCache[str, int] = cachebox.LRUCache(CAPACITY)
    moka: Any = moka_py.Moka(CAPACITY)
    tea: Any = theine.Cache(CAPACITY)
    writers: dict[str, Callable[[str, int], object]] = {
        "dict": plain.__setitem__,
        "cachetools LRU": tools.__setitem__,
        "cachetools TTL": timed.__setitem__,
        "cachebox LRU": box.__setitem__,
        "moka-py": moka.set,
        "theine": tea.set,
        "backend": ours.backend.set,
        "Cache": ours.set,
    }
    for write in writers.values():
        _each(write, KEYS, 1)()
    readers: dict[str, Callable[[str], object]] = {
        "dict": plain.get,
        "cachetools LRU": tools.get,
        "cachebox LRU": box.get,
        "moka-py": moka.get,
        "theine": lambda key: tea.get(key)[0],
        "backend": ours.backend.get,
        "Cache": ours.get,
    }
    yield _reading("get, hit", readers, KEYS, expected=1)
    yield _reading("get, miss", readers, ABSENT, expected=None)
    yield _writing("set", writers, baseline="dict")


def _lifetimes(ours: Cache) -> Iterator[Scenario]:
    """Reads and writes of an int that expires some time; the dict is checked by hand."""
    deadlines: dict[str, tuple[int, float]] = {}
    tools: cachetools.TTLCache[str, int] = cachetools.TTLCache(CAPACITY, LIFETIME)
    box: cachebox.VTTLCache[str, int] = cachebox.VTTLCache(CAPACITY)
    now = time.monotonic

    def get_from_dict(key: str) -> int | None:
        value, deadline = deadlines[key]
        return value if now() < deadline else None

    def set_in_dict(key: str, value: int, ttl: float) -> None:
        deadlines[key] = (value, now() + ttl)

    works = {
        "dict and clock": _each(set_in_dict, KEYS, 1, LIFETIME),
        "cachetools TTL": _each(tools.__setitem__, KEYS, 1),
        "cachebox VTTL": _each(box.insert, KEYS, 1, LIFETIME),
        "Cache": _each(ours.set, KEYS, 1, LIFETIME),
    }
    for work in works.values():
        work()
    readers = {
        "dict and clock": get_from_dict,
        "cachetools TTL": tools.get,
        "cachebox VTTL": box.get,
        "Cache": ours.get,
    }
    yield _reading("get with ttl, hit", readers, KEYS, expected=1)
    yield Scenario(
        name="set with ttl", contenders=works, operations=len(KEYS), baseline="dict and clock"
    )


def _evicting(ours: Cache) -> Scenario:
    """Writes of ten times as many keys as there is room for."""
    writers: dict[str, Any] = {
        "cachetools LRU": cachetools.LRUCache[str, int](TENTH).__setitem__,
        "cachebox LRU": cachebox.LRUCache[str, int](TENTH).__setitem__,
        "moka-py": moka_py.Moka(TENTH).set,
        "theine": theine.Cache(TENTH).set,
        "Cache": ours.set,
    }
    return _writing("set, evicting", writers, baseline="Cache")


def _threads(ours: Cache) -> Scenario:
    """The same number of hits, by one thread or by several at once."""
    plain = dict.fromkeys(KEYS, 1)

    def by_one(share: Work) -> Work:
        def work() -> None:
            for _ in range(THREADS):
                share()

        return work

    def by_several(share: Work) -> Work:
        def work() -> None:
            threads = [threading.Thread(target=share) for _ in range(THREADS)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        return work

    works: dict[str, Work] = {}
    for name, get in (("dict", plain.get), ("Cache", ours.get)):
        share = _each(get, KEYS * PASSES)
        works[f"{name}, one thread"] = by_one(share)
        works[f"{name}, {THREADS} threads"] = by_several(share)
    operations = THREADS * PASSES * len(KEYS)
    return Scenario(
        name="get by threads", contenders=works, operations=operations, baseline="Cache, one thread"
    )


def _containers(ours: Cache, references: Cache) -> Iterator[Scenario]:
    """Reads and writes of a small dict."""
    plain: dict[str, dict[str, Any]] = {}
    tools: cachetools.LRUCache[str, dict[str, Any]] = cachetools.LRUCache(CAPACITY)
    keys = [f"record:{number}" for number in range(1000)]
    for key in keys:
        plain[key] = tools[key] = RECORD
        ours.set(key, RECORD)
        references.set(key, RECORD)

    def get_a_copy(key: str) -> dict[str, Any]:
        return copy.deepcopy(tools[key])

    def set_a_copy(key: str, value: dict[str, Any]) -> None:
        tools[key] = copy.deepcopy(value)

    readers = {
        "dict": plain.get,
        "cachetools and deepcopy": get_a_copy,
        "Cache": ours.get,
        "Cache, serializer=None": references.get,
    }
    yield _reading("get a small dict, hit", readers, keys, expected=RECORD)
    writers: dict[str, Callable[[str, dict[str, Any]], object]] = {
        "dict": plain.__setitem__,
        "cachetools and deepcopy": set_a_copy,
        "Cache": ours.set,
        "Cache, serializer=None": references.set,
    }
    works = {name: _each(write, keys, RECORD) for name, write in writers.items()}
    yield Scenario(name="set a small dict", contenders=works, operations=len(keys), baseline="dict")


def _asynchronous(
    ours: Cache, peers: tuple[cashews.Cache, aiocache.SimpleMemoryCache], runner: asyncio.Runner
) -> Iterator[Scenario]:
    """Reads and writes of an int inside a running event loop."""
    named = {"cashews": peers[0], "aiocache": peers[1]}
    setters = {name: peer.set for name, peer in named.items()} | {"Cache": ours.aset}
    getters = {name: peer.get for name, peer in named.items()} | {"Cache": ours.aget}
    writes = {name: _awaiting_each(runner, put, KEYS, 1) for name, put in setters.items()}
    reads = {name: _awaiting_each(runner, get, KEYS) for name, get in getters.items()}
    for write in writes.values():
        write()
    for get in getters.values():
        _must_be(1, runner.run(get(KEYS[0])))
    yield Scenario(name="aget, hit", contenders=reads, operations=len(KEYS), baseline="cashews")
    yield Scenario(name="aset", contenders=writes, operations=len(KEYS), baseline="cashews")


def _reading(
    name: str, readers: dict[str, Any], keys: Sequence[str], *, expected: object
) -> Scenario:
    """Compare reads, after making sure that every reader finds what it should."""
    for read in readers.values():
        _must_be(expected, read(keys[0]))
    works = {contender: _each(read, keys) for contender, read in readers.items()}
    return Scenario(name=name, contenders=works, operations=len(keys), baseline=next(iter(readers)))


def _writing(
    name: str, writers: dict[str, Callable[[str, int], object]], *, baseline: str
) -> Scenario:
    """Compare writes of `KEYS`."""
    works = {contender: _each(write, KEYS, 1) for contender, write in writers.items()}
    return Scenario(name=name, contenders=works, operations=len(KEYS), baseline=baseline)


def _each(call: Callable[..., object], keys: Sequence[str], *arguments: object) -> Work:
    """Call with every key; the loop is the same for every contender."""

    def read() -> None:
        for key in keys:
            call(key)

    def write() -> None:
        for key in keys:
            call(key, value)

    def write_for_a_time() -> None:
        for key in keys:
            call(key, value, ttl)

    if not arguments:
        return read
    value, *lifetime = arguments
    if not lifetime:
        return write
    [ttl] = lifetime
    return write_for_a_time


def _awaiting_each(
    runner: asyncio.Runner,
    call: Callable[..., Coroutine[Any, Any, object]],
    keys: Sequence[str],
    *arguments: object,
) -> Work:
    """Await with every key, one after the other, as `_each` calls."""
    if not arguments:

        async def read() -> None:
            for key in keys:
                await call(key)

        return lambda: runner.run(read())

    [value] = arguments

    async def write() -> None:
        for key in keys:
            await call(key, value)

    return lambda: runner.run(write())


def _must_be(expected: object, actual: object) -> None:
    if actual != expected:
        message = f"A contender returned {actual!r} instead of {expected!r}: nothing to measure."
        raise AssertionError(message)
