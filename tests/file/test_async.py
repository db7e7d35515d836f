"""What is special about awaiting a file cache: shared commits, cancellation, the loop's freedom."""

import asyncio
import threading
import time

import pytest

from jinpy_cache_core.exceptions import CacheClosedError, CacheTimeoutError, CacheValueError
from jinpy_cache_file.group_commit import GroupCommit


async def test_concurrent_writes_share_commits(make):
    """A thousand concurrent writes take far fewer transactions."""
    cache = make()
    await cache.aset("warm", 1)
    before = cache._environment.current().info()["last_txnid"]
    await asyncio.gather(*(cache.aset(f"k{number}", number) for number in range(1000)))
    assert cache._environment.current().info()["last_txnid"] - before < 100
    assert await cache.aget_many([f"k{number}" for number in range(1000)]) == {
        f"k{number}": number for number in range(1000)
    }


async def test_one_bad_write_does_not_spoil_the_others(make):
    """Each coroutine gets its own outcome, though they share a transaction."""
    cache = make()
    await cache.aset("text", "no number")
    outcomes = await asyncio.gather(
        cache.aincr("n"),
        cache.aincr("text"),
        cache.aset("a", 1),
        cache.adelete("text"),
        cache.aadd("a", 2),
        return_exceptions=True,
    )
    assert [type(one) for one in outcomes] == [int, CacheValueError, type(None), bool, bool]
    assert outcomes[3:] == [True, False]
    assert await cache.aget("a") == 1


@pytest.mark.parametrize("size", [10, 100_000])
async def test_a_cancelled_write_is_old_or_new(make, size):
    """Cancelled at any moment: one of both values, no file left over, no lock, no complaint."""
    cache = make()
    old, new = "o" * size, "n" * size
    for turns in range(60):
        await cache.aset("a", old)
        task = asyncio.create_task(cache.aset("a", new))
        for _ in range(turns % 20):
            await asyncio.sleep(0)
        if turns >= 20:
            await asyncio.sleep(turns / 20_000)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
            raise asyncio.CancelledError  # it was through already
        assert await cache.aget("a") in {old, new}
    await cache.aset("a", old)
    assert (await cache.acheck()).ok


async def test_the_commit_thread_is_the_backends_own(make):
    """The loop's default executor stays the application's."""
    cache = make()
    await asyncio.gather(*(cache.aset(f"k{number}", number) for number in range(100)))
    names = {thread.name for thread in threading.enumerate()}
    assert any("disk-commit" in name for name in names)
    assert not any(name.startswith("asyncio_") for name in names)


async def test_a_thousand_stalled_writes_leave_the_applications_threads_alone(make, shell):
    """While nobody can write, other work in threads goes on, and few threads wait."""
    cache = make(lock_timeout=30)
    other = shell()
    assert other.ask("cache._environment.lock.acquire(5)") == "None"
    before = threading.active_count()
    writes = [
        asyncio.create_task(cache.aset(f"k{number}", b"x" * (100_000 if number % 10 else 10)))
        for number in range(1000)
    ]
    assert await asyncio.gather(*(asyncio.to_thread(abs, -n) for n in range(50))) == [*range(50)]
    ours = [thread for thread in threading.enumerate() if "jinpy-cache" in thread.name]
    assert threading.active_count() - before < 50
    assert 0 < len(ours) <= 9
    assert not any(write.done() for write in writes)
    assert other.ask("cache._environment.lock.forsake()") == "None"
    await asyncio.gather(*writes)
    assert len(cache) == 1000
    await asyncio.get_running_loop().shutdown_default_executor()


