"""The promise: what a healthy function returned is returned, on time, whatever befalls the rest.

The store fails at every step, entries cannot be read, leaders die, factories hang, sources are
down: each row says what a caller of a function gets, and that the others do not notice.
"""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from jinpy_cache_core.backend.base import BaseBackend
from jinpy_cache_core.exceptions import (
    UNREADABLE,
    CacheBackendError,
    CacheConnectionError,
    CacheException,
    CacheTimeoutError,
)
from jinpy_cache_core.interfaces import CacheInterface
from jinpy_cache_core.loading.events import OutageBegan, StoreFailed, Unreadable
from jinpy_cache_core.loading.leases import Claiming, Standing
from jinpy_cache_testing.clock import FakeClock
from jinpy_cache_testing.factories import Failing, Gate, Tally, of_half, wait_for_followers
from jinpy_cache_testing.harness import Harness, Make, once, only_with
from jinpy_cache_testing.sync_view import Half
from jinpy_cache_testing.threads import together

CALLERS = 8
TTL = 10.0


class Break:
    """A store that fails at one step: the rest of it goes on.

    Args:
        backend: Whose store.
        step: `"read"`, `"claim"` or `"settle"`.
        error: What it fails with.
    """

    def __init__(self, backend: BaseBackend, step: str, error: CacheException) -> None:
        self.asked: list[str] = []
        self.error: CacheException | None = error
        if step == "read":
            loud = self._sync("read", backend.get), self._async("read", backend.aget)
            shortcuts: Any = backend
            shortcuts._reading = _always(loud[0])
            shortcuts._areading = _always(loud[1])
            many = (
                self._sync("read", backend.get_many),
                self._async("read", backend.aget_many),
            )
            shortcuts._reading_many = _always(many[0])
            shortcuts._areading_many = _always(many[1])
        for name in ("peek", "claim", "settle", "claim_many", "settle_many"):
            broken = name.startswith(step)
            for prefix, wrap in (("_", self._sync), ("_a", self._async)):
                whole = getattr(backend, prefix + name)
                setattr(backend, prefix + name, wrap(name, whole, broken=broken))

    def _note(self, name: str, *, broken: bool) -> None:
        self.asked.append(name)
        if broken and self.error is not None:
            raise self.error

    def _sync(self, name: str, call: Callable[..., Any], *, broken: bool = True) -> Any:
        def failing(*args: Any, **kwargs: Any) -> Any:
            self._note(name, broken=broken)
            return call(*args, **kwargs)

        return failing

    def _async(self, name: str, call: Callable[..., Any], *, broken: bool = True) -> Any:
        async def failing(*args: Any, **kwargs: Any) -> Any:
            self._note(name, broken=broken)
            return await call(*args, **kwargs)

        return failing


