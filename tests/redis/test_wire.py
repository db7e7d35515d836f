"""Networks that cut, slice and delay, callers that leave early: no reply reaches another."""

import asyncio
import contextlib
import ctypes
import threading
import time

import pytest
from tests.redis.conftest import LATE
from tests.redis.servers import until

from jinpy_cache_core import CacheConnectionError, CacheException, CacheTimeoutError
from jinpy_cache_testing.sync_view import new_runner


def tagged(backend, count=50):
    """Store values that tell which key they belong to."""
    backend.set_many({f"k{n}": {"k": n, "pad": "x" * 50} for n in range(count)})


def wrong_ones(cache, count=50, rounds=1):
    """The keys that answer with the value of another one."""
    return [
        (n, value)
        for _ in range(rounds)
        for n in range(count)
        if (value := cache.get(f"k{n}"))["k"] != n
    ]


def test_replies_in_slices(half, proxy):
    """Replies that come byte by byte are put together."""
    cache = half(proxy.url)
    tagged(cache)
    proxy.slice_bytes = 1
    assert [] == wrong_ones(cache, 10)
    assert 10 == len(cache.get_many([f"k{n}" for n in range(10)]))


@pytest.mark.parametrize("reset", [False, True], ids=["end", "reset"])
def test_a_reply_cut_anywhere(half, proxy, reset):
    """However much of a reply arrives, the value is right and the connection is not used again."""
    cache = half(proxy.url)
    tagged(cache)
    proxy.reset = reset
    for cut in range(1, 90, 4):
        proxy.cut_after = cut
        assert [] == wrong_ones(cache, 3)
    proxy.cut_after = None
    assert [] == wrong_ones(cache)


def test_garbage_is_no_value(half, proxy):
    """Bytes that are no reply end the connection, not the cache."""
    cache = half(proxy.url)
    tagged(cache)
    proxy.garbage = b"HTTP/1.1 400 Bad Request\r\n\r\n"
    for call in (lambda: cache.get("k1"), lambda: cache.incr("n"), lambda: cache.get_many(["k1"])):
        with pytest.raises(CacheConnectionError):
            call()
    proxy.garbage = None
    assert [] == wrong_ones(cache)


def test_a_reply_that_drips(half, make, proxy):
    """A reply that never quite ends, here for a minute, does not outlive the operation's budget."""
    make(proxy.url).set("big", "x" * 6000)
    cache = half(proxy.url, command_timeout=0.3, operation_timeout=0.6)
    proxy.slice_bytes = 1

    pass_on = proxy._pass_on

    def dripping(data, inner):
        for start in range(len(data)):
            if not pass_on(data[start : start + 1], inner):
                return False
            time.sleep(0.01)  # the network that is injected
        return True

    proxy._pass_on = dripping
    began = time.monotonic()
    with pytest.raises(CacheTimeoutError):
        cache.get("big")
    assert time.monotonic() - began < LATE
    proxy._pass_on = pass_on


OPERATIONS = {
    "get": lambda b, n: b.aget(f"k{n}"),
    "set": lambda b, n: b.aset(f"k{n}", {"k": n, "pad": "y"}),
    "get_many": lambda b, n: b.aget_many([f"k{m}" for m in range(n)]),
    "set_many": lambda b, n: b.aset_many({f"k{m}": {"k": m} for m in range(n)}),
    "incr": lambda b, n: b.aincr("n", 1, 60),
    "pop": lambda b, n: b.apop("popped"),
    "scan": lambda b, n: anext(b.ascan()),
}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("way", ["cancel", "timeout", "sibling"])
def test_cancellation_at_every_offset(proxy, make, operation, way):
    """A cancelled operation leaves nothing behind for the next caller, wherever it is cut off."""
    backend = make(proxy.url, pool_size=4)
    tagged(backend)
    proxy.delay = 0.004

    async def leave(offset: float) -> None:
        call = OPERATIONS[operation](backend, 7)
        if way == "cancel":
            task = asyncio.ensure_future(call)
            await asyncio.sleep(offset)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        elif way == "timeout":
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(offset):
                    await call
        else:

            async def failing() -> None:
                await asyncio.sleep(offset)
                raise ZeroDivisionError

            with contextlib.suppress(BaseExceptionGroup):
                async with asyncio.TaskGroup() as group:
                    group.create_task(_awaiting(call))
                    group.create_task(failing())

    async def main() -> None:
        for step in range(25):
            await leave(step * 0.0005)
            number = step % 50
            assert number == (await backend.aget(f"k{number}"))["k"]
        proxy.delay = 0.0
        for number in range(200):
            assert number % 50 == (await backend.aget(f"k{number % 50}"))["k"]
        driver = backend._loops.existing()
        pools = list(driver._pools.values())
        assert all(len(pool._links) == len(pool._idle) <= 4 for pool in pools)
        assert all(not pool._waiters and not pool._opening for pool in pools)

    with new_runner() as runner:
        runner.run(main())


