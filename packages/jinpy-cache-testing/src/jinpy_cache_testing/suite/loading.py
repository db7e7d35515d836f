"""`get_or_set` and its kin: one computation for everyone, handed over when it fails."""

import asyncio
import threading
from collections.abc import Callable
from itertools import chain
from typing import Any

import pytest

from jinpy_cache_core.backend.base import BaseBackend
from jinpy_cache_core.entries.state import CachedValue
from jinpy_cache_core.exceptions import (
    CacheClosedError,
    CacheConfigurationError,
    CacheKeyError,
    CacheReentryError,
    CacheSerializationError,
    CacheValueError,
)
from jinpy_cache_core.interfaces import CacheInterface
from jinpy_cache_core.loading.context import FactoryContext, factory_context
from jinpy_cache_core.loading.events import FactoryFailed, Filled, FillRefused
from jinpy_cache_core.loading.leases import Claiming, Filling, Standing
from jinpy_cache_core.sentinels import MISSING
from jinpy_cache_testing.clock import FakeClock
from jinpy_cache_testing.factories import Gate, Tally, of_half, wait_for_followers
from jinpy_cache_testing.harness import Harness, Make, not_with, once
from jinpy_cache_testing.sync_view import Half
from jinpy_cache_testing.threads import together

CALLERS = 8


