"""One object used by many threads, loops and processes, and closed by any of them."""

import asyncio
import gc
import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from tests.redis.servers import until

from jinpy_cache_core import CacheClosedError, CacheConfigurationError, CacheException
from jinpy_cache_redis import RedisCacheBackend, RedisCacheConfig
from jinpy_cache_redis.drivers.factory import DriverFactory
from jinpy_cache_testing.sync_view import new_runner

pytestmark = pytest.mark.filterwarnings(
    "ignore:This process .* is multi-threaded:DeprecationWarning"
)


def slowly(method):
    """Let every other thread run before a method does."""

    def slow(self):
        for _ in range(100):
            time.sleep(0)
        return method(self)

    return slow


def test_many_threads_and_loops_at_once(make, standalone):
    """16 threads and 3 loops, sync and async, share one backend: every value is that of its key."""
    cache = make(standalone.url, pool_size=5)
    wrong: list[object] = []

    def work(seed: int) -> None:
        for step in range(60):
            cache.set(f"k{seed}", step)
            if cache.get(f"k{seed}") != step:
                wrong.append((seed, step))

    async def atask(seed: int) -> None:
        for step in range(30):
            await cache.aset(f"a{seed}", step)
            if await cache.aget(f"a{seed}") != step:
                wrong.append((seed, step))

    def loop(seed: int) -> None:
        async def main() -> None:
            await asyncio.gather(*[atask(100 * seed + n) for n in range(8)])

        asyncio.run(main())

    threads = [threading.Thread(target=work, args=(n,)) for n in range(16)]
    threads += [threading.Thread(target=loop, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [] == wrong


def test_threads_that_come_first_at_once_share_connections(make, server, monkeypatch):
    """However many threads make the first call together, they share one pool, and closing ends it.

    Its one connection is the only one that the server ever sees.
    """
    monkeypatch.setattr(DriverFactory, "driver", slowly(DriverFactory.driver))
    with server.admin() as admin:
        for number in range(30):
            cache = make(server.url, pool_size=1, **PATIENT)
            barrier = threading.Barrier(8)
            counts: list[int] = []

            def first_call(cache=cache, barrier=barrier, counts=counts, key=f"k{number}") -> None:
                barrier.wait(30)
                counts.append(cache.incr(key))

            accepted = admin.info("stats")["total_connections_received"]
            threads = [threading.Thread(target=first_call) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            cache.close()
            assert [1, 2, 3, 4, 5, 6, 7, 8] == sorted(counts)
            assert accepted + 1 == admin.info("stats")["total_connections_received"]
            assert 1 == len(admin.client_list())


def test_one_loop_after_the_other(make, standalone):
    """Each `asyncio.run` has connections of its own, which end with it, `aclose` or not."""
    cache = make(standalone.url)

    async def main() -> object:
        await cache.aset("k", 1)
        return await cache.aget("k")

    for _ in range(3):
        assert 1 == asyncio.run(main())
        assert not cache._loops._tenants


def test_sync_calls_inside_a_running_loop(make, standalone):
    """They block the loop, and work."""
    cache = make(standalone.url)

    async def main() -> object:
        cache.set("k", {"n": 1})
        return cache.get("k"), await cache.aget("k")

    with new_runner() as runner:
        assert ({"n": 1}, {"n": 1}) == runner.run(main())


def test_a_loop_that_is_dropped(standalone):
    """A loop closed without ending its generators: no traceback, no hang, at most a warning."""
    script = textwrap.dedent(f"""
        import asyncio
        from jinpy_cache_redis import RedisCacheBackend, RedisCacheConfig
        cache = RedisCacheBackend(RedisCacheConfig(url={standalone.url!r}, name="dropped"))
        for number in range(2):
            loop = asyncio.new_event_loop()
            loop.run_until_complete(cache.aset("k", number))
            loop.close()
        print(asyncio.run(cache.aget("k")))
    """)
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (0, "1\n", "") == (ran.returncode, ran.stdout, ran.stderr)


def test_a_backend_that_nobody_closed(standalone):
    """A program that ends without closing its cache ends, without a word."""
    script = textwrap.dedent(f"""
        import asyncio
        from jinpy_cache_redis import RedisCacheBackend, RedisCacheConfig
        cache = RedisCacheBackend(RedisCacheConfig(url={standalone.url!r}, name="dropped"))
        cache.set("k", 1)
        async def main():
            print(await cache.aget("k"))
        asyncio.run(main())
    """)
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore::ResourceWarning", "-c", script],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (0, "1\n", "") == (ran.returncode, ran.stdout, ran.stderr)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_fork_after_connecting(make, standalone):
    """Parent and child go on, sync and async, each over sockets of its own."""
    cache = make(standalone.url)
    cache.set_many({f"k{n}": {"k": n} for n in range(20)})

    async def use_in_loop() -> None:
        await cache.aget("k1")
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                ok = all(cache.get(f"k{n % 20}") == {"k": n % 20} for n in range(300))

                async def main() -> bool:
                    values = [await cache.aget(f"k{n % 20}") for n in range(300)]
                    return values == [{"k": n % 20} for n in range(300)]

                done: list[bool] = []
                thread = threading.Thread(target=lambda: done.append(asyncio.run(main())))
                thread.start()
                thread.join()
                status = 0 if ok and done == [True] else 2
            finally:
                os.write(writer, bytes([status]))
                os._exit(status)
        os.close(writer)
        for n in range(300):
            assert {"k": n % 20} == await cache.aget(f"k{n % 20}")
            assert {"k": n % 20} == cache.get(f"k{n % 20}")
        assert b"\x00" == os.read(reader, 1)
        os.close(reader)
        assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])  # noqa: ASYNC222

    with new_runner() as runner:
        runner.run(use_in_loop())


def test_closing_ends_every_connection(server):
    """Whoever closes, and however often: the server sees no connection of ours any more."""
    config = RedisCacheConfig(url=server.url, name="closing")

    async def use(cache: RedisCacheBackend) -> None:
        await asyncio.gather(*[cache.aget("k") for _ in range(8)])
        cache.get("k")
        await cache.aclose()
        await cache.aclose()
        cache.close()
        with pytest.raises(CacheClosedError):
            await cache.aget("k")
        with pytest.raises(CacheClosedError):
            cache.get("k")

    cache = RedisCacheBackend(config)
    with new_runner() as runner:
        runner.run(use(cache))
    gc.collect()
    with server.admin() as admin:
        assert 1 == len(admin.client_list())


PATIENT = {
    "connect_timeout": 20.0,
    "command_timeout": 20.0,
    "operation_timeout": 30.0,
    "pool_timeout": 20.0,
}
"""Time limits that do not matter."""


def ways_it_ended(outcomes: list[object]) -> set[object]:
    """The results, and the types of the errors."""
    return {type(one) if isinstance(one, Exception) else one for one in outcomes}


def test_closing_while_coroutines_are_under_way(make, proxy):
    """What was sent finishes or is given up, what waits is told at once; nothing is opened."""
    cache = make(proxy.url, pool_size=4, **PATIENT)

    async def main() -> tuple[list[object], int]:
        await asyncio.gather(*[cache.aset("k", 1) for _ in range(8)])
        proxy.swallow = True
        calls = [asyncio.ensure_future(cache.aget("k")) for _ in range(50)]
        await asyncio.sleep(0)
        opened = proxy.accepted
        await cache.aclose()
        waiting = calls[4:]
        told = await asyncio.gather(*waiting, return_exceptions=True)
        for call in calls[:4]:
            call.cancel()
        await asyncio.gather(*calls[:4], return_exceptions=True)
        return told, proxy.accepted - opened

    with new_runner() as runner:
        told, opened = runner.run(main())
    assert ({CacheClosedError}, 0) == (ways_it_ended(told), opened)


def test_closing_while_threads_are_waiting(make, proxy):
    """Who waits for a connection is told at once, and opens none."""
    cache = make(proxy.url, pool_size=1, **PATIENT)
    cache.set("k", 1)
    (pool,) = cache._sync._pools.values()
    outcomes: list[object] = []

    def call() -> None:
        try:
            outcomes.append(cache.get("k"))
        except CacheException as error:
            outcomes.append(error)

    busy = pool.take(time.monotonic() + PATIENT["pool_timeout"])
    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    until(lambda: len(pool._bells) == len(threads), "every thread waits")
    cache.close()
    for thread in threads:
        thread.join()
    pool.give_back(busy)
    assert ({CacheClosedError}, 8, 1) == (ways_it_ended(outcomes), len(outcomes), proxy.accepted)


def test_clients_that_are_lent(standalone):
    """An application's own clients are used and never closed; what is missing says so."""
    import redis
    import redis.asyncio

    given = redis.Redis(port=standalone.port)
    config = RedisCacheConfig(url=standalone.url, name="lent", client=given)
    with RedisCacheBackend(config) as cache:
        cache.set("k", {"n": 1})
        assert {"n": 1} == asyncio.run(cache.aget("k"))
    assert given.ping()
    given.close()

    async def main() -> None:
        lent = redis.asyncio.Redis(port=standalone.port)
        config = RedisCacheConfig(url=standalone.url, name="lent", async_client=lent)
        cache = RedisCacheBackend(config)
        assert {"n": 1} == await cache.aget("k")
        assert 3 == await cache.aincr("n", 3, ttl=5)
        assert 3 == await cache.apop("n")
        with pytest.raises(CacheConfigurationError, match="async_client"):
            cache.get("k")
        await cache.aclose()
        assert await lent.ping()
        await lent.aclose()

    asyncio.run(main())
    with pytest.raises(CacheConfigurationError, match=r"redis\.Redis"):
        RedisCacheConfig(client=object())


@pytest.mark.filterwarnings("ignore:unclosed transport:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_loops_that_are_closed_without_a_word(make, standalone):
    """The connections of sixty loops that did not finish their generators do not add up."""
    cache = make(standalone.url)
    before = descriptors()
    for number in range(60):
        loop = asyncio.new_event_loop()
        loop.run_until_complete(cache.aset(f"k{number}", number))
        assert number == loop.run_until_complete(cache.aget(f"k{number}"))
        loop.close()
    assert descriptors() <= before + 1
    cache.close()
    assert descriptors() == before


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # left by tests before this one
def test_a_backend_that_is_dropped(standalone):
    """It warns, and what it held is released."""
    gc.collect()
    before = descriptors()
    cache = RedisCacheBackend(RedisCacheConfig(url=standalone.url, name="dropped"))
    cache.get("k")
    with new_runner() as runner:
        runner.run(cache.aget("k"))
        held = [cache]
        del cache
        with pytest.warns(ResourceWarning, match="'dropped'.*without close"):
            drop(held)
    assert descriptors() == before


def test_a_backend_that_was_not_used_is_dropped_without_a_word(standalone):
    """There is nothing to release."""
    RedisCacheBackend(RedisCacheConfig(url=standalone.url, name="dropped"))
    gc.collect()


def test_a_connection_that_was_idle_for_long_is_asked_first(half, proxy):
    """A counter, which is sent once, gets a connection that stands, in spite of a silent drop."""
    cache = half(proxy.url, health_check_interval=0.000001, command_timeout=0.3)
    assert 1 == cache.incr("idle")
    proxy.swallow = True
    with pytest.raises(CacheException):
        cache.get("k")
    proxy.swallow = False
    assert 2 == cache.incr("idle")
    cache.delete("idle")


def drop(held: list[RedisCacheBackend]) -> None:
    """Let go of what is held, for certain."""
    held.clear()
    gc.collect()


def descriptors() -> int:
    """How many descriptors this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))
