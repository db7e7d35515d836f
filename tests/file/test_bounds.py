"""What a bounded cache keeps, and what expires."""

import math

import pytest

from jinpy_cache_core.exceptions import CacheValueError
from jinpy_cache_file.maintenance import EVICTED_AT_ONCE


def test_max_entries_is_never_exceeded(make):
    """However many are inserted, one by one or together, no more than `max_entries` are held."""
    cache = make(max_entries=10)
    for number in range(50):
        cache.set(f"k{number}", number)
        assert len(cache) <= 10
    cache.set_many({f"m{number}": number for number in range(50)})
    assert len(cache) <= 10
    assert cache.counters.evicted >= 90
    assert cache.stats().evictions == cache.counters.evicted
    assert cache.check().ok


def test_what_is_used_is_kept(make):
    """An entry that is read again and again outlives any number of entries that are not."""
    cache = make(max_entries=10)
    cache.set("used", "value")
    for number in range(200):
        cache.set(f"k{number}", number)
        assert cache.get("used") == "value"


def test_what_another_process_used_is_kept(make, run, directory):
    """A use is written down with the next write of the process that made it, for all to see."""
    cache = make(max_entries=8)
    cache.set_many({f"k{number}": number for number in range(7)})
    run("uses", directory, "k0", "other")
    for number in range(7):
        cache.set(f"n{number}", number)
    assert cache.get("k0") == 0


def test_max_bytes_bounds_the_directory(make, directory):
    """The data file and the value files together stay within `max_bytes`."""
    limit = 4 << 20
    cache = make(max_bytes=limit, inline_max_bytes=4096)
    for number in range(4000):
        cache.set(f"k{number}", b"v" * (number % 8000))
    taken = sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
    assert (directory / "data.mdb").stat().st_size <= limit + 2 * 65_536  # with a hole at the end
    assert taken <= limit * 1.1  # the lock, the reserve and half-empty pages
    assert cache.check().total_bytes <= limit
    assert cache.get("k3999") == b"v" * (3999 % 8000)
    assert cache.check().ok


def test_a_full_map_evicts_and_tries_again(make, monkeypatch, directory):
    """When LMDB's map is full before the bound is reached, the write goes through all the same."""
    cache = make(max_bytes=1 << 20)
    for module in ("index", "maintenance"):
        monkeypatch.setattr(f"jinpy_cache_file.{module}.charge", lambda *_, **__: 1)
    for number in range(3000):
        cache.set(f"k{number}", b"v" * 1000)
    assert cache.get("k2999") == b"v" * 1000
    assert 0 < len(cache) < 3000
    assert (directory / "data.mdb").stat().st_size < 5 << 19  # of six times that much


def test_a_map_that_another_process_has_grown_is_followed(make, run, directory):
    """A cache with a small map reads and writes on after another one has made the store larger."""
    small = make(max_bytes=1 << 20)
    small.set("a", 1)
    run("fills", directory, 64 << 20, 3000)
    assert small.get("a") == 1
    small.set("b", 2)
    assert small.get("fill-2999") == b"v" * 2000


def test_a_value_larger_than_the_cache_is_refused(make):
    """What could never be held is an error that leaves the old value."""
    cache = make(max_bytes=1 << 20)
    cache.set("a", "old")
    with pytest.raises(CacheValueError, match="max_bytes"):
        cache.set("a", b"v" * (2 << 20))
    assert cache.get("a") == "old"


def test_expired_entries_make_room_first(make, clock):
    """Nothing that lives is evicted while something that has expired is still held."""
    cache = make(clock, max_entries=10)
    cache.set_many({f"old{number}": number for number in range(5)}, ttl=1)
    cache.set_many({f"live{number}": number for number in range(5)})
    clock.advance(2)
    cache.set_many({f"new{number}": number for number in range(5)})
    assert cache.counters.evicted == 0
    assert cache.get_many([f"live{number}" for number in range(5)]) == {
        f"live{number}": number for number in range(5)
    }


def test_expired_entries_are_reclaimed_by_later_writes(make, clock):
    """Entries that nobody reads again do not pile up."""
    cache = make(clock)
    for number in range(1000):
        cache.set(f"k{number}", number, ttl=1)
        clock.advance(0.1)
    assert len(cache) < 50
    assert cache.check().ok


def test_an_overwrite_lives_as_long_as_it_was_told(make, clock):
    """Longer, shorter and endless lives over one another are kept exactly."""
    cache = make(clock)
    for seconds in (10, 20, 5, math.inf, 7, math.inf):
        cache.set("a", seconds, ttl=seconds)
        assert cache.ttl("a") == pytest.approx(seconds)
        assert cache.check().ok
    cache.set("b", 1, ttl=5)
    cache.set("b", 2, ttl=50)
    clock.advance(10)
    for number in range(40):
        cache.set(f"k{number}", number)  # reaps along the index
    assert cache.get("b") == 2
    assert cache.check().ok


def test_an_expired_entry_does_not_come_back(make, clock):
    """Once reported expired it stays so, even if the clock is set back."""
    cache = make(clock)
    cache.set("a", 1, ttl=60)
    clock.advance(3600)
    assert cache.get("a") is None
    clock.advance(-3600)
    assert cache.get("a") is None


def test_sweep_removes_everything_that_has_expired(make, clock):
    """One call reclaims at once what later writes would reclaim bit by bit."""
    cache = make(clock)
    cache.set_many({f"k{number}": number for number in range(3000)}, ttl=1)
    cache.set("live", 1)
    clock.advance(2)
    assert cache.sweep() == 3000
    assert len(cache) == 1


def test_clear_removes_one_namespace(make):
    """Caches that share a directory do not see, count or clear each other's entries."""
    one, two = make(name="one", max_entries=5), make(name="two")
    one.set("a", 1)
    two.set_many({f"k{number}": number for number in range(100)})
    one.clear()
    assert (one.get("a"), len(one), len(two)) == (None, 0, 100)
    assert sorted(two.scan("k1")) == sorted(
        f"k{number}" for number in range(100) if str(number).startswith("1")
    )


@pytest.mark.parametrize("value", [1, "v" * 500])
@pytest.mark.parametrize(
    "bound", [{"max_entries": 1000}, {"max_bytes": 1 << 20}, {"max_bytes": 4 << 20}]
)
def test_a_bound_that_is_lowered_by_much_costs_each_write_a_little(make, bound, value, directory):
    """No write evicts thousands at once; after some of them the bound holds."""
    before = make(max_bytes=64 << 20)
    for part in range(0, 40_000, 5000):  # in parts, so that few pages are free
        before.set_many({f"k{number}": value for number in range(part, part + 5000)})
    before.close()
    size = (directory / "data.mdb").stat().st_size
    cache = make(**{"max_bytes": 64 << 20, **bound})

    most, writes, held = 0, 0, len(cache)
    while cache._store.index.bounds.exceeded(cache._store.ledger()):
        cache.set(f"new{writes}", writes)
        most, held = max(most, held + 1 - len(cache)), len(cache)
        writes += 1
        assert writes < 1000

    # Where the map itself is full, some go so that the write can be tried again.
    assert 0 < most <= (1 if "max_entries" in bound else 2) * EVICTED_AT_ONCE
    if "max_bytes" in bound:
        after = (directory / "data.mdb").stat().st_size
        assert after <= size + max(size // 8, 1 << 20) + (1 << 18)
    assert cache.get(f"new{writes - 1}") == writes - 1
    assert cache.check().ok