def test_one_cache_for_many_event_loops(make):
    """Loops in several threads, one after the other and at once, share a backend."""
    cache = make()

    async def count() -> None:
        await asyncio.gather(*(cache.aincr("n") for _ in range(50)))

    threads = [threading.Thread(target=asyncio.run, args=(count(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    asyncio.run(count())
    assert cache.get("n") == 250


async def test_closing_with_writes_in_flight(make):
    """What is queued is committed or refused; nobody waits for ever."""
    cache = make()
    writes = [asyncio.create_task(cache.aset(f"k{number}", number)) for number in range(200)]
    await asyncio.sleep(0)
    await cache.aclose()
    outcomes = await asyncio.wait_for(asyncio.gather(*writes, return_exceptions=True), 10)
    assert {type(one) for one in outcomes} <= {type(None), CacheClosedError}
    with pytest.raises(CacheClosedError):
        await cache.aset("a", 1)


async def test_warm_reads_need_no_thread(make):
    """A key that was just written or read is read at once; a cold one in a worker thread."""
    cache = make()
    cache.set("cold", 1)
    assert await cache.aget("cold") == 1
    workers = {thread.name for thread in threading.enumerate()}
    assert any("jinpy-cache-disk" in name for name in workers)
    before = asyncio.all_tasks()
    coroutine = cache.aget("cold")
    with pytest.raises(StopIteration) as stop:
        coroutine.send(None)
    assert stop.value.value == 1
    assert asyncio.all_tasks() == before


async def test_a_slow_serializer_does_not_block_the_loop(make):
    """A serializer of the user's own runs in a worker thread, for reads and for writes."""

    class Slow:
        loop_thread = threading.get_ident()

        def dumps(self, value: str) -> bytes:
            assert threading.get_ident() != self.loop_thread
            return value.encode()

        def loads(self, payload: bytes) -> str:
            assert threading.get_ident() != self.loop_thread
            return payload.decode()

    cache = make(serializer=Slow())
    await cache.aset("a", "value")
    assert [await cache.aget("a") for _ in range(3)] == ["value"] * 3


async def test_two_thousand_writes_behind_a_stopped_writer_end_in_time(make, shell):
    """A deadline counts from the call, however many wait before it; each has its own error."""
    cache = make(lock_timeout=0.5)
    other = shell()
    assert other.ask("cache._environment.lock.acquire(5)") == "None"
    began = time.monotonic()

    async def write(number: int) -> float:
        large = b"x" * (100_000 if number % 20 == 0 else 10)
        with pytest.raises(CacheTimeoutError, match="Another writer kept the lock"):
            await cache.aset(f"k{number}", large)
        return time.monotonic() - began

    ended = await asyncio.gather(*(write(number) for number in range(2000)))

    assert 0.5 <= min(ended)
    assert max(ended) < 5  # one deadline and a slow machine; 2000 / 256 of them without it
    assert other.ask("cache._environment.lock.forsake()") == "None"
    await cache.aset("k", 1)
    assert 1 == len(cache)
    assert [] == [*(cache.directory / "values").rglob("*.bin")]


async def test_the_queue_of_writes_is_bounded(make, shell):
    """Who finds it full waits for room until his own deadline; then all goes on."""
    cache = make(lock_timeout=30)
    group = cache._group = GroupCommit(cache._store, "bounded", 30, most_queued=300)
    other = shell()
    assert other.ask("cache._environment.lock.acquire(5)") == "None"
    writes = [asyncio.create_task(cache.aset(f"k{number}", number)) for number in range(2000)]
    while not group._state.waiting:  # noqa: ASYNC110 - there is no event for a queue that fills
        await asyncio.sleep(0)
    assert len(group._state.jobs) <= 300
    gone = writes.pop()
    gone.cancel()
    assert other.ask("cache._environment.lock.forsake()") == "None"
    await asyncio.gather(*writes)
    assert 1999 == len(cache)


async def test_who_waits_for_room_gives_up_in_time(make, shell):
    """A full queue is no reason to wait for longer than `lock_timeout`."""
    cache = make(lock_timeout=0.2)
    cache._group = GroupCommit(cache._store, "bounded", 0.2, most_queued=10)
    other = shell()
    assert other.ask("cache._environment.lock.acquire(5)") == "None"
    writes = [cache.aset(f"k{number}", number) for number in range(500)]
    ended = await asyncio.wait_for(asyncio.gather(*writes, return_exceptions=True), 20)
    assert {CacheTimeoutError} == {type(one) for one in ended}
    assert other.ask("cache._environment.lock.forsake()") == "None"
    await cache.aset("k", 1)