class LoadingSuite(Harness):
    """Who computes, who waits, and what each of them gets."""

    def test_a_value_is_computed_once_and_then_read(
        self, cache: CacheInterface, sample: Callable[[int], Any]
    ) -> None:
        """The factory runs for the first call; later ones and a plain `get` read its value."""
        factory = Tally(sample(1), sample(2))

        got = [cache.get_or_set("key", factory) for _ in range(3)]

        assert [sample(1)] * 3 == got
        assert 1 == factory.calls
        assert sample(1) == cache.get("key")

    @once
    def test_a_cached_none_is_a_value(self, cache: CacheInterface) -> None:
        """`None` is stored and read like anything else."""
        factory = Tally(None, 1)

        assert [None, None] == [cache.get_or_set("key", factory) for _ in range(2)]
        assert cache.exists("key")

    @once
    def test_the_ttl_is_that_of_the_call_or_of_the_factory(
        self, cache: CacheInterface, sample: Callable[[int], Any]
    ) -> None:
        """`ttl` says how long a value is fresh; the factory's context may say otherwise."""

        def shorter(context: FactoryContext) -> Any:
            assert ("other", 60.0, MISSING) == (context.key, context.ttl, context.stale)
            context.ttl = 30
            return sample(2)

        cache.get_or_set("key", lambda: sample(1), 60)
        cache.get_or_set("other", shorter, 60)

        assert [self.seconds(60), self.seconds(30)] == [cache.ttl("key"), cache.ttl("other")]

    @once
    def test_a_ttl_of_zero_stores_nothing(self, cache: CacheInterface) -> None:
        """Zero or less means that the value is not kept, as everywhere."""
        factory = Tally("a", "b")

        assert ["a", "b"] == [cache.get_or_set("key", factory, 0) for _ in range(2)]
        assert not cache.exists("key")

    @once
    def test_a_value_may_be_kept_back(self, cache: CacheInterface) -> None:
        """`cache_if` and the context decide that a value is returned but not stored."""

        def skipping(context: FactoryContext) -> str:
            context.skip()
            return "b"

        assert "a" == cache.get_or_set("key", lambda: "a", cache_if=lambda value: value != "a")
        assert "b" == cache.get_or_set("key", skipping)
        assert "c" == cache.get_or_set("key", lambda: "c", cache_if=lambda value: value != "a")
        assert "c" == cache.get("key")

    @once
    def test_a_forced_refresh_computes_whatever_is_there(self, cache: CacheInterface) -> None:
        """`force_refresh` replaces a fresh value; one that fails leaves it as it was."""
        cache.set("key", "old", 60)

        assert "new" == cache.get_or_set("key", lambda: "new", 60, force_refresh=True)
        with pytest.raises(ZeroDivisionError):
            cache.get_or_set("key", lambda: 1 // 0, 60, force_refresh=True, grace=60)

        assert "new" == cache.get("key")
        assert self.seconds(60) == cache.ttl("key")

    @once
    def test_an_error_is_the_callers_and_leaves_nothing(self, cache: CacheInterface) -> None:
        """What the factory raises arrives unchanged, and the next caller computes."""
        error = LookupError("no such user")

        def failing() -> Any:
            raise error

        with pytest.raises(LookupError) as caught:
            cache.get_or_set("key", failing)
        assert error is caught.value
        assert [False, None, []] == [cache.exists("key"), cache.ttl("key"), list(cache.scan())]
        assert "value" == cache.get_or_set("key", lambda: "value")

    @not_with(None, "bytes")
    def test_what_cannot_be_stored_is_returned(
        self, cache: CacheInterface, backend: BaseBackend
    ) -> None:
        """A value that no store can keep is its caller's all the same, and counted."""
        lock = threading.Lock()

        assert lock is cache.get_or_set("key", lambda: lock)
        assert {"other": lock} == cache.get_or_set_many(["other"], lambda _: {"other": lock})
        assert 2 == backend.stats().unstored
        assert not cache.exists("key")
        assert "value" == cache.get_or_set("key", lambda: "value")

    @not_with(None, "bytes")
    def test_who_insists_on_storing_gets_the_error(self, cache: CacheInterface) -> None:
        """`on_error="raise"` refuses an unstorable value as `set` does; nobody is kept waiting."""
        with pytest.raises(CacheSerializationError):
            cache.get_or_set("key", threading.Lock, on_error="raise")
        assert "value" == cache.get_or_set("key", lambda: "value")

    @once
    def test_bad_arguments_are_refused_before_anything_runs(self, cache: CacheInterface) -> None:
        """A bad key, ttl or option is an error; the factory is not called."""
        factory = Tally("value")
        misused: Any = cache

        for error, arguments, options in [
            (CacheKeyError, ("", factory), {}),
            (CacheValueError, ("key", factory, float("nan")), {}),
            (CacheConfigurationError, ("key", factory), {"grace": -1}),
            (CacheConfigurationError, ("key", factory), {"graze": 1}),
        ]:
            with pytest.raises(error):
                misused.get_or_set(*arguments, **options)
        assert 0 == factory.calls

    @once
    def test_a_closed_cache_computes_nothing(self, cache: CacheInterface) -> None:
        """After `close` the factory is not called."""
        factory = Tally("value")
        cache.close()

        with pytest.raises(CacheClosedError):
            cache.get_or_set("key", factory)
        assert 0 == factory.calls

    @once
    def test_a_factory_that_asks_for_its_own_key_is_told_so(self, backend: BaseBackend) -> None:
        """Re-entry is an error instead of a deadlock; another key is no re-entry."""

        def recursive() -> Any:
            assert factory_context() is not None
            return backend.get_or_set("key", lambda: "never")

        with pytest.raises(CacheReentryError, match="asked the cache for that key itself"):
            backend.get_or_set("key", recursive)
        nested = backend.get_or_set("key", lambda: backend.get_or_set("other", lambda: "value"))
        assert "value" == nested
        assert factory_context() is None

    @once
    def test_a_coroutine_that_awaits_its_own_key_is_told_so(self, backend: BaseBackend) -> None:
        """Re-entry is noticed through tasks that the factory starts, and only while it runs."""
        later: list[asyncio.Task[Any]] = []

        async def quick() -> str:
            return "quick"

        async def recursive() -> Any:
            return await asyncio.gather(backend.aget_or_set("key", quick))

        async def starting() -> str:
            later.append(asyncio.create_task(_after(done, backend.aget_or_set("key", quick))))
            return "value"

        async def main() -> Any:
            with pytest.raises(CacheReentryError):
                await backend.aget_or_set("key", recursive)
            await backend.aget_or_set("key", starting)
            await backend.adelete("key")
            done.set()
            return await later[0]

        done = asyncio.Event()
        with self.loop(backend) as run:
            assert "quick" == run(main())

    @once
    def test_sixteen_callers_share_one_computation(self, backend: BaseBackend) -> None:
        """Eight threads and eight tasks on two loops: one computation, sixteen equal results."""
        everyone = threading.Barrier(10)
        value = {"n": [1, 2, 3]} if backend.config.serializer != "str" else "value"
        calls: list[str] = []

        def compute() -> Any:
            calls.append("sync")
            wait_for_followers(backend, 15)
            return value

        async def acompute() -> Any:
            calls.append("async")
            await asyncio.to_thread(wait_for_followers, backend, 15)
            return value

        async def four() -> list[Any]:
            tasks = [asyncio.create_task(backend.aget_or_set("key", acompute)) for _ in range(4)]
            return list(await asyncio.gather(*tasks))

        def caller(number: int) -> list[Any]:
            everyone.wait(self.patience)
            if number < CALLERS:
                return [backend.get_or_set("key", compute)]
            with self.loop(backend) as run:
                got: list[Any] = run(four())
                return got

        results = [*chain(*together(CALLERS + 2, caller, patience=self.patience))]

        assert 1 == len(calls)
        assert [value] * 16 == results

    @once
    def test_each_caller_gets_a_value_of_its_own(self, backend: BaseBackend) -> None:
        """Nobody sees what another caller does to the value that both waited for."""
        if backend.config.serializer in ("str", "bytes", None):
            pytest.skip("needs a value that can be changed")

        def compute() -> list[int]:
            wait_for_followers(backend, 3)
            return [1]

        def caller(_: int) -> list[int]:
            got = backend.get_or_set("key", compute)
            got.append(2)
            return got

        assert [[1, 2]] * 4 == together(4, caller, patience=self.patience)
        assert [1] == backend.get("key")

    @once
    @pytest.mark.parametrize("shared", [True, False])
    def test_who_waited_for_a_factory_that_fails_shares_its_error(
        self, half: Half, backend: BaseBackend, shared: bool
    ) -> None:
        """One call of a failing source for all; with `share_errors=False` the next one tries."""
        turns = iter(range(100))
        lock = threading.Lock()

        def compute() -> str:
            with lock:
                turn = next(turns)
            if turn == 0:
                wait_for_followers(backend, CALLERS - 1)
                message = "first"
                raise LookupError(message)
            return f"value {turn}"

        def caller(_: int) -> str:
            with self.in_half(half, backend) as cache:
                try:
                    got: str = cache.get_or_set("key", of_half(compute, half), share_errors=shared)
                except LookupError:
                    return "failed"
                return got

        results = together(CALLERS, caller, patience=self.patience)

        others = "failed" if shared else "value 1"
        assert sorted(["failed", *[others] * (CALLERS - 1)]) == sorted(results)
        assert (1 if shared else 2) == next(turns)

    @once
    def test_a_follower_takes_over_from_a_leader_that_is_cancelled(
        self, backend: BaseBackend
    ) -> None:
        """A thread and a task of another loop get a value, and nobody a foreign cancellation."""
        gate = Gate()

        async def hanging() -> str:
            gate.enter()
            await asyncio.Event().wait()
            return "never"

        async def quick() -> str:
            return "value"

        async def lead() -> str:
            task = asyncio.create_task(backend.aget_or_set("key", hanging))
            await asyncio.to_thread(wait_for_followers, backend, 2)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return "cancelled"

        def caller(number: int) -> str:
            if number == 0:
                with self.loop(backend) as run:
                    return str(run(lead()))
            gate.wait(self.patience)
            if number == 1:
                return backend.get_or_set("key", lambda: "value")
            with self.loop(backend) as run:
                return str(run(backend.aget_or_set("key", quick)))

        assert ["cancelled", "value", "value"] == together(3, caller, patience=self.patience)

    @once
    def test_a_follower_that_is_cancelled_disturbs_nobody(self, backend: BaseBackend) -> None:
        """The computation goes on and stores its value."""
        entered = asyncio.Event()
        leave = asyncio.Event()

        async def compute() -> str:
            entered.set()
            await leave.wait()
            return "value"

        async def main() -> str:
            leader = asyncio.create_task(backend.aget_or_set("key", compute))
            await entered.wait()
            follower = asyncio.create_task(backend.aget_or_set("key", compute))
            await asyncio.to_thread(wait_for_followers, backend, 1)
            follower.cancel()
            with pytest.raises(asyncio.CancelledError):
                await follower
            leave.set()
            return await leader

        with self.loop(backend) as run:
            assert "value" == run(main())
        assert "value" == backend.get("key")

    @once
    def test_a_synchronous_caller_does_not_wait_for_the_loop_it_blocks(
        self, backend: BaseBackend
    ) -> None:
        """A coroutine that calls `get_or_set` while a task of its loop computes does so itself."""
        entered = asyncio.Event()
        leave = asyncio.Event()

        async def compute() -> str:
            entered.set()
            await leave.wait()
            return "task"

        async def main() -> list[str]:
            task = asyncio.create_task(backend.aget_or_set("key", compute))
            await entered.wait()
            mine = backend.get_or_set("key", lambda: "mine")
            leave.set()
            return [mine, await task]

        with self.loop(backend) as run:
            assert ["mine", "task"] == run(main())
        assert "mine" == backend.get("key")

    @once
    def test_the_value_of_another_process_is_waited_for(
        self, half: Half, backend: BaseBackend
    ) -> None:
        """A follower looks at the place of the key in growing intervals until there is a value."""
        foreign = backend._claim("key", Claiming(bytes(16), 10.0))
        paused: list[float] = []

        def pause(seconds: float) -> None:
            paused.append(seconds)
            if len(paused) == 5:
                cached = CachedValue(backend._wrapped("key", "theirs"), 60.0)
                assert backend._settle("key", Filling(foreign.token, cached))

        async def apause(seconds: float) -> None:
            pause(seconds)

        backend._loading.pause, backend._loading.apause = pause, apause
        factory = Tally("mine")
        with self.in_half(half, backend) as cache:
            assert "theirs" == cache.get_or_set("key", factory)

        assert 0 == factory.calls
        assert 5 == len(paused)
        assert paused[4] > paused[0]
        assert 1.0 > max(paused)

    @once
    def test_a_leader_that_died_costs_its_followers_one_lock_timeout(
        self, half: Half, backend: BaseBackend, clock: FakeClock
    ) -> None:
        """After `lock_timeout` a follower takes over, and nothing is lost but time."""
        dead = backend._claim("key", Claiming(bytes(16), 10.0))
        waited = FakeClock(0.0)

        def pause(seconds: float) -> None:
            waited.advance(seconds)
            clock.advance(seconds)

        async def apause(seconds: float) -> None:
            pause(seconds)

        plans = backend._loading
        plans.pause, plans.apause, plans.timer = pause, apause, waited
        with self.in_half(half, backend) as cache:
            assert "mine" == cache.get_or_set("key", lambda: "mine", lock_timeout=7)

        assert Standing.LEAD is dead.standing
        assert 7 <= waited() <= 14.5
        assert not backend._settle("key", Filling(dead.token, CachedValue(b"", 60.0)))
        assert "mine" == backend.get("key")

    @once
    def test_a_lease_from_the_future_bounds_nobody(
        self, half: Half, backend: BaseBackend, clock: FakeClock
    ) -> None:
        """The clock of a leader that died was ahead, or ours was set back: two waits at most."""
        waited = FakeClock(0.0)

        def pause(seconds: float) -> None:
            waited.advance(seconds)
            clock.advance(seconds)

        async def apause(seconds: float) -> None:
            pause(seconds)

        plans = backend._loading
        plans.pause, plans.apause, plans.timer = pause, apause, waited
        for ahead in (0.5, 5.0, 30.0, 4000.0):
            key, began = f"ahead by {ahead:g}", waited()
            clock.advance(ahead)
            dead = backend._claim(key, Claiming(bytes(16), 10.0))
            clock.advance(-ahead)
            with self.in_half(half, backend) as cache:
                assert "mine" == cache.get_or_set(key, lambda: "mine", lock_timeout=7)

            assert Standing.LEAD is dead.standing
            assert waited() - began <= 14.5
            assert "mine" == backend.get(key)

    @once
    def test_many_values_are_computed_at_once(
        self, cache: CacheInterface, sample: Callable[[int], Any]
    ) -> None:
        """The factory gets exactly the missing keys; what it leaves out is not stored."""
        asked: list[list[str]] = []

        def compute(keys: list[str]) -> dict[str, Any]:
            asked.append(keys)
            return {key: sample(2) for key in keys if key != "gone"}

        cache.set("b", sample(1))
        found = cache.get_or_set_many(["a", "b", "gone", "c", "a"], compute, 60, default="none")
        again = cache.get_or_set_many(["c", "b", "a"], compute)

        assert {"a": sample(2), "b": sample(1), "gone": "none", "c": sample(2)} == found
        assert ["a", "b", "gone", "c"] == list(found)
        assert [["a", "gone", "c"]] == asked
        assert {"c": sample(2), "b": sample(1), "a": sample(2)} == again
        assert not cache.exists("gone")
        assert self.seconds(60) == cache.ttl("a")

    @once
    def test_many_keys_that_overlap_are_each_computed_once(
        self, half: Half, backend: BaseBackend
    ) -> None:
        """Callers with common keys in any order neither block each other nor compute twice."""
        lock = threading.Lock()
        computed: list[str] = []

        def compute(keys: list[str]) -> dict[str, str]:
            with lock:
                computed.extend(keys)
            return {key: f"value {key}" for key in keys}

        names = [f"key {n}" for n in range(12)]

        def caller(number: int) -> dict[str, str]:
            wanted = names[number:] + names[:number]
            with self.in_half(half, backend) as cache:
                return cache.get_or_set_many(wanted, compute)

        results = together(CALLERS, caller, patience=self.patience)

        assert [{name: f"value {name}" for name in names}] * CALLERS == results
        assert sorted(names) == sorted(computed)

    @once
    def test_a_failing_factory_of_many_gives_every_key_back(self, cache: CacheInterface) -> None:
        """The error is the caller's; the keys can be computed right away."""

        def failing(_keys: list[str]) -> dict[str, str]:
            message = "no"
            raise LookupError(message)

        with pytest.raises(LookupError):
            cache.get_or_set_many(["a", "b"], failing)

        assert "a" == cache.get_or_set("a", lambda: "a")
        assert {"a": "a", "b": "b"} == cache.get_or_set_many(["a", "b"], lambda _: {"b": "b"})

    @once
    def test_what_happens_is_counted_and_told(self, make: Make, built: list[BaseBackend]) -> None:
        """`stats()` counts reads when configured to, and everything else always."""
        cache = make(statistics=True)
        (backend,) = built
        events: list[object] = []
        off = [backend.on(kind, events.append) for kind in (Filled, FillRefused, FactoryFailed)]

        def failing() -> str:
            message = "no"
            raise LookupError(message)

        cache.get_or_set("key", lambda: "value")
        cache.get_or_set("key", lambda: "value")
        cache.get_many(["key", "none"])
        with pytest.raises(LookupError):
            cache.get_or_set("other", failing)
        for end in off:
            end()
        cache.get_or_set("third", lambda: "value")

        stats = backend.stats()
        assert (2, 4, 2, 1) == (stats.hits, stats.misses, stats.fills, stats.errors)
        assert 2 / 6 == stats.hit_ratio
        assert [(Filled, "key"), (FactoryFailed, "other")] == [
            (type(event), getattr(event, "key", None)) for event in events
        ]


async def _after(event: asyncio.Event, awaitable: Any) -> Any:
    await event.wait()
    return await awaitable
