"""Many threads, many event loops, many tasks: each operation on one entry is atomic."""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import suppress
from typing import Any, TypeVar

import pytest

from jinpy_cache_core.backend.base import BaseBackend
from jinpy_cache_core.sentinels import MISSING
from jinpy_cache_testing.harness import Harness, once
from jinpy_cache_testing.suite.operations import EVERY
from jinpy_cache_testing.sync_view import Half, new_runner
from jinpy_cache_testing.threads import bounded, restless, together

T = TypeVar("T")

THREADS = 8


class ConcurrencySuite(Harness):
    """Atomicity and liveness; in the async half every thread has an event loop of its own."""

    def in_a_loop(self, main: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run on an event loop of its own, in bounded time; nothing may fail behind its back."""
        complaints: list[dict[str, Any]] = []

        async def watched() -> T:
            loop = asyncio.get_running_loop()
            loop.set_exception_handler(lambda _, about: complaints.append(about))
            async with asyncio.timeout(self.patience):
                return await main()

        def run() -> T:
            with new_runner() as runner:
                result = runner.run(watched())
                gc.collect()
                return result

        result = bounded(run, patience=2 * self.patience)
        assert [] == complaints
        return result

    @pytest.fixture
    def crowded(self) -> Iterator[None]:
        """Let threads interleave as finely as they can."""
        with restless():
            yield

    @once
    @pytest.mark.usefixtures("crowded")
    def test_no_count_is_lost(self, half: Half, backend: BaseBackend) -> None:
        """Eight threads count to a hundred each, up and down, on one counter and on two."""

        def count(number: int) -> None:
            with self.in_half(half, backend) as cache:
                for _ in range(50):
                    cache.incr("shared")
                    cache.incr("shared", 3)
                    cache.decr("shared", 2)
                    cache.incr(f"shared-{number % 2}", 1, ttl=1000)

        together(THREADS, count, patience=self.patience)

        assert {"shared": THREADS * 100, "shared-0": 200, "shared-1": 200} == backend.get_many(
            ["shared", "shared-0", "shared-1"]
        )

    @once
    @pytest.mark.usefixtures("crowded")
    def test_no_count_is_lost_between_the_halves(self, backend: BaseBackend) -> None:
        """Synchronous threads and asynchronous ones count together."""

        def count(number: int) -> None:
            with self.in_half("async" if number % 2 else "sync", backend) as cache:
                for _ in range(60):
                    cache.incr("shared")

        together(THREADS, count, patience=self.patience)

        assert THREADS * 60 == backend.get("shared")

    @once
    def test_no_count_is_lost_between_tasks(self, backend: BaseBackend) -> None:
        """A hundred tasks of one loop count together, and each sees a count of its own."""

        async def main() -> list[int]:
            return list(await asyncio.gather(*(backend.aincr("shared") for _ in range(100))))

        assert list(range(1, 101)) == sorted(self.in_a_loop(main))

    @once
    @pytest.mark.usefixtures("crowded")
    def test_one_add_wins(
        self, half: Half, backend: BaseBackend, sample: Callable[[int], Any]
    ) -> None:
        """Of many threads that add a key exactly one does, and its value stays."""
        rounds = 25

        def add(number: int) -> list[bool]:
            with self.in_half(half, backend) as cache:
                return [cache.add(f"key-{n}", sample(number)) for n in range(rounds)]

        added = together(THREADS, add, patience=self.patience)

        winners = [[n for n in range(THREADS) if added[n][key]] for key in range(rounds)]
        assert [1] * rounds == [len(winning) for winning in winners]
        assert [sample(winner) for (winner,) in winners] == [
            backend.get(f"key-{key}") for key in range(rounds)
        ]

    @once
    @pytest.mark.usefixtures("crowded")
    def test_one_pop_gets_the_value(
        self, half: Half, backend: BaseBackend, sample: Callable[[int], Any]
    ) -> None:
        """Of many threads that pop a key exactly one gets its value."""
        rounds = 25
        backend.set_many({f"key-{n}": sample(n) for n in range(rounds)})

        def pop(_: int) -> list[Any]:
            with self.in_half(half, backend) as cache:
                return [cache.pop(f"key-{n}", MISSING) for n in range(rounds)]

        popped = together(THREADS, pop, patience=self.patience)

        got = [[row[n] for row in popped if row[n] is not MISSING] for n in range(rounds)]
        assert [[sample(n)] for n in range(rounds)] == got

    @once
    @pytest.mark.usefixtures("crowded")
    def test_one_delete_removes(
        self, half: Half, backend: BaseBackend, sample: Callable[[int], Any]
    ) -> None:
        """Of many threads that delete a key exactly one is told that it did."""
        rounds = 25
        backend.set_many({f"key-{n}": sample(n) for n in range(rounds)})

        def delete(number: int) -> int:
            with self.in_half(half, backend) as cache:
                if number % 2:
                    return cache.delete_many([f"key-{n}" for n in range(rounds)])
                return sum(cache.delete(f"key-{n}") for n in range(rounds))

        assert rounds == sum(together(THREADS, delete, patience=self.patience))

    @once
    @pytest.mark.usefixtures("crowded")
    def test_tasks_compete_as_threads_do(
        self, backend: BaseBackend, sample: Callable[[int], Any]
    ) -> None:
        """Among the tasks of one loop, too, one `aadd` and one `apop` win."""

        async def main() -> tuple[list[bool], list[Any]]:
            added = await asyncio.gather(*(backend.aadd("key", sample(n)) for n in range(30)))
            popped = await asyncio.gather(*(backend.apop("key", MISSING) for _ in range(30)))
            return list(added), [value for value in popped if value is not MISSING]

        added, popped = self.in_a_loop(main)

        assert 1 == added.count(True)
        assert [sample(added.index(True))] == popped

    @once
    @pytest.mark.usefixtures("crowded")
    def test_a_read_is_old_or_new_and_never_of_another_key(
        self, half: Half, backend: BaseBackend, sample: Callable[[int], Any]
    ) -> None:
        """While others write, remove and clear, a hit is a whole value stored under that key."""
        keys = [f"key-{n}" for n in range(6)]
        right = {key: [sample(n), sample(n + 100)] for n, key in enumerate(keys)}

        def work(number: int) -> list[object]:
            wrong: list[object] = []
            with self.in_half(half, backend) as cache:
                for turn in range(25):
                    key = keys[(turn + number) % len(keys)]
                    if number % 4 == 0:
                        cache.set(key, right[key][turn % 2], ttl=1000)
                        cache.set_many({key: values[turn % 2] for key, values in right.items()})
                    elif number % 4 == 1:
                        found = cache.get_many(keys)
                        found.update({key: cache.pop(key)})
                        wrong += [v for k, v in found.items() if v not in [None, *right[k]]]
                    elif number % 4 == 2:
                        wrong += [k for k in cache.scan("key") if k not in right]
                        cache.touch(key, 500)
                        cache.delete(key)
                        if turn % 10 == 9:
                            cache.clear()
                    else:
                        value = cache.get(key)
                        if value not in [None, *right[key]]:
                            wrong.append(value)
                        cache.exists(key)
                        cache.add(key, right[key][0], ttl=1000)
            return wrong

        assert [[]] * THREADS == together(THREADS, work, patience=self.patience)

    @once
    def test_synchronous_calls_work_inside_a_running_loop(
        self, backend: BaseBackend, sample: Callable[[int], Any]
    ) -> None:
        """A coroutine may call any synchronous operation, and mix it with asynchronous ones."""

        async def main() -> list[Any]:
            await backend.aset("key", sample(1))
            found = [backend.get("key")]
            backend.set("key", sample(2))
            found.append(await backend.aget("key"))
            for call in EVERY.values():
                backend.delete("key")
                call(backend, "key", sample(3))
            return found

        assert [sample(1), sample(2)] == self.in_a_loop(main)

    @once
    def test_a_cache_outlives_event_loops(
        self, backend: BaseBackend, sample: Callable[[int], Any]
    ) -> None:
        """What one event loop stored, the next one reads with the same object."""
        for number in range(3):
            with self.in_half("async", backend) as cache:
                assert [None, sample(number - 1)][number > 0] == cache.get("key")
                cache.set("key", sample(number))

        assert sample(2) == backend.get("key")

    @once
    def test_a_cancelled_write_leaves_an_old_or_a_new_value(
        self, backend: BaseBackend, sample: Callable[[int], Any]
    ) -> None:
        """Cancellation at any moment tears nothing, and the cache goes on working."""

        async def main() -> None:
            written = [sample(0)]
            await backend.aset("key", sample(0))
            for steps in range(12):
                written.append(sample(steps + 1))
                await _cancelled(backend.aset("key", sample(steps + 1)), after=steps)
                assert await backend.aget("key") in written
                many = {"key": sample(steps + 1), "other": sample(steps + 1)}
                await _cancelled(backend.aset_many(many), after=steps)
                assert await backend.aget("other") in [None, *written]
            await backend.aset("another", sample(1))
            assert sample(1) == await backend.aget("another")

        self.in_a_loop(main)

    @once
    def test_a_cancelled_count_happened_or_did_not(self, backend: BaseBackend) -> None:
        """A counter ends between what was acknowledged and that plus what was cancelled."""

        async def main() -> tuple[int, int, int]:
            acknowledged = uncertain = 0
            for steps in range(12):
                uncertain += await _cancelled(backend.aincr("key"), after=steps)
                await backend.aincr("key")
                acknowledged += 1
            return acknowledged, await backend.aget("key"), acknowledged + 12

        acknowledged, count, most = self.in_a_loop(main)

        assert acknowledged <= count <= most

    @once
    def test_every_operation_survives_its_cancellation(
        self, backend: BaseBackend, sample: Callable[[int], Any]
    ) -> None:
        """Reads, removals, scans and clears can be cancelled as well; the next call works."""

        async def scan() -> list[str]:
            return [key async for key in backend.ascan()]

        operations: list[Callable[[], Awaitable[object]]] = [
            lambda: backend.aget("key"),
            lambda: backend.aget_many(["key", "other"]),
            lambda: backend.aadd("key", sample(1)),
            lambda: backend.apop("key"),
            lambda: backend.adelete("key"),
            lambda: backend.adelete_many(["key"]),
            lambda: backend.aexists("key"),
            lambda: backend.attl("key"),
            lambda: backend.atouch("key", 60),
            backend.ais_healthy,
            scan,
            backend.aclear,
        ]

        async def main() -> None:
            for steps in range(4):
                for operation in operations:
                    await _cancelled(operation(), after=steps)
                    key = f"key-{steps}"
                    assert await backend.aget(key, MISSING) is MISSING
            assert await backend.ais_healthy() is True

        self.in_a_loop(main)


async def _cancelled(operation: Awaitable[object], *, after: int) -> bool:
    """Start an operation, cancel it after so many steps of the loop; whether that stopped it."""
    task = asyncio.ensure_future(operation)
    for _ in range(after):
        await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    return task.cancelled()
