"""What each operation does to one entry: the table of operations of the contract."""

from collections.abc import Callable
from typing import Any

from jinpy_cache_core.backend.base import BaseBackend
from jinpy_cache_core.interfaces import CacheInterface
from jinpy_cache_core.sentinels import MISSING
from jinpy_cache_testing.harness import Harness


class EntrySuite(Harness):
    """One entry: get, set, add, delete, pop, exists, scan, clear, is_healthy."""

    def test_get_returns_what_set_stored(
        self, cache: CacheInterface, sample: Callable[[int], Any]
    ) -> None:
        """A stored value is returned, equal and of the same type."""
        assert cache.set("key", sample(1)) is None

        assert sample(1) == cache.get("key")
        assert type(cache.get("key")) is type(sample(1))

    def test_get_returns_the_default_for_a_miss(self, cache: CacheInterface) -> None:
        """A miss is None, or the very object given as the default."""
        default = object()

        assert cache.get("key") is None
        assert cache.get("key", default) is default
        assert cache.get("key", MISSING) is MISSING

    def test_get_ignores_the_default_for_a_hit(
        self, cache: CacheInterface, sample: Callable[[int], Any]
    ) -> None:
        """A default does not show when there is a value."""
        cache.set("key", sample(1))

        assert sample(1) == cache.get("key", sample(2))

    def test_set_replaces(self, cache: CacheInterface, sample: Callable[[int], Any]) -> None:
        """The last value stored is the one that is read, and there is one entry."""
        cache.set("key", sample(1))
        cache.set("key", sample(2))

        assert sample(2) == cache.get("key")
        assert ["key"] == list(cache.scan())

    def test_add_stores_only_what_is_absent(
        self, cache: CacheInterface, sample: Callable[[int], Any]
    ) -> None:
        """Only the first `add` of a key stores its value and says so."""
        assert cache.add("key", sample(1)) is True
        assert cache.add("key", sample(2)) is False

        assert sample(1) == cache.get("key")

    def test_add_stores_again_what_was_deleted(
        self, cache: CacheInterface, sample: Callable[[int], Any]
    ) -> None:
        """A deleted key is absent."""
        cache.set("key", sample(1))
        cache.delete("key")

        assert cache.add("key", sample(2)) is True
        assert sample(2) == cache.get("key")

    def test_add_stores_again_what_has_expired(
        self,
        cache: CacheInterface,
        sample: Callable[[int], Any],
        wait: Callable[[float], None],
    ) -> None:
        """An expired key is absent, and gets the ttl of the new value."""
        cache.set("key", sample(1), ttl=10)
        wait(11)

        assert cache.add("key", sample(2), ttl=20) is True
        assert sample(2) == cache.get("key")
        assert self.seconds(20) == cache.ttl("key")

    def test_a_refused_add_keeps_the_ttl(
        self, cache: CacheInterface, sample: Callable[[int], Any]
    ) -> None:
        """An `add` that stores nothing does not prolong what is there."""
        cache.set("key", sample(1), ttl=10)
        cache.add("key", sample(2), ttl=1000)

        assert self.seconds(10) == cache.ttl("key")

    def test_delete_says_whether_there_was_an_entry(
        self, cache: CacheInterface, sample: Callable[[int], Any]
    ) -> None:
        """The first `delete` removes and says so; the second finds nothing."""
        cache.set("key", sample(1))

        assert cache.delete("key") is True
        assert cache.delete("key") is False
        assert cache.get("key", MISSING) is MISSING

    def test_pop_returns_the_value_once(
        self, cache: CacheInterface, sample: Callable[[int], Any]
    ) -> None:
        """`pop` reads and removes; after it, it returns the default."""
        cache.set("key", sample(1))

        assert sample(1) == cache.pop("key", MISSING)
        assert cache.pop("key", MISSING) is MISSING
        assert cache.pop("key") is None
        assert cache.exists("key") is False

    def test_pop_does_not_return_what_has_expired(
        self,
        cache: CacheInterface,
        sample: Callable[[int], Any],
        wait: Callable[[float], None],
    ) -> None:
        """An expired entry is a miss for `pop`."""
        cache.set("key", sample(1), ttl=10)
        wait(11)

        assert cache.pop("key", MISSING) is MISSING

    def test_exists_is_true_for_a_live_entry(
        self, cache: CacheInterface, sample: Callable[[int], Any]
    ) -> None:
        """`exists` is a bool and follows the entry."""
        assert cache.exists("key") is False
        cache.set("key", sample(1))
        assert cache.exists("key") is True
        cache.delete("key")
        assert cache.exists("key") is False

    def test_in_asks_exists(self, backend: BaseBackend, sample: Callable[[int], Any]) -> None:
        """`key in backend` is `exists`."""
        backend.set("key", sample(1))

        assert "key" in backend
        assert "other" not in backend

    def test_operations_leave_other_keys_alone(
        self, cache: CacheInterface, sample: Callable[[int], Any]
    ) -> None:
        """What is done to one key is not done to another."""
        cache.set("other", sample(1), ttl=100)
        cache.set("key", sample(2))
        cache.touch("key", 5)
        cache.delete("key")
        cache.incr("key", 7)
        cache.pop("key")
        cache.add("key", sample(3), ttl=1)
        cache.delete_many(["key"])

        assert sample(1) == cache.get("other")
        assert self.seconds(100) == cache.ttl("other")

    def test_clear_empties_the_cache(
        self, cache: CacheInterface, sample: Callable[[int], Any]
    ) -> None:
        """After `clear` every key is a miss and can be stored anew."""
        cache.clear()
        cache.set_many({"a": sample(1), "b": sample(2)})
        assert cache.clear() is None  # type: ignore[func-returns-value]

        assert [] == list(cache.scan())
        assert {"a": None, "b": None} == cache.get_many(["a", "b"])
        assert cache.add("a", sample(3)) is True
        assert sample(3) == cache.get("a")

    def test_a_healthy_cache_says_so_and_is_left_as_it_is(
        self, cache: CacheInterface, sample: Callable[[int], Any]
    ) -> None:
        """`is_healthy` is True for a store that works, and leaves no entry behind."""
        assert cache.is_healthy() is True
        assert [] == list(cache.scan())

        cache.set("key", sample(1), ttl=10)
        assert cache.is_healthy() is True
        assert ["key"] == list(cache.scan())
        assert self.seconds(10) == cache.ttl("key")
