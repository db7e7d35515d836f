"""Several keys at once: any iterable, all checks before the first write, misses with a default."""

from collections.abc import Callable
from typing import Any

import pytest

from jinpy_cache_core.exceptions import (
    CacheException,
    CacheKeyError,
    CacheSerializationError,
)
from jinpy_cache_core.interfaces import CacheInterface
from jinpy_cache_core.sentinels import MISSING
from jinpy_cache_core.testing.harness import Harness, not_with, once

NO_KEYS = ("abc", "", b"ab", bytearray(b"ab"), 1, None, object())
"""What is no iterable of keys."""


class BulkRows(Harness):
    """get_many, set_many, delete_many."""

    def test_get_many_carries_every_key(
        self, cache: CacheInterface, sample: Callable[[int], Any]
    ) -> None:
        """Hits have their value and misses the default, in the order asked for."""
        cache.set("b", sample(1))
        default = object()

        assert {"a": None, "b": sample(1)} == cache.get_many(["a", "b"])
        found = cache.get_many(["c", "b", "a"], default)
        assert ["c", "b", "a"] == list(found)
        assert found["c"] is default
        assert cache.get_many(["a"], MISSING)["a"] is MISSING

    def test_get_many_does_not_return_what_has_expired(
        self,
        cache: CacheInterface,
        sample: Callable[[int], Any],
        wait: Callable[[float], None],
    ) -> None:
        """An expired entry is a miss among others."""
        cache.set("short", sample(1), ttl=10)
        cache.set("long", sample(2), ttl=100)
        wait(11)

        assert {"short": None, "long": sample(2)} == cache.get_many(["short", "long"])

    @once
    def test_nothing_asked_is_nothing_done(
        self, cache: CacheInterface, sample: Callable[[int], Any]
    ) -> None:
        """Empty iterables and mappings give an empty result and no error."""
        cache.set("key", sample(1))

        assert {} == cache.get_many([])
        assert {} == cache.get_many(iter(()))
        assert cache.set_many({}) is None  # type: ignore[func-returns-value]
        assert 0 == cache.delete_many([])
        assert ["key"] == list(cache.scan())

    @once
    def test_any_iterable_of_keys_will_do(
        self, cache: CacheInterface, sample: Callable[[int], Any]
    ) -> None:
        """Generators, views, sets and repeated keys: each key counts once."""
        values = {"a": sample(1), "b": sample(2)}
        cache.set_many(values)

        assert values == cache.get_many(["a", "a", "b", "a"])
        assert values == cache.get_many(key for key in "ab")
        assert values == cache.get_many(values.keys())
        assert values == cache.get_many({"a", "b"})
        assert values == cache.get_many(list(cache.scan()))
        assert 2 == cache.delete_many(key for key in "abba")

    @once
    @pytest.mark.parametrize("keys", NO_KEYS, ids=lambda keys: type(keys).__name__)
    def test_one_str_is_not_several_keys(
        self, cache: CacheInterface, sample: Callable[[int], Any], keys: Any
    ) -> None:
        """A bare str or bytes, or what is not iterable, is a TypeError and a CacheException."""
        cache.set_many({"a": sample(1), "b": sample(1), "c": sample(1)})

        with pytest.raises(TypeError) as reading:
            cache.get_many(keys)
        with pytest.raises(TypeError) as deleting:
            cache.delete_many(keys)

        assert isinstance(reading.value, CacheException)
        assert isinstance(deleting.value, CacheException)
        assert ["a", "b", "c"] == sorted(cache.scan())

    @once
    @pytest.mark.parametrize("items", ["ab", [("a", 1)], {"a"}, None, 1])
    def test_set_many_takes_a_mapping(self, cache: CacheInterface, items: Any) -> None:
        """Anything else is a TypeError and a CacheException."""
        with pytest.raises(TypeError) as caught:
            cache.set_many(items)

        assert isinstance(caught.value, CacheException)
        assert [] == list(cache.scan())

    def test_set_many_stores_each_with_the_ttl(
        self,
        cache: CacheInterface,
        sample: Callable[[int], Any],
        wait: Callable[[float], None],
    ) -> None:
        """One ttl for all, replacing what was there."""
        cache.set("a", sample(0))
        cache.set_many({"a": sample(1), "b": sample(2)}, ttl=10)

        assert {"a": sample(1), "b": sample(2)} == cache.get_many(["a", "b"])
        assert self.seconds(10) == cache.ttl("a")
        assert self.seconds(10) == cache.ttl("b")
        wait(11)
        assert [] == list(cache.scan())

    def test_set_many_of_many(self, cache: CacheInterface, sample: Callable[[int], Any]) -> None:
        """A few hundred entries in one call come back in one call."""
        values = {f"key-{number}": sample(number) for number in range(300)}

        cache.set_many(values)

        assert values == cache.get_many(values)
        assert 300 == cache.delete_many(values)

    def test_delete_many_counts_live_entries(
        self,
        cache: CacheInterface,
        sample: Callable[[int], Any],
        wait: Callable[[float], None],
    ) -> None:
        """Missing and expired entries and repeated keys do not count; others stay."""
        cache.set_many({"a": sample(1), "b": sample(2), "stays": sample(3)})
        cache.set("expired", sample(4), ttl=1)
        wait(2)

        assert 2 == cache.delete_many(["a", "b", "a", "missing", "expired"])
        assert ["stays"] == list(cache.scan())
        assert 0 == cache.delete_many(["a", "b"])

    def test_set_many_writes_nothing_when_a_key_is_bad(
        self, cache: CacheInterface, sample: Callable[[int], Any]
    ) -> None:
        """A bad key anywhere among the items refuses them all."""
        cache.set("a", sample(0))
        items: Any = {"a": sample(1), "b": sample(2), "": sample(3), "d": sample(4)}

        with pytest.raises(CacheKeyError):
            cache.set_many(items)

        assert ["a"] == list(cache.scan())
        assert sample(0) == cache.get("a")

    @not_with(None)
    def test_set_many_writes_nothing_when_a_value_is_bad(
        self, cache: CacheInterface, sample: Callable[[int], Any]
    ) -> None:
        """A value that cannot be stored anywhere among the items refuses them all."""
        cache.set("a", sample(0))
        items = {"a": sample(1), "b": sample(2), "c": lambda: None, "d": sample(4)}

        with pytest.raises(CacheSerializationError):
            cache.set_many(items)

        assert ["a"] == list(cache.scan())
        assert sample(0) == cache.get("a")

    @once
    def test_bulk_reads_and_removals_check_every_key_first(
        self, cache: CacheInterface, sample: Callable[[int], Any]
    ) -> None:
        """A bad key among good ones is an error and nothing is removed."""
        cache.set("a", sample(1))

        with pytest.raises(CacheKeyError):
            cache.get_many(["a", ""])
        with pytest.raises(CacheKeyError):
            cache.delete_many(["a", "\ud800"])

        assert sample(1) == cache.get("a")
