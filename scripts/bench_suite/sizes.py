"""How much memory an entry takes: `scripts/bench size`.

Counted is what Python's own allocators hand out while a cache is filled, divided by its entries;
keys and values exist before. cachebox, moka-py and theine's core allocate elsewhere, unseen.
"""

import gc
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import cachetools
from rich.console import Console
from rich.table import Table

from jinpy_cache_memory import MemoryCacheBackend, MemoryCacheConfig, compiled

ENTRIES = 100_000
KEYS = [f"user:{number}" for number in range(ENTRIES)]
VALUES = list(range(ENTRIES))
LIFETIME = 3600.0
PEER = "cachetools TTL"

_LIMITS = {"lru": 1.25, PEER: 1}
"""How many times as much as others the default policy may take, where the engine is compiled."""


def compare(result: Path | None) -> int:
    """Print the bytes of an entry with a ttl, and return 1 if a promise is broken.

    Args:
        result: Where to write the figures as JSON.
    """
    fillers = {
        "dict": lambda: dict(zip(KEYS, VALUES, strict=True)),
        PEER: _filled_peer,
        **{name: _filler(name) for name in ("adaptive", "lru")},
    }
    found = {name: _bytes(fill) for name, fill in fillers.items()}
    table = Table("bytes per entry, with a ttl", "bytes")
    for name, size in found.items():
        table.add_row(name, f"{size:,.0f}")
    console = Console()
    console.print(table)
    if result is not None:
        result.write_text(json.dumps(found), encoding="utf-8")
    all_hold = True
    for reference, at_most in _LIMITS.items() if compiled else ():
        ratio = found["adaptive"] / found[reference]
        holds = ratio <= at_most
        all_hold &= holds
        word = "holds" if holds else "BROKEN"
        console.print(f"adaptive takes {ratio:.2f} times {reference}'s, limit {at_most}: {word}")
    return int(not all_hold)


def _bytes(fill: Callable[[], object]) -> float:
    gc.collect()
    tracemalloc.start()
    try:
        filled = fill()
        gc.collect()
        size, _ = tracemalloc.get_traced_memory()
        del filled
    finally:
        tracemalloc.stop()
    return size / ENTRIES


def _filled_peer() -> object:
    cache: cachetools.TTLCache[str, int] = cachetools.TTLCache(ENTRIES, LIFETIME)
    for key, value in zip(KEYS, VALUES, strict=True):
        cache[key] = value
    return cache


def _filler(eviction: str) -> Callable[[], object]:
    def fill() -> object:
        cache = MemoryCacheBackend(MemoryCacheConfig(max_entries=ENTRIES, eviction=eviction))
        for key, value in zip(KEYS, VALUES, strict=True):
            cache.set(key, value, LIFETIME)
        cache.set("one more", 0, LIFETIME)  # what is kept of evictions is there from the first on
        return cache

    return fill
