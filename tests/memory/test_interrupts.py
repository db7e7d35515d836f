"""Exceptions that signal handlers raise at any instant of any operation: Ctrl-C, timeouts."""

import random
import signal

import pytest
from tests.memory.test_faults import books_agree

from jinpy_cache_memory import MemoryCacheBackend, MemoryCacheConfig
from jinpy_cache_testing.interrupts import Storm, works_elsewhere

pytestmark = [
    pytest.mark.timeout(method="thread"),  # the alarm is ours
    # Python itself swallows what a handler raises while a weak reference is being cleared.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

KEYS = [f"key{number}" for number in range(60)]


def operations(cache: MemoryCacheBackend, chance: random.Random) -> list:
    """What a program does with a cache; every value says under which key it belongs."""

    def key() -> str:
        return chance.choice(KEYS)

    def store(ttl: float | None = None) -> None:
        name = key()
        cache.set(name, {"key": name}, ttl)

    def check() -> None:
        name = key()
        value = cache.get(name)
        assert value is None or value == {"key": name}

    def load() -> None:
        name = key()
        assert {"key": name} == cache.get_or_set(name, lambda: {"key": name}, 5)

    return [
        store,
        lambda: store(chance.choice([0.001, 0.01, 5])),
        check,
        check,
        lambda: cache.delete(key()),
        lambda: cache.pop(key()),
        lambda: cache.set_many({name: {"key": name} for name in (key(), key())}),
        lambda: cache.touch(key(), 3),
        lambda: cache.add(name := key(), {"key": name}),
        lambda: list(cache.scan("key1")),
        lambda: cache.incr("count"),
        load,
        cache.clear,
    ]


def rage(cache: MemoryCacheBackend, interrupts: int, seed: int) -> Storm:
    """Let a storm of so many interrupts pass over a cache, looking after it now and then."""
    chance = random.Random(seed)
    calls = operations(cache, chance)
    storm = Storm(seed)
    with storm.raging():
        while storm.interrupted < interrupts:
            storm.call(calls)
            if storm.interrupted % 500 == 499:
                signal.setitimer(signal.ITIMER_REAL, 0)
                assert works_elsewhere(lambda: cache.set("probe", 1))
    return storm


@pytest.mark.parametrize(
    "settings", [{"max_entries": 30}, {"max_entries": None, "max_bytes": 9000}]
)
@pytest.mark.parametrize("eviction", ["adaptive", "lru", "lfu"])
def test_an_interrupt_leaves_no_lock_and_no_damage(settings, eviction):
    """Afterwards other threads go on, the limits hold, and every list agrees with the dict."""
    weather(settings, eviction, 400)


def weather(settings: dict, eviction: str, interrupts: int) -> None:
    """Let a storm pass, then look at everything."""
    with MemoryCacheBackend(MemoryCacheConfig(eviction=eviction, **settings)) as cache:
        storm = rage(cache, interrupts, seed=interrupts)

        assert storm.finished > 0
        assert works_elsewhere(lambda: cache.set("probe", 1))
        for number in range(200):
            cache.set(f"after{number}", number, 60)
        assert len(cache) <= (settings["max_entries"] or 200)
        assert cache._engine.weight <= settings.get("max_bytes", 2**62)
        books_agree(cache)


@pytest.mark.soak
@pytest.mark.parametrize("eviction", ["adaptive", "lru", "lfu", "fifo", "sieve"])
def test_a_hundred_thousand_interrupts(eviction):
    """The same, for as long as it takes to meet every instant."""
    weather({"max_entries": 30}, eviction, 100_000)
