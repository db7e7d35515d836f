"""How long an entry lives: ttl, default_ttl, never, gone at once, and the instant of expiry."""

import math
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from jinpy_cache_core.exceptions import CacheValueError
from jinpy_cache_core.interfaces import CacheInterface
from jinpy_cache_core.sentinels import MISSING
from jinpy_cache_testing.harness import Harness, Make, once
from jinpy_cache_testing.suite.operations import TIMED

CENTURY = 100 * 365.25 * 24 * 3600

GONE = (0, -1, -0.0, 0.0, -1e9, -1e308, -(10**400), timedelta(0), timedelta(days=-1))
"""Lifetimes that are over before they begin."""

NEVER = (math.inf, CENTURY * 1.001, 1e308, 10**400, timedelta.max, timedelta(days=40_000))
"""Lifetimes beyond a century."""

NO_DURATION = (math.nan, -math.inf)
NO_NUMBER = (True, False, "60", b"60", object(), [60], 1j, Decimal(60), Fraction(60))

NANOSECOND = 1e-9


def _gone(cache: CacheInterface, key: str) -> dict[str, bool]:
    """Whether each operation finds the key absent."""
    return {
        "get": cache.get(key, MISSING) is MISSING,
        "get_many": cache.get_many([key], MISSING)[key] is MISSING,
        "exists": not cache.exists(key),
        "ttl": cache.ttl(key) is None,
        "scan": key not in cache.scan(),
        "touch": not cache.touch(key, 60),
        "pop": cache.pop(key, MISSING) is MISSING,
        "delete": not cache.delete(key),
        "delete_many": cache.delete_many([key]) == 0,
    }


def _live(cache: CacheInterface, key: str) -> dict[str, bool]:
    """Whether each operation that only reads finds the key."""
    return {
        "get": cache.get(key, MISSING) is not MISSING,
        "get_many": cache.get_many([key], MISSING)[key] is not MISSING,
        "exists": cache.exists(key),
        "ttl": cache.ttl(key) is not None,
        "scan": key in cache.scan(),
    }


