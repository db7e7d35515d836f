"""How often each cache has what is asked for: `scripts/bench hit-ratio --traces DIR`.

A trace is one key per access: `*.gz` with an integer a line (`*` lines are markers), or `*.xz` of
big-endian signed 32-bit integers. Each contender reads through it as an application would, get and
on a miss set, at capacities that are shares of the trace's distinct keys. Belady's optimum knows
the future and bounds what any of them could reach. aiocache is not among the contenders: its memory
cache has no capacity.
"""

import asyncio
import gzip
import heapq
import json
import lzma
import statistics
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import cachebox
import cachetools
import cashews
import moka_py
import theine
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bench_suite.svg import Drawing
from jinpy_cache_memory import MemoryCacheBackend, MemoryCacheConfig
from jinpy_utils.cache import MISSING

SHARES = (1, 5, 10, 25)
"""Capacities in percent of a trace's distinct keys."""

LONGEST = 600_000
"""Accesses of a trace that are played."""

OURS = "jinpy adaptive"
REFERENCE = "jinpy lru"
OPTIMUM = "optimum"

LEAST_MEAN = 55.0
"""The mean hit ratio in percent that our default promises on the six traces it is measured on."""

FARTHEST_BELOW_LRU = 2.0
"""Percentage points that our default may lose to LRU on any trace at any capacity."""

Play = Callable[[Sequence[str], int], int]
"""Reads keys through a cache of a capacity, and returns the number of hits."""


@attrs.frozen
class Trace:
    """A recorded sequence of accesses."""

    name: str
    keys: Sequence[str]

    @property
    def distinct(self) -> int:
        """How many different keys there are."""
        return len(set(self.keys))


def read_traces(folder: Path) -> list[Trace]:
    """Read every trace of a folder, at most the first `LONGEST` accesses of each.

    Raises:
        FileNotFoundError: There is none.
    """
    traces: list[Trace] = []
    for path in sorted(folder.iterdir()):
        if path.suffix == ".gz":
            with gzip.open(path, "rt") as lines:
                numbers: Iterable[int] = [
                    int(line) for line in lines if line.strip() and line[0] != "*"
                ]
        elif path.suffix == ".xz":
            words = array("i", lzma.decompress(path.read_bytes()))
            words.byteswap()
            numbers = words
        else:
            continue
        keys = [f"key:{number}" for number in list(numbers)[:LONGEST]]
        traces.append(Trace(path.name.partition(".")[0], keys))
    if not traces:
        message = f"There is no *.gz and no *.xz trace in {folder}."
        raise FileNotFoundError(message)
    return traces


def _ours(eviction: str) -> Play:
    def play(keys: Sequence[str], capacity: int) -> int:
        config = MemoryCacheConfig(max_entries=capacity, eviction=eviction)
        with MemoryCacheBackend(config) as cache:
            get, put = cache.get, cache.set
            misses = 0
            for key in keys:
                if get(key, MISSING) is MISSING:
                    misses += 1
                    put(key, 1)
            return len(keys) - misses

    return play


def _mapping(make: Callable[[int], Any]) -> Play:
    def play(keys: Sequence[str], capacity: int) -> int:
        cache = make(capacity)
        get, put = cache.get, cache.__setitem__
        misses = 0
        for key in keys:
            if get(key) is None:
                misses += 1
                put(key, 1)
        return len(keys) - misses

    return play


def _moka(keys: Sequence[str], capacity: int) -> int:
    cache: moka_py.Moka[str, int] = moka_py.Moka(capacity)
    misses = 0
    for key in keys:
        if cache.get(key) is None:
            misses += 1
            cache.set(key, 1)
    return len(keys) - misses


def _theine(keys: Sequence[str], capacity: int) -> int:
    cache: theine.Cache[str, int] = theine.Cache(capacity)
    misses = 0
    for key in keys:
        if not cache.get(key)[1]:
            misses += 1
            cache.set(key, 1)
    cache.close()
    return len(keys) - misses


def _cashews(keys: Sequence[str], capacity: int) -> int:
    async def play() -> int:
        cache = cashews.Cache()
        cache.setup(f"mem://?size={capacity}&check_interval=0")
        misses = 0
        for key in keys:
            if await cache.get(key) is None:
                misses += 1
                await cache.set(key, 1)
        await cache.close()
        return len(keys) - misses

    return asyncio.run(play())


def optimum(keys: Sequence[str], capacity: int) -> int:
    """Belady's choice: the key that is needed last goes, be it the new one."""
    after = [len(keys)] * len(keys)
    seen: dict[str, int] = {}
    for place in range(len(keys) - 1, -1, -1):
        after[place] = seen.get(keys[place], len(keys) + place)
        seen[keys[place]] = place
    needed: dict[str, int] = {}
    farthest: list[tuple[int, str]] = []
    hits = 0
    for key, following in zip(keys, after, strict=True):
        hits += key in needed
        needed[key] = following
        heapq.heappush(farthest, (-following, key))
        while len(needed) > capacity:
            due, last = heapq.heappop(farthest)
            if needed.get(last) == -due:
                del needed[last]
    return hits


