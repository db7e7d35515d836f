"""The eviction policies by the name that a configuration gives them."""

from collections.abc import Callable
from typing import Final

from jinpy_cache_memory.eviction.adaptive import AdaptiveEviction
from jinpy_cache_memory.eviction.fifo import FifoEviction
from jinpy_cache_memory.eviction.lfu import LfuEviction
from jinpy_cache_memory.eviction.lru import LruEviction
from jinpy_cache_memory.eviction.policy import EvictionPolicy, NoEviction
from jinpy_cache_memory.eviction.sieve import SieveEviction

DEFAULT_POLICY: Final = "adaptive"
"""What a configuration gets that names none."""

POLICIES: Final[dict[str, Callable[[int], EvictionPolicy]]] = {
    "adaptive": AdaptiveEviction,
    "lru": LruEviction,
    "lfu": LfuEviction,
    "fifo": FifoEviction,
    "sieve": SieveEviction,
}
"""A policy's name, and what makes one for so many entries."""

USUAL_ENTRIES: Final = 10_000
"""How many entries a policy reckons with when only weight limits the cache."""


def policy_maker(
    name: str, max_entries: int | None, max_weight: int | None
) -> Callable[[], EvictionPolicy]:
    """What makes an empty policy for a cache of these limits; nothing is tracked without any."""
    if max_entries is None and max_weight is None:
        return lambda: NoEviction(1)
    make = POLICIES[name]
    capacity = USUAL_ENTRIES if max_entries is None else max_entries
    return lambda: make(capacity)
