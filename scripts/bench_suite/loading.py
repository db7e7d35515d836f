"""`@cached` beside `functools.lru_cache`, `cachetools.cached` and cashews: what a hit costs.

The peers' values are the same small int, found by one int argument and living for an hour. Ours are
found by a key that a person can read, on a backend that could as well be a directory or a server.
"""

import asyncio
import functools
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import cachetools
import cashews

from bench_suite.measuring import Limit, Scenario, Suite, Work
from jinpy_utils.cache import CacheManager, CacheManagerConfig, MemoryCacheConfig, cached

NUMBERS = range(1000)
LIFETIME = 3600.0
CAPACITY = 100_000


def identity(number: int) -> int:
    """Return the argument."""
    return number


async def coroutine(number: int) -> int:
    """Return the argument, asynchronously."""
    return number


@contextmanager
def suite() -> Iterator[Suite]:
    """Decorate one function in every way, call it once for each number, and offer the hits."""
    config = CacheManagerConfig(
        backends=[MemoryCacheConfig(max_entries=CAPACITY)], enable_singleton=False
    )
    with CacheManager(config) as manager, asyncio.Runner() as runner:
        cache = manager.cache()
        peer = cashews.Cache()
        peer.setup(f"mem://?size={CAPACITY}")
        table: cachetools.TTLCache[object, int] = cachetools.TTLCache(CAPACITY, LIFETIME)
        functions: dict[str, Callable[[int], int]] = {
            "lru_cache": functools.lru_cache(maxsize=None)(identity),
            "cachetools": cachetools.cached(table, lock=threading.Lock())(identity),
            "cached": cached(ttl=LIFETIME, backend=cache)(identity),
        }
        peers = peer(ttl=LIFETIME)(coroutine)
        ours = cached(ttl=LIFETIME, backend=cache)(coroutine)
        hits = {name: _each(function) for name, function in functions.items()}
        awaited: dict[str, Callable[[int], Awaitable[int]]] = {"cashews": peers, "cached": ours}
        asynchronous: dict[str, Work] = {
            name: _awaiting_each(runner, function) for name, function in awaited.items()
        }
        for work in (*hits.values(), *asynchronous.values()):
            work()
        try:
            yield Suite(
                scenarios=[
                    Scenario(
                        name="a call, hit",
                        contenders=hits,
                        operations=len(NUMBERS),
                        baseline="lru_cache",
                    ),
                    Scenario(
                        name="an awaited call, hit",
                        contenders=asynchronous,
                        operations=len(NUMBERS),
                        baseline="cashews",
                    ),
                ],
                limits=[
                    Limit(
                        scenario="a call, hit",
                        contender="cached",
                        reference="lru_cache",
                        at_most=2.5,
                        besides=400.0,
                    ),
                    Limit(
                        scenario="a call, hit",
                        contender="cached",
                        reference="cachetools",
                        at_most=1.0,
                    ),
                    Limit(
                        scenario="an awaited call, hit",
                        contender="cached",
                        reference="cashews",
                        at_most=1 / 3,
                    ),
                ],
            )
        finally:
            runner.run(peer.close())


def _each(function: Callable[[int], int]) -> Work:
    def work() -> None:
        for number in NUMBERS:
            function(number)

    return work


def _awaiting_each(runner: asyncio.Runner, function: Callable[[int], Awaitable[int]]) -> Work:
    async def all_of_them() -> None:
        for number in NUMBERS:
            await function(number)

    return lambda: runner.run(all_of_them())