async def _awaiting(call):
    return await call


class Interrupted(BaseException):
    """What is thrown into a thread."""


def test_a_thread_that_is_interrupted(proxy, make):
    """An exception thrown into the middle of a read closes the connection rather than reuse it."""
    backend = make(proxy.url, pool_size=3)
    tagged(backend)
    proxy.delay = 0.002
    raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc
    for step in range(20):
        ready = threading.Event()

        def work(ready=ready) -> None:
            with contextlib.suppress(Interrupted):
                ready.set()
                while True:
                    backend.get("k1")

        thread = threading.Thread(target=work)
        thread.start()
        ready.wait()
        time.sleep(0.001 + step * 0.0003)  # where it is hit
        raise_in(ctypes.c_ulong(thread.ident), ctypes.py_object(Interrupted))
        thread.join(10)
        assert not thread.is_alive()
        assert step == backend.get(f"k{step}")["k"]
    proxy.delay = 0.0
    assert [] == wrong_ones(backend)


def test_a_burst_of_reads_travels_together(proxy, make):
    """What waits for a connection leaves with the next one: slow at worst, and never a miss."""
    backend = make(proxy.url, pool_size=4, pool_timeout=0.2, on_error="miss")
    backend.set_many({f"k{n}": n for n in range(2_000)})
    before = proxy.accepted
    proxy.delay = 0.01

    async def main() -> list[object]:
        return await asyncio.gather(*(backend.aget(f"k{n}") for n in range(2_000)))

    with new_runner() as runner:
        assert [*range(2_000)] == runner.run(main())
    assert proxy.accepted - before <= 4
    assert 0 == backend.degraded


PATIENT = {"command_timeout": LATE, "operation_timeout": LATE}
"""Time limits that nothing reaches."""


def touched_at_once(backend) -> list[object]:
    """What comes of 20 threads that touch one key together."""
    results: list[object] = []

    def work() -> None:
        try:
            results.append(backend.touch("k", 60))
        except CacheException as error:
            results.append(error)

    threads = [threading.Thread(target=work) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


async def atouched_at_once(backend) -> list[object]:
    """What comes of 20 tasks that touch one key together: unlike reads, they share no trip."""
    calls = [backend.atouch("k", 60) for _ in range(20)]
    return await asyncio.gather(*calls, return_exceptions=True)


def test_callers_wait_for_a_connection(proxy, make):
    """More callers than connections: whoever waits is served in the end; no other is opened."""
    backend = make(proxy.url, pool_size=2, pool_timeout=LATE, retries=0, **PATIENT)
    backend.set("k", 1)
    before = proxy.accepted
    proxy.delay = 0.01
    assert [True] * 20 == touched_at_once(backend)
    assert proxy.accepted - before <= 1
    with new_runner() as runner:
        assert [True] * 20 == runner.run(atouched_at_once(backend))
    assert proxy.accepted - before <= 3


def test_a_pool_that_is_exhausted(proxy, make):
    """Nobody waits for a connection for ever, and the pool serves all once there are enough.

    Who could wait longer than `pool_timeout` would be served, well within the other limits.
    """
    backend = make(proxy.url, pool_size=2, pool_timeout=0.15, retries=0, **PATIENT)
    backend.set("k", 1)

    with new_runner() as runner:
        for at_once in (touched_at_once, lambda one: runner.run(atouched_at_once(one))):
            proxy.delay = 0.1
            outcomes = at_once(backend)
            failures = [one for one in outcomes if one is not True]
            assert 0 < len(failures) < 20
            assert all(isinstance(one, CacheTimeoutError) for one in failures)
            proxy.delay = 0.0
            until(lambda call=at_once: [True] * 20 == call(backend), "all are served again")
    assert len(next(iter(backend._sync._pools.values()))._links) <= 2