class LifetimeSuite(Harness):
    """Ttl, touch and expiry."""

    def test_without_a_ttl_an_entry_never_expires(
        self,
        cache: CacheInterface,
        sample: Callable[[int], Any],
        wait: Callable[[float], None],
    ) -> None:
        """By default there is no default_ttl."""
        cache.set("key", sample(1))
        wait(10 * 365 * 24 * 3600)

        assert math.inf == cache.ttl("key")
        assert sample(1) == cache.get("key")

    def test_an_entry_lives_as_long_as_its_ttl(
        self,
        cache: CacheInterface,
        sample: Callable[[int], Any],
        wait: Callable[[float], None],
    ) -> None:
        """Before the ttl has passed the entry is there for every operation, then for none."""
        cache.set("key", sample(1), ttl=60)
        assert self.seconds(60) == cache.ttl("key")
        wait(45)
        assert all(_live(cache, "key").values())
        assert self.seconds(15) == cache.ttl("key")
        wait(20)
        gone = _gone(cache, "key")
        assert dict.fromkeys(gone, True) == gone

    def test_an_expired_entry_is_gone_for_each_operation(
        self,
        cache: CacheInterface,
        sample: Callable[[int], Any],
        wait: Callable[[float], None],
    ) -> None:
        """Whichever operation comes first after the expiry, it finds nothing."""
        keys = list(_gone(cache, "key"))
        cache.set_many({key: sample(1) for key in keys}, ttl=10)
        wait(11)

        first = {
            "get": cache.get("get", MISSING) is MISSING,
            "get_many": cache.get_many(["get_many"], MISSING)["get_many"] is MISSING,
            "exists": cache.exists("exists") is False,
            "ttl": cache.ttl("ttl") is None,
            "scan": "scan" not in cache.scan(),
            "touch": cache.touch("touch", math.inf) is False,
            "pop": cache.pop("pop", MISSING) is MISSING,
            "delete": cache.delete("delete") is False,
            "delete_many": cache.delete_many(["delete_many"]) == 0,
        }

        assert dict.fromkeys(keys, True) == first

    @once
    def test_an_entry_is_expired_at_its_deadline(
        self,
        cache: CacheInterface,
        sample: Callable[[int], Any],
        wait: Callable[[float], None],
    ) -> None:
        """A nanosecond before the deadline it lives; at the deadline and after, it does not."""
        if not self.exact_clock:
            pytest.skip("the store's clock is its own")
        found: list[dict[str, bool]] = []
        for offset in (-NANOSECOND, 0.0, NANOSECOND):
            cache.set("key", sample(1), ttl=8)
            wait(8 + offset)
            found.append(_live(cache, "key"))

        operations = list(found[0])
        assert [
            dict.fromkeys(operations, True),
            dict.fromkeys(operations, False),
            dict.fromkeys(operations, False),
        ] == found

    @once
    @pytest.mark.parametrize("ttl", [0.0004, 0.001, 0.5, 0.9999, timedelta(milliseconds=1)])
    def test_a_ttl_below_a_second_is_kept(
        self,
        cache: CacheInterface,
        sample: Callable[[int], Any],
        wait: Callable[[float], None],
        ttl: float | timedelta,
    ) -> None:
        """A short-lived entry is there at first and gone afterwards; it is never rounded to 0."""
        seconds = ttl.total_seconds() if isinstance(ttl, timedelta) else ttl
        cache.set("key", sample(1), ttl)

        if self.exact_clock or seconds > 0.1:
            assert sample(1) == cache.get("key")
            left = cache.ttl("key")
            assert left is not None
            assert 0 < left <= seconds + (NANOSECOND if self.exact_clock else 0.001)
        wait(max(seconds, 0.002) if not self.exact_clock else seconds)
        assert cache.get("key", MISSING) is MISSING

    def test_a_timedelta_is_a_ttl(
        self, cache: CacheInterface, sample: Callable[[int], Any]
    ) -> None:
        """Every operation that takes seconds takes a timedelta."""
        cache.set("key", sample(1), timedelta(minutes=2))
        assert self.seconds(120) == cache.ttl("key")
        cache.touch("key", timedelta(hours=1))
        assert self.seconds(3600) == cache.ttl("key")
        cache.incr("counter", ttl=timedelta(seconds=90))
        assert self.seconds(90) == cache.ttl("counter")

    def test_the_default_ttl_stands_in_for_none(
        self,
        make: Make,
        sample: Callable[[int], Any],
        wait: Callable[[float], None],
    ) -> None:
        """`ttl=None` is the backend's default_ttl in every operation, whatever was there."""
        cache = make(default_ttl=60)
        cache.set("set", sample(1))
        cache.set("set over", sample(1), 5)
        cache.set("set over", sample(1))
        cache.set("set over never", sample(1), math.inf)
        cache.set("set over never", sample(1))
        cache.add("add", sample(1))
        cache.set_many({"set_many": sample(1)})
        cache.incr("incr")
        cache.decr("decr")
        cache.set("touch", sample(1), 5)
        cache.touch("touch", None)

        left = {key: cache.ttl(key) for key in cache.scan()}

        expected = ("set", "set over", "set over never", "add", "set_many", "incr", "decr", "touch")
        assert dict.fromkeys(expected, self.seconds(60)) == left
        wait(61)
        assert [] == list(cache.scan())

    def test_infinity_overrides_the_default_ttl(
        self,
        make: Make,
        sample: Callable[[int], Any],
        wait: Callable[[float], None],
    ) -> None:
        """`math.inf` makes an entry persistent in spite of a default_ttl and of an earlier ttl."""
        cache = make(default_ttl=60)
        cache.set("set", sample(1))
        cache.set("set", sample(1), math.inf)
        cache.add("add", sample(1), math.inf)
        cache.set_many({"set_many": sample(1)}, math.inf)
        cache.incr("incr", 1, math.inf)
        cache.set("touch", sample(1))
        cache.touch("touch", math.inf)
        wait(61)

        expected = ("set", "add", "set_many", "incr", "touch")
        assert dict.fromkeys(expected, math.inf) == {key: cache.ttl(key) for key in cache.scan()}

    @once
    def test_beyond_a_century_is_never(
        self, cache: CacheInterface, sample: Callable[[int], Any]
    ) -> None:
        """Lifetimes over a hundred years make no deadline."""
        found: dict[str, object] = {}
        for ttl in NEVER:
            cache.set("key", sample(1), ttl)
            cache.set("touched", sample(1), 1)
            cache.touch("touched", ttl)
            found[repr(ttl)[:40]] = (cache.ttl("key"), cache.ttl("touched"))

        assert {repr(ttl)[:40]: (math.inf, math.inf) for ttl in NEVER} == found

    @once
    def test_a_long_ttl_is_kept(self, cache: CacheInterface, sample: Callable[[int], Any]) -> None:
        """Fifty years are fifty years."""
        cache.set("key", sample(1), CENTURY / 2)

        assert self.seconds(CENTURY / 2) == cache.ttl("key")

    @pytest.mark.parametrize("ttl", GONE, ids=lambda ttl: repr(ttl)[:20])
    @once
    def test_a_ttl_of_zero_or_less_removes(
        self, cache: CacheInterface, sample: Callable[[int], Any], ttl: Any
    ) -> None:
        """Such a ttl is no error: the entry is gone, whichever operation it was given to."""
        keys = ("set", "set_many", "touch")
        cache.set_many(dict.fromkeys(keys, sample(2)), 60)

        cache.set("set", sample(1), ttl)
        cache.set_many({"set_many": sample(1), "new": sample(1)}, ttl)
        assert cache.touch("touch", ttl) is True
        assert cache.touch("touch", ttl) is False
        assert cache.add("add", sample(1), ttl) is True
        assert 1 == cache.incr("incr", 1, ttl)
        assert -1 == cache.decr("decr", 1, ttl)

        assert [] == list(cache.scan())
        assert [MISSING] * 7 == list(
            cache.get_many([*keys, "new", "add", "incr", "decr"], MISSING).values()
        )

    @once
    def test_a_ttl_of_zero_leaves_what_add_and_incr_do_not_replace(
        self, cache: CacheInterface, sample: Callable[[int], Any]
    ) -> None:
        """`add` on a live key and `incr` on a live counter ignore their ttl, zero included."""
        cache.set("key", sample(1), 60)
        cache.incr("counter", 5, 60)

        assert cache.add("key", sample(2), 0) is False
        assert 6 == cache.incr("counter", 1, 0)

        assert sample(1) == cache.get("key")
        assert self.seconds(60) == cache.ttl("key")
        assert self.seconds(60) == cache.ttl("counter")

    @once
    @pytest.mark.parametrize("operation", TIMED)
    def test_what_is_no_duration_is_refused(
        self, cache: CacheInterface, sample: Callable[[int], Any], operation: str
    ) -> None:
        """NaN, bool, str and the like are errors, also TypeErrors; what was there stays."""
        held: Any = 5 if operation in {"incr", "decr"} else sample(1)
        cache.set("key", held, 60)

        for ttl in (*NO_DURATION, *NO_NUMBER):
            for key in ("key", "absent"):
                with pytest.raises(CacheValueError) as caught:
                    TIMED[operation](cache, key, sample(2), ttl)
                assert (ttl in NO_NUMBER) is isinstance(caught.value, TypeError), ttl

        assert held == cache.get("key")
        assert self.seconds(60) == cache.ttl("key")
        assert ["key"] == list(cache.scan())

    @once
    def test_a_bad_ttl_is_noticed_before_anything_else_happens(self, cache: CacheInterface) -> None:
        """`set_many` of nothing with a bad ttl is an error all the same."""
        with pytest.raises(CacheValueError):
            cache.set_many({}, math.nan)

    def test_set_replaces_the_ttl(
        self,
        cache: CacheInterface,
        sample: Callable[[int], Any],
        wait: Callable[[float], None],
    ) -> None:
        """A new value has its own lifetime, longer, shorter or endless."""
        cache.set("key", sample(1), 60)
        cache.set("key", sample(2), 10)
        assert self.seconds(10) == cache.ttl("key")
        cache.set("key", sample(3), 100)
        wait(61)
        assert sample(3) == cache.get("key")
        cache.set("key", sample(4))
        assert math.inf == cache.ttl("key")
        wait(100)
        assert sample(4) == cache.get("key")

    def test_touch_gives_a_new_lifetime_from_now_on(
        self,
        cache: CacheInterface,
        sample: Callable[[int], Any],
        wait: Callable[[float], None],
    ) -> None:
        """`touch` prolongs, shortens or ends the lifetime and leaves the value."""
        cache.set("key", sample(1), 60)
        wait(50)
        assert cache.touch("key", 60) is True
        assert self.seconds(60) == cache.ttl("key")
        wait(50)
        assert sample(1) == cache.get("key")
        assert cache.touch("key", 5) is True
        assert self.seconds(5) == cache.ttl("key")
        assert cache.touch("key", math.inf) is True
        wait(1000)
        assert sample(1) == cache.get("key")
        assert math.inf == cache.ttl("key")

    def test_missing_persistent_and_short_lived_keys_answer_alike_everywhere(
        self,
        cache: CacheInterface,
        sample: Callable[[int], Any],
        wait: Callable[[float], None],
    ) -> None:
        """`ttl`, `touch`, `exists` and `delete` of a key in each state of life."""
        # Where the store has a clock of its own, the time that a busy machine takes must not count.
        unit, left = (1.0, 0.001) if self.exact_clock else (60.0, 30.0)
        cache.set("persistent", sample(1))
        cache.set("expired", sample(1), unit)
        cache.set("ending", sample(1), 2 * unit)
        wait(2 * unit - left)

        def states(operation: Callable[[str], object]) -> list[object]:
            return [operation(key) for key in ("missing", "expired", "persistent", "ending")]

        ending = cache.ttl("ending")
        assert ending is not None
        assert 0 < ending <= left + 0.001
        assert [None, None, math.inf] == states(cache.ttl)[:3]
        assert [False, False, True, True] == states(cache.exists)
        assert [False, False, True, True] == states(lambda key: cache.touch(key, 60))
        assert self.seconds(60) == cache.ttl("ending")
        assert self.seconds(60) == cache.ttl("persistent")
        assert [False, False, True, True] == states(cache.delete)

    def test_reading_does_not_prolong(
        self,
        cache: CacheInterface,
        sample: Callable[[int], Any],
        wait: Callable[[float], None],
    ) -> None:
        """No operation but a write and `touch` moves a deadline."""
        cache.set("key", sample(1), 60)
        wait(30)
        cache.get("key")
        cache.get_many(["key"])
        cache.exists("key")
        cache.ttl("key")
        list(cache.scan())

        assert self.seconds(30) == cache.ttl("key")
