"""Invalidation wins: what was computed before it is never stored, and nobody sees a lease."""

import math
import threading
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from jinpy_cache_core.backend import BaseBackend
from jinpy_cache_core.interfaces import CacheInterface
from jinpy_cache_core.loading.leases import Claiming, Standing
from jinpy_cache_core.sentinels import MISSING
from jinpy_cache_core.testing.factories import Gate
from jinpy_cache_core.testing.halves import Half
from jinpy_cache_core.testing.harness import Harness, once
from jinpy_cache_core.testing.threads import together

NEW = 7
OLD = 3

INVALIDATIONS: Mapping[str, tuple[Callable[[CacheInterface], object], Any]] = {
    "delete": (lambda cache: cache.delete("key"), MISSING),
    "delete_many": (lambda cache: cache.delete_many(["other", "key"]), MISSING),
    "clear": (lambda cache: cache.clear(), MISSING),
    "set to nothing": (lambda cache: cache.set("key", NEW, 0), MISSING),
    "set": (lambda cache: cache.set("key", NEW), NEW),
    "set_many": (lambda cache: cache.set_many({"key": NEW}), NEW),
    "add": (lambda cache: cache.add("key", NEW), NEW),
    "incr": (lambda cache: cache.incr("key", NEW), NEW),
}
"""What revokes a lease, with what is there afterwards."""


