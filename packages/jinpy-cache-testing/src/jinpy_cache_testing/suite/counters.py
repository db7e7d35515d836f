"""Counters: signed 64-bit integers that start at 0 and keep their expiry."""

import math
from collections.abc import Callable
from typing import Any

import pytest

from jinpy_cache_core.exceptions import CacheSerializationError, CacheValueError
from jinpy_cache_core.interfaces import CacheInterface
from jinpy_cache_core.sentinels import MISSING
from jinpy_cache_testing.harness import Harness, Make, once
from jinpy_cache_testing.samples import same
from jinpy_cache_testing.suite.operations import outcome

INT64_MAX = 2**63 - 1
INT64_MIN = -(2**63)

NO_COUNTERS: dict[str, object] = {
    "word": "abc",
    "digits": "12",
    "signed digits": "-1",
    "digit bytes": b"12",
    "empty str": "",
    "empty bytes": b"",
    "float": 1.5,
    "whole float": 1.0,
    "True": True,
    "False": False,
    "None": None,
    "list": [1],
    "dict": {"n": 1},
    "text": "value 1",
    "data": b"value 1",
}
"""Values that are no int, some of which look like one."""

NO_AMOUNT = (True, 1.5, 1.0, "1", None, b"1", math.inf)
TOO_MUCH = (2**63, 2**70, -(2**63) - 1, 10**100)


