"""Bounds on entries and weight, reclaiming without reads, and the listener of what was dropped."""

import gc
import logging
import math
from itertools import pairwise

import pytest

from jinpy_cache_core import CacheConfigurationError, CacheValueError
from jinpy_cache_memory import EvictionCause, MemoryCacheBackend, MemoryCacheConfig
from jinpy_cache_memory.engine import EXPIRED_AT_ONCE, MOST_AT_ONCE
from jinpy_cache_memory.eviction.names import POLICIES
from jinpy_cache_memory.eviction.policy import LOOKS

KEYS = [f"key:{number}" for number in range(1000)]


@pytest.mark.parametrize("eviction", POLICIES)
@pytest.mark.parametrize("max_entries", [1, 2, 3, 10, 100])
def test_there_are_never_more_entries_than_allowed(make, eviction, max_entries):
    """Whatever the policy, the bound holds after every write, and the newest entry is there."""
    backend = make(max_entries=max_entries, eviction=eviction)
    for key in KEYS:
        backend.set(key, key)
        assert len(backend) <= max_entries
        assert key == backend.get(key)
    assert max_entries == len(backend)


def test_the_default_is_bounded():
    """Nobody gets an unbounded cache without asking for it."""
    assert 100_000 == MemoryCacheConfig().max_entries


def test_unbounded_must_be_asked_for(make):
    """`max_entries=None` holds whatever comes."""
    backend = make(max_entries=None)
    for number in range(100_001):
        backend.set(str(number), number)
    assert 100_001 == len(backend)


@pytest.mark.parametrize("max_entries", [0, -1, True, 1.5, "10"])
def test_a_limit_is_a_whole_number(max_entries):
    """Limits that make no sense are refused when the configuration is made."""
    with pytest.raises(CacheConfigurationError, match="max_entries"):
        MemoryCacheConfig(max_entries=max_entries)


def test_a_weigher_without_a_limit_is_refused():
    """Half a setting is a mistake."""
    with pytest.raises(CacheConfigurationError, match="max_bytes"):
        MemoryCacheConfig(weigher=lambda _key, _value: 1)


def test_an_unknown_policy_is_refused_with_the_known_ones():
    """The message names what there is."""
    with pytest.raises(CacheConfigurationError, match="'lru'"):
        MemoryCacheConfig(eviction="clairvoyant")


@pytest.mark.parametrize("eviction", POLICIES)
def test_the_weight_of_all_entries_stays_within_max_bytes(make, eviction):
    """Every way to write counts, and so does every way to remove."""
    backend = make(max_bytes=100, weigher=lambda _key, value: value, eviction=eviction)
    for number in range(300):
        backend.set(f"key:{number % 40}", number % 60 + 1)
        live = sum(value for value in backend.get_many(backend.scan()).values())
        assert live <= 100
        assert f"bytes={live}/100" in repr(backend)
        if number % 7 == 0:
            backend.delete(f"key:{number % 11}")
    backend.clear()
    assert "bytes=0/100" in repr(backend)


def test_what_weighs_more_than_the_cache_is_refused_and_the_old_value_stays(make):
    """A value that could never be held is an error, not a silent miss."""
    backend = make(max_bytes=1000)
    backend.set("key", "small")
    with pytest.raises(CacheValueError, match="max_bytes=1,000") as caught:
        backend.set("key", "x" * 2000)
    assert "small" == backend.get("key")
    assert "key" == caught.value.key


@pytest.mark.parametrize("weight", [-1, 1.5, None, "1"])
def test_a_weigher_answers_with_bytes(make, weight):
    """What is no weight is an error that says what the weigher answered."""
    backend = make(max_bytes=1000, weigher=lambda _key, _value: weight)
    with pytest.raises(CacheValueError, match="weigher answered"):
        backend.set("key", 1)
    assert backend.exists("key") is False