CONTENDERS: Mapping[str, Play] = {
    OURS: _ours("adaptive"),
    REFERENCE: _ours("lru"),
    "jinpy lfu": _ours("lfu"),
    "jinpy fifo": _ours("fifo"),
    "jinpy sieve": _ours("sieve"),
    "cachebox LRU": _mapping(cachebox.LRUCache),
    "cachebox LFU": _mapping(cachebox.LFUCache),
    "cachetools LRU": _mapping(cachetools.LRUCache),
    "cachetools LFU": _mapping(cachetools.LFUCache),
    "moka-py": _moka,
    "theine": _theine,
    "cashews": _cashews,
    OPTIMUM: optimum,
}
"""Who is measured, by name."""

Ratios = dict[str, dict[str, float]]
"""Hit ratios in percent by contender and by cell, such as `"web07 at 5 %"`."""


def play_all(traces: Sequence[Trace], watch: Callable[[], None]) -> Ratios:
    """Let every contender read every trace at every capacity."""
    ratios: Ratios = {name: {} for name in CONTENDERS}
    for trace in traces:
        distinct = trace.distinct
        for share in SHARES:
            capacity = max(1, distinct * share // 100)
            for name, play in CONTENDERS.items():
                hits = play(trace.keys, capacity)
                ratios[name][f"{trace.name} at {share} %"] = 100 * hits / len(trace.keys)
                watch()
    return ratios


def broken_promises(ratios: Ratios) -> list[str]:
    """A sentence for each promise of our default that these ratios break."""
    means = {name: statistics.fmean(cells.values()) for name, cells in ratios.items()}
    ours = means[OURS]
    broken: list[str] = []
    if ours < LEAST_MEAN:
        broken.append(f"The mean of {OURS} is {ours:.2f} %, promised are {LEAST_MEAN} %.")
    broken += [
        f"{name} has a mean of {mean:.2f} %, {OURS} of {ours:.2f} %."
        for name, mean in means.items()
        if name not in {OURS, OPTIMUM} and mean > ours
    ]
    reference = ratios["cachetools LRU"]
    broken += [
        f"{cell}: {OURS} has {ratio:.1f} %, LRU {reference[cell]:.1f} %."
        for cell, ratio in ratios[OURS].items()
        if ratio < reference[cell] - FARTHEST_BELOW_LRU
    ]
    return broken


def draw(ratios: Ratios) -> str:
    """The means as a picture, the best at the top."""
    title = "Mean hit ratio on real traces, longer is better"
    drawing = Drawing(760, title)
    drawing.text(0, 18, title, kind="title")
    means = {name: statistics.fmean(cells.values()) for name, cells in ratios.items()}
    top = 40
    for name, mean in sorted(means.items(), key=lambda item: -item[1]):
        drawing.text(150, top + 16, name, anchor="end")
        kind = "ours" if name.startswith("jinpy") else "theirs"
        drawing.bar(160, top + 3, mean * 7, 18, kind=kind)
        drawing.text(168 + mean * 7, top + 16, f"{mean:.1f} %", kind="figure")
        top += 24
    drawing.height = top + 8
    return drawing.finished()


def _table(ratios: Ratios) -> Table:
    cells = list(next(iter(ratios.values())))
    drawn = Table("contender", "mean", *cells, title="hit ratio in percent")
    for name, found in sorted(ratios.items(), key=lambda each: -statistics.fmean(each[1].values())):
        figures = [f"{found[cell]:.1f}" for cell in cells]
        drawn.add_row(name, f"{statistics.fmean(found.values()):.2f}", *figures)
    return drawn


def compare(folder: Path, result: Path | None, picture: Path | None) -> int:
    """Measure, print, write, and return 1 if a promise is broken.

    Args:
        folder: The traces.
        result: Where every figure goes as JSON.
        picture: Where the chart goes as SVG.
    """
    console = Console(width=240)
    traces = read_traces(folder)
    with Progress(console=console) as progress:
        steps = len(traces) * len(SHARES) * len(CONTENDERS)
        task = progress.add_task("playing traces", total=steps)
        ratios = play_all(traces, lambda: progress.advance(task))
    console.print(_table(ratios))
    if result is not None:
        result.write_text(json.dumps(ratios, indent=1) + "\n", encoding="utf-8")
    if picture is not None:
        picture.write_text(draw(ratios), encoding="utf-8")
    broken = broken_promises(ratios)
    for sentence in broken:
        console.print(sentence, style="red")
    return int(bool(broken))