class InvalidationRows(Harness):
    """Leases stand in the place of the key, so whatever happens to the key happens to them."""

    @once
    @pytest.mark.parametrize("name", INVALIDATIONS)
    def test_a_value_that_came_too_late_is_not_stored(
        self, half: Half, backend: BaseBackend, name: str
    ) -> None:
        """After an invalidation during the computation only its own caller gets the value."""
        invalidate, expected = INVALIDATIONS[name]
        if expected is NEW and backend.config.serializer in ("str", "bytes"):
            pytest.skip("needs a number")

        def compute() -> int:
            bounded_call(lambda: invalidate(backend))
            return OLD

        with self.in_half(half, backend) as cache:
            got = cache.get_or_set("key", compute)

        assert OLD == got
        assert expected == backend.get("key", MISSING)
        assert 1 == backend.stats().refused_fills

    @once
    @pytest.mark.parametrize("name", ["delete", "delete_many", "clear", "set to nothing", "set"])
    def test_a_refresh_that_came_too_late_is_not_stored(
        self, half: Half, backend: BaseBackend, wait: Callable[[float], None], name: str
    ) -> None:
        """The same while a stale value is being computed anew: neither comes back."""
        invalidate, expected = INVALIDATIONS[name]

        def compute() -> int:
            bounded_call(lambda: invalidate(backend))
            return OLD

        with self.in_half(half, backend) as cache:
            cache.get_or_set("key", lambda: 1, 10, grace=100)
            wait(20)
            assert OLD == cache.get_or_set("key", compute, 10, grace=100)
            found = cache.get("key", MISSING)
            wait(2)
            after = cache.get_or_set("key", lambda: 99, 10, grace=100)

        assert expected == found
        assert (99 if expected is MISSING else expected) == after

    @once
    def test_many_that_came_too_late_are_not_stored(self, cache: CacheInterface) -> None:
        """In a bulk computation exactly the invalidated keys are left out."""
        backend = cache

        def compute(keys: list[str]) -> dict[str, int]:
            bounded_call(lambda: self._raw.delete("b"))
            return dict.fromkeys(keys, OLD)

        assert {"a": OLD, "b": OLD} == backend.get_or_set_many(["a", "b"], compute)
        assert {"a": OLD, "b": None} == cache.get_many(["a", "b"])

    @pytest.fixture(autouse=True)
    def _remember(self, request: pytest.FixtureRequest) -> None:
        if "cache" in request.fixturenames:
            self._raw: BaseBackend = request.getfixturevalue("backend")

    @once
    def test_who_comes_after_an_invalidation_joins_no_older_computation(
        self, half: Half, backend: BaseBackend
    ) -> None:
        """The newcomer computes at once, and the older value never overwrites the newer one."""
        entered, leave = Gate(), Gate()

        def old() -> int:
            entered.enter()
            leave.wait(self.patience)
            return OLD

        def new() -> int:
            return NEW

        def caller(number: int) -> list[int]:
            with self.in_half(half, backend) as cache:
                if number == 0:
                    return [cache.get_or_set("key", old)]
                entered.wait(self.patience)
                cache.delete("key")
                got = [cache.get_or_set("key", new)]
                leave.enter()
                return got

        assert [[OLD], [NEW]] == together(2, caller, patience=self.patience)
        assert NEW == backend.get("key")

    @once
    def test_a_forced_refresh_makes_an_older_computation_too_late(
        self, backend: BaseBackend
    ) -> None:
        """What began before the forced one may not overwrite it."""

        def compute() -> int:
            new = bounded_call(lambda: backend.get_or_set("key", lambda: NEW, force_refresh=True))
            assert NEW == new
            return OLD

        assert OLD == backend.get_or_set("key", compute)
        assert NEW == backend.get("key")

    @once
    def test_nobody_sees_a_lease(self, half: Half, backend: BaseBackend) -> None:
        """While a first value is computed, the key is absent for every operation."""
        with self.in_half(half, backend) as cache:
            lease = backend._claim("key", Claiming(bytes(16), 60.0))
            seen = [
                cache.get("key", "none"),
                cache.get_many(["key"], "none"),
                cache.exists("key"),
                cache.ttl("key"),
                cache.touch("key", 60),
                list(cache.scan()),
                cache.pop("key", "none"),
            ]
            followed = backend._claim("key", Claiming(bytes(15) + b"x", 60.0))
            deleted = [cache.delete("key"), cache.delete_many(["key"])]

        assert Standing.LEAD is lease.standing
        assert ["none", {"key": "none"}, False, None, False, [], "none"] == seen
        assert followed.standing is not Standing.FOUND
        assert [False, 0] == deleted

    @once
    def test_a_lease_does_not_keep_a_key_from_being_created(
        self, half: Half, backend: BaseBackend
    ) -> None:
        """`add` and `incr` find the key absent, and `decr` likewise."""
        with self.in_half(half, backend) as cache:
            for key in ("a", "b", "c"):
                backend._claim(key, Claiming(bytes(16), 60.0))
            created = [cache.add("a", 5, 60), cache.incr("b", 5, 60), cache.decr("c", 5, 60)]
            lifetimes = [cache.ttl(key) for key in ("a", "b", "c")]

            assert [True, 5, -5] == created
            assert [self.seconds(60)] * 3 == lifetimes
            assert {"a": 5, "b": 5, "c": -5} == cache.get_many(["a", "b", "c"])

    @once
    def test_a_stale_value_is_absent_for_everyone_else(
        self, cache: CacheInterface, wait: Callable[[float], None]
    ) -> None:
        """Grace is for factories that fail; every plain operation sees the ttl alone."""
        cache.get_or_set("key", lambda: 1, 10, grace=1000)
        fresh = [cache.get("key"), cache.exists("key"), cache.ttl("key"), list(cache.scan())]
        wait(11)
        stale = [cache.get("key"), cache.exists("key"), cache.ttl("key"), list(cache.scan())]

        assert [1, True, self.seconds(10), ["key"]] == fresh
        assert [None, False, None, []] == stale
        assert [False, False] == [cache.touch("key", 60), cache.delete("key")]
        assert cache.add("key", 5, 60)
        assert [5, self.seconds(60)] == [cache.get("key"), cache.ttl("key")]

    @once
    def test_a_value_with_grace_counts_and_lasts_as_any_other(
        self, cache: CacheInterface, wait: Callable[[float], None]
    ) -> None:
        """`touch`, `incr`, `pop` and `delete` work on it; its grace follows a touch."""
        for key in ("a", "b", "c", "d"):
            cache.get_or_set(key, lambda: 1, 10, grace=1000)
        done = [cache.touch("a", 100), cache.incr("b", 4), cache.pop("c"), cache.delete("d")]
        wait(11)

        assert [True, 5, 1, True] == done
        assert {"a": 1, "b": None, "c": None, "d": None} == cache.get_many(["a", "b", "c", "d"])
        assert self.seconds(89) == cache.ttl("a")
        assert cache.touch("a", math.inf)
        assert math.inf == cache.ttl("a")

    @once
    def test_a_value_that_is_computed_anew_is_seen_as_before(
        self, half: Half, backend: BaseBackend
    ) -> None:
        """A lease beside a fresh value changes nothing for anybody, and goes with the value."""
        seen: list[object] = []
        with self.in_half(half, backend) as cache:
            cache.set("key", 5, 60)

            def compute() -> int:
                seen.extend(bounded_call(lambda: looked_at(backend)))
                return 6

            assert 6 == cache.get_or_set("key", compute, 60, force_refresh=True)

        assert [5, {"key": 5}, True, self.seconds(60), ["key"], True, self.seconds(90)] == seen
        assert 6 == backend.get("key")

    @once
    def test_deletes_at_random_moments_let_no_older_value_through(
        self, backend: BaseBackend
    ) -> None:
        """Whatever a reader finds was computed after the last invalidation that had ended."""
        source = [0]
        lock = threading.Lock()
        wrong: list[tuple[int, int]] = []
        computed: list[int] = []

        def compute() -> int:
            with lock:
                computed.append(source[0])
                return source[0]

        def caller(number: int) -> None:
            for _ in range(60):
                if number == 0:
                    with lock:
                        source[0] += 1
                    backend.delete("key")
                    with lock:
                        ended[0] = source[0]
                    continue
                at_least = ended[0]
                got = backend.get_or_set("key", compute)
                if got < at_least:
                    wrong.append((got, at_least))

        ended = [0]
        together(8, caller, patience=self.patience)

        assert [] == wrong
        assert source[0] == 60


def looked_at(cache: CacheInterface) -> list[object]:
    """What the operations that read say about the key, and `touch`."""
    return [
        cache.get("key"),
        cache.get_many(["key"]),
        cache.exists("key"),
        cache.ttl("key"),
        list(cache.scan()),
        cache.touch("key", 90),
        cache.ttl("key"),
    ]


def bounded_call(call: Callable[[], Any]) -> Any:
    """Call in another thread, as somebody else would."""
    (result,) = together(1, lambda _: call())
    return result