def test_expired_entries_are_reclaimed_without_being_read(make, clock):
    """200,000 entries that nobody reads again go with the next writes, and no write does it all."""
    backend = make(max_entries=None)
    for number in range(200_000):
        backend.set(str(number), number, 0.5)
        clock.advance(1e-6)
    assert 200_000 == len(backend)
    clock.advance(2)
    before = len(backend)
    for _ in range(200_000 // EXPIRED_AT_ONCE + 1):
        backend.set("one more", 1)
        assert before - len(backend) <= EXPIRED_AT_ONCE
        before = len(backend)
    assert 1 == len(backend)


def test_a_large_value_takes_the_place_of_small_ones_in_steps(make):
    """Between them the lock is free, and when the write returns the bound holds."""
    held: list[int] = []
    backend = make(
        max_entries=None,
        max_bytes=20_000_000,
        eviction="fifo",
        eviction_listener=lambda *_: held.append(len(backend)),
    )
    for number in range(50_000):
        backend.set(f"{number}", b"v")
    before, large = len(backend), b"v" * 18_000_000
    held.clear()
    backend.set("large", large)
    assert large == backend.get("large")
    assert backend._engine.weight <= 20_000_000
    steps = [more - less for more, less in pairwise([before, *held, len(backend)])]
    assert before - len(backend) > 10 * MOST_AT_ONCE
    assert -1 <= min(steps) <= max(steps) <= MOST_AT_ONCE
    assert [] == backend._engine._unsettled


@pytest.mark.parametrize("eviction", POLICIES)
def test_what_is_written_while_room_is_made_is_kept(make, eviction):
    """Between two steps a write does its share, and its value is there afterwards."""
    wrote: list[str] = []

    def write_too(*_: object) -> None:
        if backend._engine._catching_up and len(wrote) < 5:
            wrote.append(f"other{len(wrote)}")
            backend.set(wrote[-1], "value")

    backend = make(
        max_entries=None, max_bytes=20_000_000, eviction=eviction, eviction_listener=write_too
    )
    for number in range(50_000):
        backend.set(f"{number}", b"v")
    backend.set("large", b"v" * 18_000_000)
    assert 5 == len(wrote)
    assert dict.fromkeys(wrote, "value") == backend.get_many(wrote)
    assert backend.get("large") is not None
    assert backend._engine.weight <= 20_000_000


@pytest.mark.parametrize("eviction", ["adaptive", "lru", "lfu", "sieve"])
def test_choosing_what_goes_looks_at_a_bounded_number(make, eviction):
    """After everything was read, an eviction does not look at everything."""
    backend = make(max_entries=20_000, eviction=eviction)
    for number in range(20_000):
        backend.set(str(number), number)
        backend.get(str(number))
    backend.set("one more", 1)
    assert 20_000 == len(backend)
    looked_at = sum(not entry.hits for entry in backend._engine._entries.values())
    assert looked_at <= LOOKS + 2


def test_a_stream_of_short_lived_entries_stays_small(make, clock):
    """Reclaiming keeps pace with writing: what is held is what lives, and a tick of dead ones."""
    backend = make(max_entries=None)
    most = 0
    for number in range(50_000):
        backend.set(str(number), number, 0.05)
        clock.advance(0.001)
        most = max(most, len(backend))
    assert most <= 50 + 2 * 1000 / 16 + 2


def test_overwriting_an_entry_leaves_nothing_behind(make):
    """A key written a thousand times with a ttl is held and scheduled once."""
    backend = make()
    gc.collect()
    for number in range(1000):
        backend.set("key", str(number), 3600 + number % 7)
    assert 1 == len(backend)
    assert 1 == backend._engine._wheel.size


def test_expired_entries_make_room_before_live_ones(make, clock):
    """Nothing that lives is evicted for something that is dead."""
    backend = make(max_entries=10, eviction="fifo")
    for number in range(5):
        backend.set(f"live:{number}", number)
    for number in range(5):
        backend.set(f"dead:{number}", number, 1)
    clock.advance(2)
    for number in range(5):
        backend.set(f"new:{number}", number)
    assert 10 == len([key for key in backend.scan() if not key.startswith("dead")])


@pytest.mark.parametrize("jump", [-3600.0, 3600.0])
def test_a_jump_of_the_wall_clock_changes_nothing(monkeypatch, jump):
    """Lifetimes are measured on a monotonic clock."""
    import time

    real = time.time
    with MemoryCacheBackend() as backend:
        backend.set("key", 1, 60)
        monkeypatch.setattr(time, "time", lambda: real() + jump)
        assert 1 == backend.get("key")
        assert 59 < backend.ttl("key") <= 60


class TestListener:
    """`eviction_listener` hears of every value that leaves, once, with the cause."""

    @pytest.fixture
    def heard(self):
        return []

    @pytest.fixture
    def backend(self, make, heard):
        return make(max_entries=2, eviction_listener=lambda *dropped: heard.append(dropped))

    def test_replaced(self, backend, heard):
        """A new value for a key drops the old one, in its original form."""
        backend.set("key", {"n": 1})
        backend.set("key", 2)
        backend.incr("key")
        assert [("key", {"n": 1}, EvictionCause.REPLACED), ("key", 2, "replaced")] == heard

    def test_deleted(self, backend, heard):
        """`delete`, `pop` and `clear` drop what they remove."""
        for number, remove in enumerate((backend.delete, backend.pop, lambda _: backend.clear())):
            backend.set("key", number)
            remove("key")
        assert [("key", number, EvictionCause.DELETED) for number in range(3)] == heard

    def test_expired(self, backend, heard, clock):
        """It is told when the entry is reclaimed: by a read, or by a write of it or another."""
        for number, act in enumerate(
            (backend.get, lambda key: backend.set(key, 7), lambda _: backend.set("other", 7))
        ):
            backend.set("key", number, 1)
            clock.advance(2)
            act("key")
            assert ("key", number, EvictionCause.EXPIRED) == heard.pop()
            backend.clear()
            heard.clear()

    def test_size(self, make, heard):
        """A full cache drops what the policy chooses."""
        backend = make(
            max_entries=2, eviction="fifo", eviction_listener=lambda *dropped: heard.append(dropped)
        )
        for number in range(4):
            backend.set(str(number), number)
        assert [("0", 0, EvictionCause.SIZE), ("1", 1, EvictionCause.SIZE)] == heard

    def test_closing_drops_everything(self, backend, heard):
        """What is held when the cache is closed is deleted."""
        backend.set("key", 1)
        backend.close()
        assert [("key", 1, EvictionCause.DELETED)] == heard

    def test_a_listener_may_use_the_cache(self, make, heard):
        """It is called after the lock is released, so it can do what it wants."""
        backend = make(
            max_entries=1,
            eviction_listener=lambda key, value, cause: heard.append((backend.get(key), cause)),
        )
        backend.set("key", 1)
        backend.set("key", 2)
        backend.set("other", 3)
        assert [(2, "replaced"), (None, "size")] == heard

    def test_a_listener_that_fails_is_logged_and_fails_nothing(self, make, caplog):
        """The operation had been done when it was called."""

        def fail(_key, _value, _cause):
            raise ZeroDivisionError

        backend = make(name="noisy", eviction_listener=fail)
        backend.set("key", 1)
        with caplog.at_level(logging.ERROR, logger="jinpy_cache_memory"):
            backend.set("key", 2)
        assert 2 == backend.get("key")
        assert "'noisy'" in caplog.text


def test_repr_tells_the_fill_and_no_value(make):
    """Names, numbers, never what is cached."""
    backend = make(name="mem", max_entries=1000)
    backend.set("secret key", "secret value")
    assert "<MemoryCacheBackend 'mem' entries=1/1000>" == repr(backend)
    assert "<MemoryCacheBackend 'memory' entries=0>" == repr(make(max_entries=None))
    backend.close()
    assert "<MemoryCacheBackend 'mem' closed>" == repr(backend)


def test_a_ttl_above_a_century_is_never(make):
    """On the fast path as on the general one."""
    backend = make()
    for ttl in (1e12, 10**12, math.inf):
        backend.set("key", 1, ttl)
        assert math.inf == backend.ttl("key")


def test_evictions_are_counted(make, clock):
    """`stats` tells how many entries made room; neither deleting nor expiry counts."""
    cache = make(max_entries=10)
    for number in range(25):
        cache.set(f"k{number}", number)
    assert 15 == cache.stats().evictions
    cache.clear()
    cache.set("brief", 1, ttl=1)
    clock.advance(2)
    cache.set("next", 1)
    assert 15 == cache.stats().evictions
