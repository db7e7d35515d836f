"""The file backend beside diskcache, Django's file backend and bare py-lmdb.

All of them hold the same ten thousand small dicts in directories of their own. Bare py-lmdb with
the same serializer is what our own backend is built of: the distance to it is what expiry,
checksums, bounds, the lock that can be given up and the types of the API cost.
"""

import multiprocessing
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import diskcache
import django
import lmdb
import ormsgpack
from django.conf import settings
from django.core.cache.backends.filebased import FileBasedCache

from bench_suite.measuring import Limit, Scenario, Suite, Work
from jinpy_utils.cache import Cache, CacheManager, CacheManagerConfig, FileCacheConfig

COUNT = 10_000
KEYS = [f"user:{number}" for number in range(COUNT)]
RECORD = {
    "id": 12345,
    "name": "Augusta Ada King",
    "email": "ada@example.org",
    "roles": ["admin", "author", "reader"],
    "score": 1.5,
    "active": True,
    "note": "x" * 30,
}
PROCESSES = 4
COUNTS = 1000
"""How often each process counts before it reports back."""


@contextmanager
def suite() -> Iterator[Suite]:
    """Fill every cache, offer the scenarios, and remove everything again."""
    if not settings.configured:
        settings.configure()
        django.setup()
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="jinpy-bench-")))
        # Before there are threads and environments here: the counting processes are forked.
        counting = {
            "diskcache": stack.enter_context(_counters(_count_with_diskcache, root / "count-disk")),
            "Cache": stack.enter_context(_counters(_count_with_ours, root / "count-ours")),
            "py-lmdb": stack.enter_context(_counters(_count_with_lmdb, root / "count-lmdb")),
        }
        config = CacheManagerConfig(
            backends=[FileCacheConfig(name="disk", directory=root / "ours")],
            enable_singleton=False,
        )
        manager = stack.enter_context(CacheManager(config))
        ours = Cache(backend="disk", manager=manager)
        disk = stack.enter_context(closing(diskcache.Cache(str(root / "disk"))))
        files = FileBasedCache(str(root / "django"), {"OPTIONS": {"MAX_ENTRIES": 2 * COUNT}})
        bare = stack.enter_context(
            lmdb.open(str(root / "lmdb"), map_size=1 << 30, sync=False, max_spare_txns=1)
        )
        for key in KEYS:
            ours.set(key, RECORD)
            disk.set(key, RECORD)
            _store(bare, key)
        for key in KEYS[:100]:
            files.set(key, RECORD)
        yield Suite(
            scenarios=list(_scenarios(ours, disk, files, bare, counting)),
            limits=[
                Limit(scenario="get", contender="Cache", reference="diskcache", at_most=0.45),
                Limit(scenario="get", contender="Cache", reference="py-lmdb", at_most=2.5),
                Limit(scenario="set", contender="Cache", reference="diskcache", at_most=0.25),
                Limit(scenario="set", contender="Cache", reference="py-lmdb", at_most=2.5),
                Limit(
                    scenario="set_many(100)",
                    contender="Cache",
                    reference="diskcache",
                    at_most=0.1,
                ),
                Limit(
                    scenario="incr by four processes",
                    contender="Cache",
                    reference="diskcache",
                    at_most=0.25,
                ),
            ],
        )


