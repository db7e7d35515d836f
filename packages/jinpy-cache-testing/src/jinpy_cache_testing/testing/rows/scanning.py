"""`scan`: the live keys of this namespace that begin with a literal prefix."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from jinpy_cache_core.exceptions import CacheKeyError
from jinpy_cache_core.interfaces import CacheInterface
from jinpy_cache_core.testing.harness import Harness, once

PATTERNS = ("*", "?", "[a", "[ab]", "a*", "a?", "\\", "^", "-", "%", "_", ".*", "{a}", "a")
"""Prefixes that mean something to one matcher or another."""


class ScanRows(Harness):
    """Keys by prefix."""

    def test_scan_yields_every_live_key_once(
        self,
        cache: CacheInterface,
        sample: Callable[[int], Any],
        wait: Callable[[float], None],
    ) -> None:
        """All keys, whatever their number, without those that were deleted or have expired."""
        keys = [f"key-{number}" for number in range(150)]
        cache.set_many({key: sample(1) for key in keys})
        cache.set("deleted", sample(1))
        cache.delete("deleted")
        cache.set("expired", sample(1), ttl=1)
        wait(2)

        assert sorted(keys) == sorted(cache.scan())

    def test_scan_is_an_iterator(self, cache: CacheInterface, sample: Callable[[int], Any]) -> None:
        """Keys come one by one as str."""
        cache.set("key", sample(1))

        keys = cache.scan()

        assert isinstance(keys, Iterator)
        assert "key" == next(keys)
        assert [] == list(keys)

    def test_a_prefix_narrows(self, cache: CacheInterface, sample: Callable[[int], Any]) -> None:
        """Only keys that begin with the prefix, which may be a whole key."""
        cache.set_many({key: sample(1) for key in ("a", "ab", "abc", "b", "ba", "A", "\u00e4")})

        found = {prefix: sorted(cache.scan(prefix)) for prefix in ("", "a", "ab", "abc", "abcd")}

        assert {
            "": ["A", "a", "ab", "abc", "b", "ba", "\u00e4"],
            "a": ["a", "ab", "abc"],
            "ab": ["ab", "abc"],
            "abc": ["abc"],
            "abcd": [],
        } == found

    @once
    def test_a_prefix_is_literal(self, cache: CacheInterface, sample: Callable[[int], Any]) -> None:
        """No character of a prefix is a wildcard."""
        keys = {f"{pattern}tail" for pattern in PATTERNS} | {"ab", "xyz", "atail"}
        cache.set_many({key: sample(1) for key in keys})

        found = {prefix: sorted(cache.scan(prefix)) for prefix in PATTERNS}

        assert {
            prefix: sorted(key for key in keys if key.startswith(prefix)) for prefix in PATTERNS
        } == found

    @once
    def test_a_prefix_counts_in_characters_that_are_stored(
        self, cache: CacheInterface, sample: Callable[[int], Any]
    ) -> None:
        """Composed and decomposed letters are different prefixes."""
        cache.set_many({"\u00e9t\u00e9": sample(1), "e\u0301te": sample(2)})

        assert ["\u00e9t\u00e9"] == list(cache.scan("\u00e9"))
        assert ["e\u0301te"] == list(cache.scan("e"))
        assert ["e\u0301te"] == list(cache.scan("e\u0301"))

    @once
    @pytest.mark.parametrize("prefix", [1, None, b"a", ["a"], "\ud800", "k" * 1025])
    def test_a_prefix_that_begins_no_key_is_refused(
        self, cache: CacheInterface, prefix: Any
    ) -> None:
        """A prefix is a str of at most 1,024 UTF-8 bytes, as a key is."""
        with pytest.raises(CacheKeyError):
            list(cache.scan(prefix))

    def test_writing_while_scanning_is_safe(
        self, cache: CacheInterface, sample: Callable[[int], Any]
    ) -> None:
        """Keys that stay are yielded once, whatever is added and removed meanwhile."""
        staying = {f"stay-{number}" for number in range(40)}
        leaving = {f"leave-{number}" for number in range(40)}
        cache.set_many({key: sample(1) for key in staying | leaving})

        found: list[str] = []
        for number, key in enumerate(cache.scan()):
            found.append(key)
            cache.set(f"new-{number % 20}", sample(2))
            cache.delete(f"leave-{number}")

        assert sorted(staying) == sorted(key for key in found if key in staying)
        assert set(found) <= staying | leaving | {f"new-{number}" for number in range(20)}

    def test_clearing_while_scanning_is_safe(
        self, cache: CacheInterface, sample: Callable[[int], Any]
    ) -> None:
        """`clear` in the middle of a scan ends it early or not, but not with an error."""
        keys = {f"key-{number}" for number in range(40)}
        cache.set_many({key: sample(1) for key in keys})

        scan = cache.scan()
        found = {next(scan)}
        cache.clear()
        found.update(scan)

        assert found <= keys

    def test_a_scan_may_be_left_early(
        self, cache: CacheInterface, sample: Callable[[int], Any]
    ) -> None:
        """Leaving a scan half-way blocks nothing."""
        cache.set_many({f"key-{number}": sample(number) for number in range(40)})

        next(cache.scan())

        cache.set("another", sample(1))
        assert sample(1) == cache.get("another")
