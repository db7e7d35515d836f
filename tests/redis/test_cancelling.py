"""A cancellation reaches its task wherever it falls, and takes with it what it interrupts."""

import asyncio
import contextlib
import random
import time

import pytest
from tests.redis.conftest import QUICK
from tests.redis.servers import until

from jinpy_cache_redis import RedisCacheBackend, RedisCacheConfig
from jinpy_cache_testing.sync_view import new_runner

LATEST = 0.05
"""Seconds in which a cancelled operation must have ended."""


async def walked(cache: RedisCacheBackend) -> list[str]:
    """Every key."""
    return [key async for key in cache.ascan()]


OPERATIONS = {
    "aget": lambda cache: cache.aget("k"),
    "aset": lambda cache: cache.aset("k", 1),
    "aadd": lambda cache: cache.aadd("new", 1),
    "adelete": lambda cache: cache.adelete("gone"),
    "apop": lambda cache: cache.apop("p"),
    "aexists": lambda cache: cache.aexists("k"),
    "attl": lambda cache: cache.attl("k"),
    "atouch": lambda cache: cache.atouch("k", 50),
    "aincr": lambda cache: cache.aincr("n", ttl=50),
    "aget_many": lambda cache: cache.aget_many(["k", "l"]),
    "aset_many": lambda cache: cache.aset_many({"k": 1, "l": 2}),
    "adelete_many": lambda cache: cache.adelete_many(["x", "y"]),
    "aclear": lambda cache: cache.aclear(),
    "ais_healthy": lambda cache: cache.ais_healthy(),
    "ascan": walked,
    "aget_or_set": lambda cache: cache.aget_or_set("f", lambda: 1, force_refresh=True),
    "aget_or_set of a miss": lambda cache: cache.aget_or_set("m", lambda: 1, ttl=0),
    "aget_or_set_many": lambda cache: cache.aget_or_set_many(
        ["f", "g"], lambda keys: dict.fromkeys(keys, 1), force_refresh=True
    ),
}


MOMENTS = ("first use", "growth of the pool", "broken link")


async def prepare(cache: RedisCacheBackend, server, moment: str) -> list[asyncio.Task[object]]:
    """Bring a backend to where an operation has to open a connection."""
    if moment == "first use":
        return []
    await cache.aget("k")
    if moment == "broken link":
        server.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        return []
    return [asyncio.create_task(cache.aget("k")) for _ in range(2)]


async def turns(number: int) -> None:
    """Let the event loop turn; what is cancelled afterwards is so at that instant."""
    for _ in range(number):
        await asyncio.sleep(0)


async def cancelled_at(cache, server, operation, moment: str, number: int) -> tuple[bool, float]:
    """Cancel an operation after so many turns: whether that was swallowed, and how long it took."""
    others = await prepare(cache, server, moment)
    task = asyncio.ensure_future(operation(cache))
    await turns(number)
    began = time.perf_counter()
    asked = task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    took = time.perf_counter() - began
    await asyncio.gather(*others)
    return asked and not task.cancelled(), took


def cancel_often(server, name: str, moment: str, instants) -> tuple[int, list[float], int]:
    """Cancel at each of the instants: how many were swallowed, the times, and how many were met."""
    swallowed, times, met = 0, [], 0

    async def main(number: int) -> None:
        nonlocal swallowed, met
        config = RedisCacheConfig(**{"url": server.url, "name": "c", "pool_size": 4, **QUICK})
        cache = RedisCacheBackend(config)
        try:
            lost, took = await cancelled_at(cache, server, OPERATIONS[name], moment, number)
            swallowed += lost
            times.append(took)
            met += 1
            assert await cache.aget("absent") is None  # no reply of another reaches this one
        finally:
            await cache.aclose()

    with new_runner() as runner:
        for number in instants:
            runner.run(main(number))
    return swallowed, times, met


def connections(server) -> int:
    """How many the server has, the one that asks left out."""
    return int(server.ask("CLIENT", "LIST").count(b"\n")) - 1


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("name", OPERATIONS)
def test_a_cancellation_at_any_instant(server, name, moment):
    """It is never swallowed, the operation ends soon, and no connection stays behind."""
    instants = [0, 1, 2, 3, 5, 8, 12, 17, 25, 40]

    swallowed, times, met = cancel_often(server, name, moment, instants)

    assert (0, len(instants)) == (swallowed, met)
    assert sorted(times)[len(times) // 2] < LATEST
    until(lambda: connections(server) == 0, "every connection is closed")


@pytest.mark.soak
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("name", OPERATIONS)
def test_a_thousand_cancellations(server, name, moment):
    """The same at a thousand random instants."""
    chance = random.Random(f"{name} {moment}")
    instants = [chance.randrange(120) for _ in range(1000)]

    swallowed, times, met = cancel_often(server, name, moment, instants)

    late = [took for took in times if took > LATEST]
    figures = f"{met} cancelled, {swallowed} swallowed, slowest {max(times):.4f} s"
    print(f"{name}, {moment}: {figures}")  # noqa: T201 - the figures are what it is run for
    assert (0, len(instants), []) == (swallowed, met, late)
    until(lambda: connections(server) == 0, "every connection is closed")


def test_a_timeout_around_the_first_use(proxy, make):
    """`asyncio.timeout` around an operation holds although a connection is being made."""
    proxy.swallow = True
    cache = make(proxy.url, connect_timeout=60.0, operation_timeout=60.0, command_timeout=60.0)

    async def main() -> None:
        async with asyncio.timeout(0.05):
            await cache.aget("k")

    with new_runner() as runner, pytest.raises(TimeoutError):
        runner.run(main())
