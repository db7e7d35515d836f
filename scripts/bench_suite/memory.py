"""The memory backend beside a dict, cachetools, cachebox and cashews.

The peers hand out the very object that was stored, as our `serializer=None` does; our default keeps
values by value, which costs nothing for scalars and a copy for containers. So containers are also
compared with what a careful user of a peer writes: the peer and `copy.deepcopy`.
"""

import asyncio
import copy
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import cachebox
import cachetools
import cashews

from bench_suite.measuring import Limit, Scenario, Suite, Work
from jinpy_utils.cache import Cache, CacheManager, CacheManagerConfig, MemoryCacheConfig

KEYS = [f"user:{number}" for number in range(1000)]
ABSENT = [f"absent:{number}" for number in range(1000)]
CAPACITY = 100_000
LIFETIME = 3600.0
RECORD = {"name": "Ada", "roles": ["admin", "author"], "visits": 17, "active": True}


@contextmanager
def suite() -> Iterator[Suite]:
    """Fill every cache, offer the scenarios, and close what was opened."""
    configs = [
        MemoryCacheConfig(name="by value", max_entries=CAPACITY),
        MemoryCacheConfig(name="by reference", max_entries=CAPACITY, serializer=None),
    ]
    config = CacheManagerConfig(backends=configs, enable_singleton=False)
    with CacheManager(config) as manager, asyncio.Runner() as runner:
        ours = Cache(backend="by value", manager=manager)
        references = Cache(backend="by reference", manager=manager)
        peer = cashews.Cache()
        peer.setup(f"mem://?size={CAPACITY}")
        try:
            yield Suite(
                scenarios=[
                    *_scalars(ours),
                    *_lifetimes(ours),
                    *_containers(ours, references),
                    *_asynchronous(ours, peer, runner),
                ],
                limits=[
                    Limit(scenario="get, hit", contender="Cache", reference="dict", at_most=8),
                    Limit(
                        scenario="aget, hit", contender="Cache", reference="cashews", at_most=0.2
                    ),
                ],
            )
        finally:
            runner.run(peer.close())


def _scalars(ours: Cache) -> Iterator[Scenario]:
    """Reads and writes of an int that never expires."""
    plain = dict.fromkeys(KEYS, 1)
    tools: cachetools.LRUCache[str, int] = cachetools.LRUCache(CAPACITY)
    box: cachebox.LRUCache[str, int] = cachebox.LRUCache(CAPACITY)
    for key in KEYS:
        tools[key] = box[key] = 1
        ours.set(key, 1)
    readers = {
        "dict": plain.get,
        "cachetools LRU": tools.get,
        "cachebox LRU": box.get,
        "backend": ours.backend.get,
        "Cache": ours.get,
    }
    yield _reading("get, hit", readers, KEYS, expected=1)
    yield _reading("get, miss", readers, ABSENT, expected=None)
    writers: dict[str, Callable[[str, int], object]] = {
        "dict": plain.__setitem__,
        "cachetools LRU": tools.__setitem__,
        "cachebox LRU": box.__setitem__,
        "backend": ours.backend.set,
        "Cache": ours.set,
    }
    works = {name: _each(write, KEYS, 1) for name, write in writers.items()}
    yield Scenario(name="set", contenders=works, operations=len(KEYS), baseline="dict")


def _lifetimes(ours: Cache) -> Iterator[Scenario]:
    """Reads and writes of an int that expires some time; the dict is checked by hand."""
    deadlines: dict[str, tuple[int, float]] = {}
    tools: cachetools.TTLCache[str, int] = cachetools.TTLCache(CAPACITY, LIFETIME)
    box: cachebox.TTLCache[str, int] = cachebox.TTLCache(CAPACITY, LIFETIME)
    now = time.monotonic
    for key in KEYS:
        deadlines[key] = (1, now() + LIFETIME)
        tools[key] = box[key] = 1
        ours.set(key, 1, ttl=LIFETIME)

    def get_from_dict(key: str) -> int | None:
        value, deadline = deadlines[key]
        return value if now() < deadline else None

    def set_in_dict(key: str, value: int) -> None:
        deadlines[key] = (value, now() + LIFETIME)

    def set_in_ours(key: str, value: int) -> None:
        store(key, value, ttl=LIFETIME)

    store = ours.set
    readers = {
        "dict and clock": get_from_dict,
        "cachetools TTL": tools.get,
        "cachebox TTL": box.get,
        "Cache": ours.get,
    }
    yield _reading("get with ttl, hit", readers, KEYS, expected=1)
    writers = {
        "dict and clock": set_in_dict,
        "cachetools TTL": tools.__setitem__,
        "cachebox TTL": box.__setitem__,
        "Cache": set_in_ours,
    }
    works = {name: _each(write, KEYS, 1) for name, write in writers.items()}
    yield Scenario(
        name="set with ttl", contenders=works, operations=len(KEYS), baseline="dict and clock"
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


def _asynchronous(ours: Cache, peer: cashews.Cache, runner: asyncio.Runner) -> Iterator[Scenario]:
    """Reads and writes of an int inside a running event loop."""
    keys = KEYS * 10  # so that entering the event loop does not count
    writes = {
        "cashews": _awaiting_each(runner, peer.set, keys, 1),
        "Cache": _awaiting_each(runner, ours.aset, keys, 1),
    }
    reads = {
        "cashews": _awaiting_each(runner, peer.get, keys),
        "Cache": _awaiting_each(runner, ours.aget, keys),
    }
    for write in writes.values():
        write()
    for get in (peer.get, ours.aget):
        _must_be(1, runner.run(get(KEYS[0])))
    yield Scenario(name="aget, hit", contenders=reads, operations=len(keys), baseline="cashews")
    yield Scenario(name="aset", contenders=writes, operations=len(keys), baseline="cashews")


def _reading(
    name: str, readers: dict[str, Any], keys: Sequence[str], *, expected: object
) -> Scenario:
    """Compare reads, after making sure that every reader finds what it should."""
    for read in readers.values():
        _must_be(expected, read(keys[0]))
    works = {contender: _each(read, keys) for contender, read in readers.items()}
    return Scenario(name=name, contenders=works, operations=len(keys), baseline=next(iter(readers)))


def _each(call: Callable[..., object], keys: Sequence[str], *arguments: object) -> Work:
    """Call with every key; the loop is the same for every contender."""
    if not arguments:

        def read() -> None:
            for key in keys:
                call(key)

        return read

    [value] = arguments

    def write() -> None:
        for key in keys:
            call(key, value)

    return write


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