class PromiseSuite(Harness):
    """What the callers of functions are promised."""

    @once
    @pytest.mark.parametrize("step", ["read", "claim", "settle"])
    @pytest.mark.parametrize("error", [CacheConnectionError, CacheTimeoutError, CacheBackendError])
    def test_a_store_that_fails_costs_the_hit_and_never_the_value(
        self, half: Half, backend: BaseBackend, step: str, error: type[CacheException]
    ) -> None:
        """A failed read is a miss, a failed store costs the next hit; counted, and told."""
        told: list[StoreFailed] = []
        backend.on(StoreFailed, told.append)
        broken = Break(backend, step, error("away"))
        with self.in_half(half, backend) as cache:
            value = cache.get_or_set("key", lambda: "value", TTL)
            asked = list(broken.asked)
            many = cache.get_or_set_many(["a", "b"], lambda keys: dict.fromkeys(keys, "many"))
            broken.error = None

            assert ("value", {"a": "many", "b": "many"}) == (value, many)
            after = asked[asked.index(step) + 1 :]
            assert not {"peek", "claim"} & set(after), "it failed, and was asked again"
            assert [step != "settle"] * 2 == [one.reading for one in told]
            stats = backend.stats()
            assert 2 == stats.degraded
            assert 3 == stats.unstored
            assert "again" == cache.get_or_set("key", lambda: "again", TTL)

    @once
    @pytest.mark.parametrize("step", ["read", "claim", "settle"])
    def test_who_insists_gets_the_error_of_the_store(
        self, half: Half, backend: BaseBackend, step: str
    ) -> None:
        """`on_error="raise"`: for who would rather know."""
        broken = Break(backend, step, CacheConnectionError("away"))
        with self.in_half(half, backend) as cache:
            with pytest.raises(CacheConnectionError):
                cache.get_or_set("key", lambda: "value", TTL, on_error="raise")
            broken.error = None

    @once
    def test_a_backend_may_insist(self, make: Make, built: list[BaseBackend]) -> None:
        """The configuration says it for all calls, and a call says otherwise."""
        cache = make(on_error="raise")
        broken = Break(built[-1], "settle", CacheConnectionError("away"))

        with pytest.raises(CacheConnectionError):
            cache.get_or_set("key", lambda: "value", TTL)
        assert "value" == cache.get_or_set("other", lambda: "value", TTL, on_error="compute")
        broken.error = None

    @once
    def test_a_store_that_fails_again_and_again_is_left_alone(
        self, half: Half, backend: BaseBackend
    ) -> None:
        """A few failures in a row are one outage: told once, and nobody asks until a probe does."""
        began: list[object] = []
        backend.on(OutageBegan, began.append)
        broken = Break(backend, "read", CacheConnectionError("away"))
        loading: Any = backend._loading
        loading.probe = lambda: None
        with self.in_half(half, backend) as cache:
            for number in range(20):
                assert number == cache.get_or_set("key", lambda n=number: n)  # type: ignore[misc]

        assert 1 == len(began) == backend.stats().outages
        assert 0 == broken.asked.count("claim")
        assert 20 == backend.stats().degraded
        broken.error = None
        with self.in_half(half, backend) as cache:
            assert 20 == cache.get_or_set("key", lambda: 20)
            assert 0 == broken.asked.count("claim"), "it was asked while it was given up"
            assert backend._loading.outage.probed(answered=True)
            assert 21 == cache.get_or_set("key", lambda: 21)
            assert broken.asked.count("claim")

    @once
    def test_what_cannot_be_read_is_computed_anew(
        self, cache: CacheInterface, backend: BaseBackend
    ) -> None:
        """Damage and foreign bytes are misses of a function, and overwritten; counted, and told."""
        told: list[Unreadable] = []
        backend.on(Unreadable, told.append)
        for key in ("one", "many"):
            self.raw_payload(backend, key, b"\xc1\x01\x00")

        assert "value" == cache.get_or_set("one", lambda: "value", TTL)
        found = cache.get_or_set_many(["many", "none"], lambda keys: dict.fromkeys(keys, "value"))

        assert {"many": "value", "none": "value"} == found
        assert ["value"] * 2 == [cache.get("one"), cache.get("many")]
        assert {"one", "many"} == {one.key for one in told}
        assert 2 == backend.stats().unreadable

    @once
    def test_many_values_of_which_some_cannot_be_read(
        self, half: Half, backend: BaseBackend
    ) -> None:
        """The error names one of them, and has all that can be read; a function computes the rest.

        So it is whether the damaged one comes first or in the middle, or among thousands.
        """
        keys = ["bad", "a", "worse", "none", *map(str, range(1_200)), "late"]
        there = {key: key for key in keys if key not in {"bad", "worse", "none", "late"}}
        asked: list[str] = []

        def compute(missing: list[str]) -> dict[str, str]:
            asked.extend(missing)
            return dict.fromkeys(missing, "computed")

        backend.set_many(there)
        for key in ("bad", "worse", "late"):
            self.raw_payload(backend, key, b"\xc1\x01\x00")
        with self.in_half(half, backend) as cache:
            with pytest.raises(UNREADABLE) as caught:
                cache.get_many(keys, "default")
            found = cache.get_or_set_many(keys, compute)

        assert "bad" == caught.value.key
        assert {**there, "none": "default"} == caught.value.partial
        assert ["bad", "late", "none", "worse"] == sorted(asked)
        assert {**there, **dict.fromkeys(asked, "computed")} == found

    @only_with("msgpack")
    def test_a_value_of_another_type_is_computed_anew(self, cache: CacheInterface) -> None:
        """What a program of yesterday stored as another class is of no use to this one."""
        cache.set("key", "yesterday", TTL)

        assert 1 == cache.get_or_set("key", lambda: 1, TTL, type=int)
        assert 1 == cache.get("key")

    @once
    def test_what_a_newer_release_wrote_is_computed_and_left_in_place(
        self, cache: CacheInterface, backend: BaseBackend
    ) -> None:
        """A fleet that is being upgraded does not lose its values to those not upgraded yet."""
        newer = b"\xc1\x02\x00\x00"
        self.raw_payload(backend, "key", newer)

        assert "mine" == cache.get_or_set("key", lambda: "mine", TTL)
        record = backend._read("key")  # pyright: ignore[reportPrivateUsage]
        assert record is not None
        assert newer == record.payload

    @once
    @pytest.mark.parametrize("death", ["cancelled", "cancelled twice", "sibling"])
    def test_a_cancelled_leader_is_missed_by_nobody(
        self, backend: BaseBackend, build: Callable[..., BaseBackend], death: str
    ) -> None:
        """Its lease is given back behind it: the next caller anywhere does not wait for it."""
        other = build()

        async def hanging() -> str:
            entered.set()
            await asyncio.Event().wait()
            return "never"

        async def failing() -> None:
            await entered.wait()
            raise ZeroDivisionError

        async def main() -> bool:
            if death == "sibling":
                with pytest.raises(ExceptionGroup):
                    async with asyncio.TaskGroup() as group:
                        group.create_task(backend.aget_or_set("key", hanging))
                        group.create_task(failing())
            else:
                task = asyncio.create_task(backend.aget_or_set("key", hanging))
                await entered.wait()
                task.cancel()
                if death == "cancelled twice":
                    await asyncio.sleep(0)
                    task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            return await asyncio.to_thread(backend._loading.returns.drain, self.patience)

        entered = asyncio.Event()
        with self.loop(backend) as run:
            drained = run(main())

        assert drained
        assert Standing.LEAD is other._claim("key", Claiming(bytes(16), 10.0)).standing or (
            other.config.backend_type == "memory"
        )
        assert 0 == len(backend._loading.flights.leased())
        assert "value" == backend.get_or_set("key", lambda: "value", lock_timeout=0)

    @once
    @pytest.mark.parametrize("error", [GeneratorExit, KeyboardInterrupt, SystemExit])
    def test_a_leader_that_is_interrupted_is_missed_by_nobody(
        self, backend: BaseBackend, error: type[BaseException]
    ) -> None:
        """What ends a thread or a process comes out as it went in, and leaves no lease."""

        def dying() -> str:
            raise error

        with pytest.raises(error):
            backend.get_or_set("key", dying)
        assert backend._loading.returns.drain(self.patience)
        waited: list[float] = []
        backend._loading.pause = waited.append

        assert "value" == backend.get_or_set("key", lambda: "value")
        assert [] == waited

    @once
    def test_errors_come_out_as_they_went_in(self, backend: BaseBackend) -> None:
        """Even those that Python changes on their way through a generator."""

        def stopping() -> Any:
            return next(iter(()))

        for _ in range(2):
            with pytest.raises(StopIteration):
                backend.get_or_set("key", stopping)

    @once
    def test_an_error_that_is_raised_again_and_again_does_not_grow(
        self, cache: CacheInterface
    ) -> None:
        """The frames of our plans are not in it, however often a source raises one object."""
        error = LookupError("the same object")

        def failing() -> Any:
            raise error

        seen: list[list[str]] = []
        for _ in range(3):
            error.__traceback__ = None
            with pytest.raises(LookupError) as caught:
                cache.get_or_set("key", failing)
            seen.append([f"{one.path}: {one.name}" for one in caught.traceback])

        assert len(seen[0]) == len(seen[2])
        assert seen[2][-1].endswith(": failing")
        assert not [one for one in seen[2] if "leader.py" in one]

    @once
    @pytest.mark.parametrize("stale", [True, False])
    @pytest.mark.parametrize("which", ["hard_timeout", "soft_timeout"])
    def test_timeouts_bind_those_who_wait_as_well(
        self, half: Half, backend: BaseBackend, clock: FakeClock, stale: bool, which: str
    ) -> None:
        """A leader and seven followers of a factory that hangs: each time is the timeout."""
        if which == "soft_timeout" and not stale:
            pytest.skip("a soft timeout needs a value to serve")
        leave = Gate()

        def hang() -> str:
            leave.wait(self.patience)
            return "late"

        if stale:
            backend.get_or_set("key", lambda: "stale", 0.05, grace=1000.0)
            self.advance(backend, clock, 0.1)

        def caller(_: int) -> Any:
            with self.in_half(half, backend) as cache:
                how: Any = {"grace": 1000.0, which: 0.2}
                try:
                    return cache.get_or_set("key", of_half(hang, half), TTL, **how)
                except CacheTimeoutError:
                    return "timeout"
                finally:
                    done.append(1)
                    if len(done) == CALLERS:
                        leave.enter()

        done: list[int] = []
        results = together(CALLERS, caller, patience=self.patience)

        assert ["stale" if stale else "timeout"] * CALLERS == results

    @once
    def test_timeouts_measure_the_factory_and_not_the_store(
        self, half: Half, backend: BaseBackend
    ) -> None:
        """An instant factory over a store that hangs: the value, not a timeout."""
        gate = threading.Event()
        whole = backend._settle

        def slow(*args: Any, **kwargs: Any) -> bool:
            gate.wait(self.patience)
            return whole(*args, **kwargs)

        async def aslow(*args: Any, **kwargs: Any) -> bool:
            return await asyncio.to_thread(slow, *args, **kwargs)

        hooks: Any = backend
        hooks._settle, hooks._asettle = slow, aslow
        with self.in_half(half, backend) as cache:
            assert "value" == cache.get_or_set("key", lambda: "value", TTL, hard_timeout=5.0)
            gate.set()

    @once
    def test_a_failure_may_be_remembered(self, cache: CacheInterface, backend: BaseBackend) -> None:
        """For `failure_ttl` the source is left alone, and its error is raised instead."""
        present = FakeClock(0.0)
        backend._loading.timer = present
        failing = Failing()

        for _ in range(3):
            with pytest.raises(LookupError):
                cache.get_or_set("key", failing, failure_ttl=5)
        calls = failing.calls
        present.advance(6)

        assert 1 == calls
        assert "value" == cache.get_or_set("key", lambda: "value", failure_ttl=5)

    @once
    def test_a_value_nobody_can_store_is_computed_side_by_side(self, backend: BaseBackend) -> None:
        """Those who waited for it do not compute it one after the other."""
        if backend.config.serializer in (None, "bytes"):
            pytest.skip("needs a value that cannot be stored")
        everyone = threading.Barrier(CALLERS - 1)
        tally = Tally(*range(CALLERS))

        def compute() -> Any:
            if tally() == 0:
                wait_for_followers(backend, CALLERS - 1)
            else:
                everyone.wait(self.patience)
            return threading.Lock()

        together(CALLERS, lambda _: backend.get_or_set("key", compute), patience=self.patience)

        assert CALLERS == tally.calls

    @once
    def test_many_tasks_on_one_key_ask_as_one(self, backend: BaseBackend) -> None:
        """A burst is one computation, and a handful of questions to the store."""
        asked: list[str] = []
        whole = backend._aclaim

        async def claim(key: str, claiming: Any, within: float = 1.0) -> Any:
            asked.append(key)
            return await whole(key, claiming, within)

        async def compute() -> str:
            await asyncio.sleep(0)
            return "value"

        async def main() -> list[str]:
            calls = [backend.aget_or_set("key", counted) for _ in range(500)]
            return list(await asyncio.gather(*calls))

        async def counted() -> str:
            computed.append(1)
            return await compute()

        computed: list[int] = []
        hooks: Any = backend
        hooks._aclaim = claim
        with self.loop(backend) as run:
            assert ["value"] * 500 == run(main())
        assert 1 == len(computed)
        if not backend._gives_back_at_once:  # pyright: ignore[reportPrivateUsage]
            assert 10 > len(asked)


def _always(answer: object) -> Callable[..., Any]:
    def always(*_: object) -> object:
        return answer

    return always
