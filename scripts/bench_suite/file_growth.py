"""The file backend with a thousand entries and with a million, both as full as they may be.

Nothing that it does goes over all entries: neither a write nor an eviction scans the store or lists
a directory. What is left is a tree that is two levels deeper, and memory that no processor's cache
holds.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count, islice
from pathlib import Path
from random import Random

from bench_suite.file import RECORD
from bench_suite.measuring import Limit, Scenario, Suite, Work
from jinpy_utils.cache import Cache, CacheManager, CacheManagerConfig, FileCacheConfig

SIZES = {"Cache, 1,000 entries": 1_000, "Cache, 1,000,000 entries": 1_000_000}
SMALL, LARGE = SIZES
OPERATIONS = 200
CHUNK = 1000


@contextmanager
def suite() -> Iterator[Suite]:
    """Fill both caches to the brim, offer the scenarios, and remove everything again."""
    with tempfile.TemporaryDirectory(prefix="jinpy-bench-") as folder:
        config = CacheManagerConfig(
            backends=[
                FileCacheConfig(
                    name=name,
                    directory=Path(folder, str(size)),
                    max_entries=size,
                    max_bytes=4 << 30,
                )
                for name, size in SIZES.items()
            ],
            enable_singleton=False,
        )
        with CacheManager(config) as manager:
            caches = {name: Cache(backend=name, manager=manager) for name in SIZES}
            for name, size in SIZES.items():
                for start in range(0, size, CHUNK):
                    keys = map(str, range(start, start + CHUNK))
                    caches[name].set_many(dict.fromkeys(keys, RECORD))
            yield Suite(
                scenarios=[
                    Scenario(
                        name=scenario,
                        contenders={name: make(caches[name], SIZES[name]) for name in SIZES},
                        operations=OPERATIONS,
                        baseline=SMALL,
                    )
                    for scenario, make in (
                        ("get", _reading),
                        ("set", _overwriting),
                        ("set that evicts", _inserting),
                    )
                ],
                limits=[
                    Limit(scenario=scenario, contender=LARGE, reference=SMALL, at_most=2)
                    for scenario in ("set", "set that evicts")
                ],
            )


def _reading(cache: Cache, size: int) -> Work:
    chance = Random(size)

    def work() -> None:
        for number in chance.choices(range(size), k=OPERATIONS):
            cache.get(str(number))

    return work


def _overwriting(cache: Cache, size: int) -> Work:
    chance = Random(size)

    def work() -> None:
        for number in chance.choices(range(size), k=OPERATIONS):
            cache.set(str(number), RECORD)

    return work


def _inserting(cache: Cache, size: int) -> Work:
    fresh = count(size)

    def work() -> None:
        for number in islice(fresh, OPERATIONS):
            cache.set(str(number), RECORD)

    return work