def _scenarios(
    ours: Cache,
    disk: diskcache.Cache,
    files: FileBasedCache,
    bare: lmdb.Environment,
    counting: dict[str, Work],
) -> Iterator[Scenario]:
    def load(key: str) -> Any:
        with bare.begin() as txn:
            return ormsgpack.unpackb(txn.get(key.encode()) or b"")

    some = KEYS[:100]
    readers: dict[str, Work] = {
        "diskcache": _each(disk.get, KEYS[::10]),
        "Django files": _each(files.get, some, times=10),
        "py-lmdb": _each(load, KEYS[::10]),
        "Cache": _each(ours.get, KEYS[::10]),
    }
    for read in (disk.get, files.get, load, ours.get):
        if read(some[0]) != RECORD:
            message = f"{read} did not return what was stored: nothing to measure."
            raise AssertionError(message)
    yield Scenario(name="get", contenders=readers, operations=1000, baseline="diskcache")
    writers: dict[str, Work] = {
        "diskcache": _each(lambda key: disk.set(key, RECORD), KEYS[::10]),
        "Django files": _each(lambda key: files.set(key, RECORD), some, times=10),
        "py-lmdb": _each(lambda key: _store(bare, key), KEYS[::10]),
        "Cache": _each(lambda key: ours.set(key, RECORD), KEYS[::10]),
    }
    yield Scenario(name="set", contenders=writers, operations=1000, baseline="diskcache")
    items = dict.fromkeys(some, RECORD)
    yield Scenario(
        name="set_many(100)",
        contenders={
            "diskcache": _each(lambda key: disk.set(key, RECORD), some),
            "diskcache, transact": lambda: _together(disk, items),
            "Django files": lambda: files.set_many(items),
            "Cache": lambda: ours.set_many(items),
        },
        operations=1,
        baseline="diskcache",
    )
    yield Scenario(
        name="get_many(100)",
        contenders={
            "diskcache": _each(disk.get, some),
            "Django files": lambda: files.get_many(some),
            "Cache": lambda: ours.get_many(some),
        },
        operations=1,
        baseline="diskcache",
    )
    yield Scenario(
        name="incr by four processes",
        contenders=counting,
        operations=PROCESSES * COUNTS,
        baseline="diskcache",
    )


def _store(bare: lmdb.Environment, key: str) -> None:
    with bare.begin(write=True) as txn:
        txn.put(key.encode(), ormsgpack.packb(RECORD))


def _together(disk: diskcache.Cache, items: dict[str, Any]) -> None:
    with disk.transact():
        for key, value in items.items():
            disk.set(key, value)


def _each(call: Callable[[str], object], keys: list[str], times: int = 1) -> Work:
    """Call with every key; the loop is the same for every contender."""

    def work() -> None:
        for _ in range(times):
            for key in keys:
                call(key)

    return work


@contextmanager
def _counters(serve: Callable[[str, Connection], None], directory: Path) -> Iterator[Work]:
    """Keep processes that count when they are told to, and tell them."""
    context = multiprocessing.get_context("fork")
    directory.mkdir(mode=0o700)
    with ExitStack() as stack:
        pipes: list[Connection] = []
        for _ in range(PROCESSES):
            here, there = context.Pipe()
            process = context.Process(target=serve, args=(str(directory), there), daemon=True)
            process.start()
            there.close()
            stack.callback(process.join)
            pipes.append(here)
        for pipe in pipes:
            stack.callback(pipe.close)
            stack.callback(pipe.send, 0)  # closing ends nobody: the children hold both ends

        def work() -> None:
            for pipe in pipes:
                pipe.send(COUNTS)
            for pipe in pipes:
                pipe.recv()

        work()
        yield work


def _serve(pipe: Connection, count: Callable[[], object]) -> None:
    while times := pipe.recv():
        for _ in range(times):
            count()
        pipe.send(None)


def _count_with_ours(directory: str, pipe: Connection) -> None:
    config = CacheManagerConfig(
        backends=[FileCacheConfig(name="disk", directory=Path(directory))], enable_singleton=False
    )
    with CacheManager(config) as manager:
        cache = Cache(backend="disk", manager=manager)
        _serve(pipe, lambda: cache.incr("n"))


def _count_with_diskcache(directory: str, pipe: Connection) -> None:
    with diskcache.Cache(directory) as cache:
        _serve(pipe, lambda: cache.incr("n"))


def _count_with_lmdb(directory: str, pipe: Connection) -> None:
    with lmdb.open(directory, map_size=1 << 30, sync=False, max_spare_txns=1) as bare:

        def count() -> None:
            with bare.begin(write=True) as txn:
                txn.put(b"n", b"%d" % (int(txn.get(b"n") or b"0") + 1))

        _serve(pipe, count)
