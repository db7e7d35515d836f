"""The Redis backend beside bare redis-py and those who build on it, over one local server.

The bare client sends the same commands and uses the same serializer, so it is what a cache on top
of it could be at best. The others are used as they come, with their own serializers.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import aiocache
import cashews
import django.conf
import dogpile.cache
import redis
import redis.asyncio
from aiocache.serializers import PickleSerializer
from django.core.cache.backends.redis import RedisCache as DjangoRedisCache
from ormsgpack import packb, unpackb

from bench_suite.measuring import Limit, Scenario, Suite, Work
from bench_suite.redis_server import throw_away_server
from jinpy_utils.cache import RedisCacheBackend, RedisCacheConfig

RECORD = {"name": "Ada", "roles": ["admin", "author"], "visits": 17, "active": True}
MANY = {f"record:{number}": RECORD for number in range(100)}
KEYS = list(MANY)
LIFETIME = 3600
TOGETHER = 64
"""How many tasks read at once."""

BARE = "redis-py"
OURS = "backend"


@contextmanager
def suite() -> Iterator[Suite]:
    """Start a server, connect everyone, offer the scenarios, and close what was opened."""
    if not django.conf.settings.configured:
        django.conf.settings.configure()
    with throw_away_server() as port, asyncio.Runner() as runner:
        url = f"redis://127.0.0.1:{port}/0"
        ours = RedisCacheBackend(RedisCacheConfig(name="bench", url=url))
        bare = redis.Redis(port=port, protocol=2)
        bare_async = redis.asyncio.Redis(port=port, protocol=2)
        djangos = DjangoRedisCache(url, {})
        aios = aiocache.RedisCache(endpoint="127.0.0.1", port=port, serializer=PickleSerializer())
        cash = cashews.Cache()
        cash.setup(url, client_side=False)
        dogs = dogpile.cache.make_region().configure("dogpile.cache.redis", arguments={"url": url})
        ours.set_many(MANY)
        try:
            yield Suite(
                scenarios=[
                    *_synchronous(ours, bare, djangos, dogs),
                    *_many(ours, bare),
                    *_asynchronous(ours, bare_async, djangos, aios, cash, runner),
                ],
                limits=[
                    _limit("get", 1.10),
                    _limit("set", 1.10),
                    _limit("get_many(100)", 1.15),
                    _limit("set_many(100)", 1.05),
                    _limit("aget", 1.10),
                    _limit("aset", 1.10),
                    _limit("64 x aget", 1.10),
                    _limit("get", 1 / 1.2, "Django"),
                    _limit("aget", 1 / 1.2, "aiocache"),
                    _limit("aget", 1 / 1.2, "cashews"),
                ],
            )
        finally:
            runner.run(_close(ours, bare_async, aios, cash))
            djangos.close()
            bare.close()


def _limit(scenario: str, at_most: float, reference: str = BARE) -> Limit:
    return Limit(scenario=scenario, contender=OURS, reference=reference, at_most=at_most)


async def _close(
    ours: RedisCacheBackend, bare: "redis.asyncio.Redis", aios: Any, cash: cashews.Cache
) -> None:
    await ours.aclose()
    await bare.aclose()
    await aios.close()
    await cash.close()


def _synchronous(
    ours: RedisCacheBackend, bare: "redis.Redis", djangos: DjangoRedisCache, dogs: Any
) -> Iterator[Scenario]:
    """One small dict, read and written."""
    yield _scenario(
        "set",
        {
            BARE: lambda: bare.set("bench:k", packb(RECORD), px=LIFETIME * 1000),
            OURS: lambda: ours.set("k", RECORD, LIFETIME),
            "Django": lambda: djangos.set("k", RECORD, LIFETIME),
            "dogpile": lambda: dogs.set("dogpile:k", RECORD),
        },
    )
    yield _scenario(
        "get",
        {
            BARE: lambda: _unpacked(bare.get("bench:k")),
            OURS: lambda: ours.get("k"),
            "Django": lambda: djangos.get("k"),
            "dogpile": lambda: dogs.get("dogpile:k"),
        },
        expected=RECORD,
    )
    yield _scenario("incr", {BARE: lambda: bare.incrby("bench:n", 1), OURS: lambda: ours.incr("n")})


def _many(ours: RedisCacheBackend, bare: "redis.Redis") -> Iterator[Scenario]:
    """A hundred of them at once."""
    stored = [f"bench:{key}" for key in KEYS]

    def set_bare() -> None:
        with bare.pipeline(transaction=False) as pipeline:
            for key, value in zip(stored, MANY.values(), strict=True):
                pipeline.set(key, packb(value), px=LIFETIME * 1000)
            pipeline.execute()

    def get_bare() -> dict[str, Any]:
        payloads: Any = bare.mget([f"bench:{key}" for key in KEYS])
        return dict(zip(KEYS, map(_unpacked, payloads), strict=True))

    yield _scenario("set_many(100)", {BARE: set_bare, OURS: lambda: ours.set_many(MANY, LIFETIME)})
    yield _scenario(
        "get_many(100)", {BARE: get_bare, OURS: lambda: ours.get_many(KEYS)}, expected=MANY
    )


def _asynchronous(
    ours: RedisCacheBackend,
    bare: "redis.asyncio.Redis",
    djangos: DjangoRedisCache,
    aios: Any,
    cash: cashews.Cache,
    runner: asyncio.Runner,
) -> Iterator[Scenario]:
    """The same inside a running event loop, alone and many at once."""

    async def get_bare() -> Any:
        return _unpacked(await bare.get("bench:k"))

    async def set_bare() -> Any:
        return await bare.set("bench:k", packb(RECORD), px=LIFETIME * 1000)

    repeat = _repeating(runner)
    writes: dict[str, Callable[[], Awaitable[Any]]] = {
        BARE: set_bare,
        OURS: lambda: ours.aset("k", RECORD, LIFETIME),
        "Django": lambda: djangos.aset("k", RECORD, LIFETIME),
        "aiocache": lambda: aios.set("aiocache:k", RECORD, ttl=LIFETIME),
        "cashews": lambda: cash.set("cashews:k", RECORD, expire=LIFETIME),
    }
    reads: dict[str, Callable[[], Awaitable[Any]]] = {
        BARE: get_bare,
        OURS: lambda: ours.aget("k"),
        "Django": lambda: djangos.aget("k"),
        "aiocache": lambda: aios.get("aiocache:k"),
        "cashews": lambda: cash.get("cashews:k"),
    }
    for name, calls in (("aset", writes), ("aget", reads)):
        works = {contender: repeat(call) for contender, call in calls.items()}
        yield Scenario(name=name, contenders=works, operations=_REPEATS, baseline=BARE)
    crowds = {name: _crowd(runner, call) for name, call in reads.items() if name != "Django"}
    yield Scenario(name=f"{TOGETHER} x aget", contenders=crowds, operations=TOGETHER, baseline=BARE)


_REPEATS = 50
"""How often an awaited call is made each time the event loop is entered."""


def _repeating(runner: asyncio.Runner) -> Callable[[Callable[[], Awaitable[Any]]], Work]:
    def repeat(call: Callable[[], Awaitable[Any]]) -> Work:
        async def calls() -> None:
            for _ in range(_REPEATS):
                await call()

        return lambda: runner.run(calls())

    return repeat


def _crowd(runner: asyncio.Runner, call: Callable[[], Awaitable[Any]]) -> Work:
    async def calls() -> None:
        await asyncio.gather(*[call() for _ in range(TOGETHER)])

    def work() -> Coroutine[Any, Any, None]:
        return calls()

    return lambda: runner.run(work())


def _scenario(name: str, contenders: dict[str, Work], *, expected: object = None) -> Scenario:
    for contender, work in contenders.items():
        found = work()
        if expected is not None and found != expected:
            message = f"{contender} returned {found!r} for {name}: nothing to measure."
            raise AssertionError(message)
    return Scenario(name=name, contenders=contenders, baseline=BARE)


def _unpacked(payload: Any) -> Any:
    return unpackb(payload)
