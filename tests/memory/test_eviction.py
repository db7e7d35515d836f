"""Every eviction policy keeps books that agree with a set, and chooses in constant time."""

from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jinpy_cache_memory.entry import NO_QUEUE, Entry
from jinpy_cache_memory.eviction.adaptive import AdaptiveEviction
from jinpy_cache_memory.eviction.history import MOST
from jinpy_cache_memory.eviction.names import POLICIES
from jinpy_cache_memory.eviction.policy import EvictionPolicy

CHANGES = st.lists(
    st.tuples(st.sampled_from(["use", "use", "use", "delete", "shrink"]), st.integers(0, 30)),
    max_size=300,
)


def play(policy: EvictionPolicy, capacity: int, keys: Iterator[int]) -> list[bool]:
    """Read through a cache of this capacity; whether each key was a hit."""
    cached: dict[int, Entry] = {}
    hits: list[bool] = []
    for key in keys:
        entry = cached.get(key)
        hits.append(entry is not None)
        if entry is not None:
            entry.hits += 1
            continue
        if len(cached) == capacity:
            victim = policy.victim()
            assert victim is not None
            del cached[int(victim.key)]
        cached[key] = Entry(str(key), None, 0.0, 0)
        policy.add(cached[key])
    return hits


@pytest.mark.parametrize("name", POLICIES)
@given(st.integers(1, 12), CHANGES)
def test_a_policy_holds_exactly_what_it_was_given(name, capacity, changes):
    """Victims are entries that it holds; what it let go of is marked so, and never comes again."""
    policy = POLICIES[name](capacity)
    held: dict[int, Entry] = {}

    def evict():
        victim = policy.victim()
        assert victim is not None
        assert held.pop(int(victim.key)) is victim
        assert NO_QUEUE == victim.queue

    for change, number in changes:
        if change == "use" and number in held:
            held[number].hits += 1
        elif change == "use":
            while len(held) >= capacity:
                evict()
            held[number] = Entry(str(number), None, 0.0, 0)
            policy.add(held[number])
        elif change == "delete" and number in held:
            entry = held.pop(number)
            policy.remove(entry)
            assert NO_QUEUE == entry.queue
        elif change == "shrink" and held:
            evict()
        assert all(NO_QUEUE != entry.queue for entry in held.values())
    while held:
        evict()
    assert policy.victim() is None


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_that_is_full_of_hot_entries_still_chooses(name):
    """When everything was read a lot, something goes nevertheless."""
    policy = POLICIES[name](50)
    entries = [Entry(str(number), None, 0.0, 0) for number in range(50)]
    for entry in entries:
        policy.add(entry)
        entry.hits = 1000
    assert set(entries) == {policy.victim() for _ in entries}


def test_lru_evicts_what_was_used_least_recently():
    """A hit saves an entry from its turn."""
    hits = play(POLICIES["lru"](3), 3, iter([1, 2, 3, 1, 4, 1, 2]))
    assert [False, False, False, True, False, True, False] == hits


def share_of_hits(name: str, capacity: int, keys: list[int]) -> float:
    """How often the policy had what was asked for, once it had time to learn."""
    hits = play(POLICIES[name](capacity), capacity, iter(keys))
    later = hits[len(hits) // 2 :]
    return sum(later) / len(later)


@given(st.integers(1, 20), st.one_of(st.integers(0, 5), st.integers(60, 140)))
def test_adaptive_halves_a_count_in_every_epoch(hits, epochs):
    """What was used a lot and then not for long counts as never used, however long it was."""
    policy = AdaptiveEviction(100)
    entry = Entry("key", None, 0.0, 0)
    policy.add(entry)
    policy._count(entry, hits)
    policy._epoch += epochs
    assert min(MOST, 1 + hits) >> epochs == policy._uses(entry)


def test_adaptive_keeps_a_part_of_a_loop_that_does_not_fit():
    """Where LRU has thrown away everything by the time it is asked for again."""
    loop = list(range(200)) * 100
    assert 0.0 == share_of_hits("lru", 100, loop)
    assert 0.4 < share_of_hits("adaptive", 100, loop) <= 0.5


def test_adaptive_follows_what_is_recent():
    """Where each key is used for a while and never again, it comes close to LRU."""
    random = Random(7)
    drifting = [step // 10 - int(random.expovariate(1 / 30)) for step in range(40_000)]
    lru, adaptive = (share_of_hits(name, 100, drifting) for name in ("lru", "adaptive"))
    assert 0.98 * lru < adaptive


def test_adaptive_changes_its_mind():
    """What it has learnt from a loop does not keep it from following what is recent, after that."""
    random = Random(7)
    loop = list(range(-1200, -1000)) * 100
    drifting = [step // 10 - int(random.expovariate(1 / 30)) for step in range(40_000)]
    alone, after = (share_of_hits("adaptive", 100, keys) for keys in (drifting, loop + drifting))
    assert 0.98 * alone < after