class CounterSuite(Harness):
    """incr and decr."""

    def test_a_missing_counter_starts_at_zero(self, cache: CacheInterface) -> None:
        """The first count is the amount, and is stored as an int."""
        assert 1 == cache.incr("up")
        assert -1 == cache.decr("down")
        assert 5 == cache.incr("five", 5)
        assert 0 == cache.incr("zero", 0)

        assert {"up": 1, "down": -1, "five": 5, "zero": 0} == cache.get_many(
            ["up", "down", "five", "zero"]
        )
        assert type(cache.get("up")) is int

    def test_counts_add_up(self, cache: CacheInterface) -> None:
        """Each call returns the new count; a negative amount counts the other way."""
        counts = [
            cache.incr("key", 10),
            cache.incr("key", -3),
            cache.decr("key"),
            cache.decr("key", -4),
            cache.incr("key", 0),
            cache.decr("key", 30),
        ]

        assert [10, 7, 6, 10, 10, -20] == counts
        assert -20 == cache.get("key")

    def test_a_stored_int_is_a_counter(self, cache: CacheInterface) -> None:
        """What `set` stored as an int can be counted, and is read back as one."""
        cache.set("key", 41)

        assert 42 == cache.incr("key")
        assert same(42, cache.get("key"))
        assert same(42, cache.pop("key"))

    def test_a_counter_keeps_its_expiry(
        self, cache: CacheInterface, wait: Callable[[float], None]
    ) -> None:
        """The ttl counts when the counter is created; later ones are ignored."""
        cache.incr("key", 1, ttl=60)
        wait(20)
        cache.incr("key", 1, ttl=1000)
        cache.decr("key", 1, ttl=1)
        cache.incr("key", 1)

        assert self.seconds(40) == cache.ttl("key")
        wait(41)
        assert 1 == cache.incr("key")
        assert math.inf == cache.ttl("key")

    def test_a_persistent_counter_stays_persistent(self, cache: CacheInterface) -> None:
        """A ttl given later does not make a counter expire."""
        cache.incr("key")
        cache.incr("key", 1, ttl=5)
        cache.set("stored", 1)
        cache.incr("stored", 1, ttl=5)

        assert math.inf == cache.ttl("key")
        assert math.inf == cache.ttl("stored")

    def test_a_counter_of_a_cache_with_a_default_ttl(
        self, make: Make, wait: Callable[[float], None]
    ) -> None:
        """The default_ttl is set once, not with every count."""
        cache = make(default_ttl=60)
        cache.incr("key")
        wait(50)
        cache.incr("key")

        assert self.seconds(10) == cache.ttl("key")

    def test_what_is_no_int_is_not_counted(self, cache: CacheInterface) -> None:
        """Neither text that looks like a number nor a float or bool is; value and ttl stay."""
        stored: dict[str, object] = {}
        for name, held in NO_COUNTERS.items():
            try:
                cache.set(name, held, 60)
            except CacheSerializationError:
                continue
            stored[name] = held

        assert stored
        refused = {name: (outcome(cache.incr, name), outcome(cache.decr, name)) for name in stored}
        assert dict.fromkeys(stored, (CacheValueError, CacheValueError)) == refused
        found = cache.get_many(stored, MISSING)
        assert [] == [name for name, held in stored.items() if not same(held, found[name])]
        assert dict.fromkeys(stored, self.seconds(60)) == {key: cache.ttl(key) for key in stored}

    def test_counting_stays_within_64_bits(self, cache: CacheInterface) -> None:
        """A sum beyond signed 64 bits is refused and the counter stays as it is."""
        cache.set("high", INT64_MAX, 60)
        cache.set("low", INT64_MIN, 60)

        too_far: list[Callable[[], int]] = [
            lambda: cache.incr("high"),
            lambda: cache.incr("high", INT64_MAX),
            lambda: cache.decr("high", -1),
            lambda: cache.decr("low"),
            lambda: cache.incr("low", INT64_MIN),
            lambda: cache.decr("low", INT64_MAX),
        ]
        for call in too_far:
            with pytest.raises(CacheValueError):
                call()

        assert {"high": INT64_MAX, "low": INT64_MIN} == cache.get_many(["high", "low"])
        assert self.seconds(60) == cache.ttl("high")
        assert INT64_MAX - 1 == cache.decr("high")
        assert INT64_MIN + 1 == cache.incr("low")
        assert -2 == cache.incr("high", INT64_MIN)

    def test_ints_beyond_64_bits_are_no_counters(self, cache: CacheInterface) -> None:
        """They can be stored and read, or refused, but not counted."""
        for number in (2**63, -(2**63) - 1, 2**64, 10**30):
            try:
                cache.set("key", number, 60)
            except CacheSerializationError:
                continue
            for amount in (1, -1, 0):
                with pytest.raises(CacheValueError):
                    cache.incr("key", amount)
            assert same(number, cache.get("key"))
            assert self.seconds(60) == cache.ttl("key")

    @once
    @pytest.mark.parametrize("amount", NO_AMOUNT, ids=repr)
    def test_an_amount_is_an_int(self, cache: CacheInterface, amount: Any) -> None:
        """Anything else, bool included, is a TypeError and a CacheValueError."""
        cache.incr("key", 5)

        for call in (cache.incr, cache.decr):
            with pytest.raises(CacheValueError) as caught:
                call("key", amount)
            assert isinstance(caught.value, TypeError)
            with pytest.raises(CacheValueError):
                call("absent", amount)

        assert 5 == cache.get("key")
        assert ["key"] == list(cache.scan())

    @once
    @pytest.mark.parametrize("amount", TOO_MUCH, ids=lambda amount: f"{amount.bit_length()} bits")
    def test_an_amount_fits_in_64_bits(self, cache: CacheInterface, amount: int) -> None:
        """A larger one is refused, on a counter and on an absent key alike."""
        cache.incr("key", 5)

        for call in (cache.incr, cache.decr):
            for key in ("key", "absent"):
                with pytest.raises(CacheValueError):
                    call(key, amount)

        assert 5 == cache.get("key")
        assert ["key"] == list(cache.scan())

    def test_the_extreme_amounts_count(self, cache: CacheInterface) -> None:
        """The largest and smallest 64-bit ints are amounts; the negated smallest is not."""
        assert INT64_MAX == cache.incr("high", INT64_MAX)
        assert INT64_MIN == cache.incr("low", INT64_MIN)
        assert -INT64_MAX == cache.decr("negated", INT64_MAX)
        with pytest.raises(CacheValueError):
            cache.decr("key", INT64_MIN)
        assert cache.exists("key") is False
