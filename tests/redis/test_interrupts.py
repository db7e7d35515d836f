"""Exceptions that handlers of signals raise, and replies that somebody forged."""

import random
import signal
import threading

import pytest
from tests.redis.servers import until

from jinpy_cache_core import CacheConnectionError
from jinpy_cache_redis.connections import connection

PLACES = 2


class Storm(BaseException):
    """What a handler raises."""


def interrupt(cache, operations: int) -> tuple[int, list[object]]:
    """Interrupt operations at random instants: how often, and what was read that is wrong."""
    chance = random.Random(7)
    armed = [False]
    hits, wrong = 0, []

    def handler(*_: object) -> None:
        if armed[0]:
            raise Storm

    calls = [
        cache.get,
        lambda key: cache.get_many([key, "0"])[key],
        lambda key: (cache.set(key, {"k": key}), {"k": key})[1],
        lambda key: (cache.touch(key, 500), {"k": key})[1],
        lambda key: (cache.incr("n", ttl=500), {"k": key})[1],
        lambda key: (cache.exists(key), {"k": key})[1],
    ]
    before = signal.signal(signal.SIGALRM, handler)
    try:
        for _ in range(operations):
            key = str(chance.randrange(20))
            call = chance.choice(calls)
            try:
                signal.setitimer(signal.ITIMER_REAL, chance.uniform(1e-6, 400e-6))
                armed[0] = True
                value = call(key)
                armed[0] = False
                if value != {"k": key}:
                    wrong.append(value)
            except Storm:
                hits += 1
            finally:
                armed[0] = False
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    return hits, wrong


def check_storm(make, server, operations: int) -> int:
    """No reply reaches another operation, no place of the pool is lost, no connection stays."""
    cache = make(server.url, pool_size=PLACES, pool_timeout=5.0)
    for number in range(20):
        cache.set(str(number), {"k": str(number)})

    hits, wrong = interrupt(cache, operations)

    assert [] == wrong
    assert hits > operations // 50
    together = threading.Barrier(PLACES)
    outcomes: list[object] = []
    (pool,) = cache._sync._pools.values()

    def hold() -> None:
        link = pool.take(pool._timing.monotonic() + 5)
        together.wait(5)
        pool.give_back(link)
        outcomes.append(cache.get("3"))

    threads = [threading.Thread(target=hold) for _ in range(PLACES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [{"k": "3"}] * PLACES == outcomes
    assert connections(server) <= PLACES
    cache.close()
    until(lambda: connections(server) == 0, "every connection is closed")
    return hits


def connections(server) -> int:
    """How many the server has, the one that asks left out."""
    return int(server.ask("CLIENT", "LIST").count(b"\n")) - 1


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_storm_of_interrupts(make, server):
    """As Ctrl-C, and the alarms of Celery, gunicorn and pytest-timeout, at random instants."""
    check_storm(make, server, 5_000)


@pytest.mark.soak
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_long_storm_of_interrupts(make, server):
    """The same until some hundred thousand have hit."""
    hits = 0
    while hits < 100_000:
        hits += check_storm(make, server, 100_000)
    print(f"{hits} interrupts")  # noqa: T201 - the figure is what it is run for


@pytest.mark.parametrize(
    "forged",
    [
        b"*2147483647\r\n",
        b"*999999999999\r\n",
        b"$9223372036854775807\r\n",
        b"$99999999999999999999999\r\n",
        b"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
        b"*-5\r\n",
        b"$-7\r\n",
        b":12x\r\n",
        b"%2147483647\r\n",
    ],
)
def test_a_forged_length(half, fake, forged):
    """Whoever can answer in the server's place gets the documented error, not the memory."""
    server = fake(lambda _: forged)
    cache = half(server.url, retries=1)
    with pytest.raises(CacheConnectionError):
        cache.get("k")


def test_what_begins_like_a_forged_length_inside_of_a_value(half, standalone):
    """Pieces of a value may look like anything."""
    cache = half(standalone.url)
    value = b"*999999999999\r\n" * 200_000
    cache.set("k", value)
    assert value == cache.get("k")


def test_a_reply_that_does_not_fit_into_memory(make, fake):
    """Running out of memory while a reply is read breaks the connection, and is told as that."""

    class Full:
        def feed(self, *_: object) -> None:
            raise MemoryError

    server = fake(lambda _: b"+OK\r\n")
    cache = make(server.url, retries=0)
    pool = cache._first_driver()._pool(cache._topology.node_for(None))
    link = pool.take(pool._timing.monotonic() + 5)
    link._reader = Full()
    pool.give_back(link)
    with pytest.raises(CacheConnectionError, match="memory"):
        cache.set("k", 1)
    assert connection.MOST[b"$"] > 512 * 1024 * 1024
