"""How late an event loop is that uses the file backend while other processes write flat out.

An asyncio program stores and reads two hundred times a second, at times that do not depend on how
long anything takes, and a ticker notes by how much each of its wake-ups is late. Beside it four
processes store as fast as they can in the same directory. As four busy processes make any program
late on a machine with fewer processors, two controls say what is due to the machine: the same
program beside four processes that compute and use no cache, and the bare ticker beside them.
"""

import asyncio
import json
import multiprocessing
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import attrs
from rich.console import Console
from rich.table import Table

from bench_suite.file import RECORD
from jinpy_utils.cache import Cache, CacheManager, CacheManagerConfig, FileCacheConfig

RATE = 200
"""Operations a second, half of them `aset` and half of them `aget`."""

KEYS = 100
PROCESSES = 4
TICK = 0.002
SECONDS = 4.0
ROUNDS = 4
LIMIT = 0.020
"""What the lag promises to stay below in 99 of 100 wake-ups, in seconds."""

SHOWN = "four writers, 200 operations/s"
"""The line that is held to the promise."""


@attrs.define
class Observed:
    """What was seen in all rounds of one line.

    Attributes:
        lags: By how many seconds each wake-up of the ticker was late.
        latencies: How many seconds each operation took, from when it was due.
    """

    lags: list[float] = attrs.Factory(list)
    latencies: list[float] = attrs.Factory(list)


def compare(destination: Path | None) -> int:
    """Measure, print, and return 1 if the promise is broken.

    Args:
        destination: Where to write the figures, or `None`.
    """
    with tempfile.TemporaryDirectory(prefix="jinpy-bench-") as folder:
        directory = Path(folder, "cache")
        lines: dict[str, Observed] = {}
        for _ in range(ROUNDS):
            for name, neighbour, uses in (
                ("nobody, 200 operations/s", None, True),
                ("four that compute, no operations", _compute, False),
                ("four that compute, 200 operations/s", _compute, True),
                (SHOWN, _write, True),
            ):
                seen = lines.setdefault(name, Observed())
                with _neighbours(neighbour, directory):
                    asyncio.run(_program(directory, seen, operate=uses))
    Console().print(_table(lines))
    late = _percentile(lines[SHOWN].lags, 99)
    word = "holds" if late < LIMIT else "BROKEN"
    print(f"{SHOWN}: p99 {late * 1e3:.1f} ms, limit {LIMIT * 1e3:g} ms: {word}")
    if destination is not None:
        destination.write_text(json.dumps(_figures(lines), indent=2))
    return int(late >= LIMIT)


async def _program(directory: Path, seen: Observed, *, operate: bool) -> None:
    """Tick for a while, and use the cache meanwhile."""
    with CacheManager(_config(directory)) as manager:
        cache = Cache(backend="disk", manager=manager)
        cache.set_many({_key(number): RECORD for number in range(2 * KEYS)})
        loop = asyncio.get_running_loop()
        end = loop.time() + SECONDS
        operating = asyncio.create_task(_operate(cache, seen, end)) if operate else None
        while (before := loop.time()) < end:
            await asyncio.sleep(TICK)
            seen.lags.append(loop.time() - before - TICK)
        if operating is not None:
            await operating


async def _operate(cache: Cache, seen: Observed, end: float) -> None:
    """Begin an operation whenever one is due, whether or not the last one has ended."""
    loop = asyncio.get_running_loop()

    async def once(number: int, due: float) -> None:
        if number % 2:
            assert await cache.aget(_key(number)) == RECORD
        else:
            await cache.aset(_key(number), RECORD)
        seen.latencies.append(loop.time() - due)

    begin = loop.time()
    async with asyncio.TaskGroup() as group:
        number = 0
        while (due := begin + number / RATE) < end:
            await asyncio.sleep(due - loop.time())
            group.create_task(once(number, due))
            number += 1


def _key(number: int) -> str:
    """Each is stored, and read with the next operation."""
    return f"mine:{number // 2 % KEYS}"


@contextmanager
def _neighbours(work: Callable[[Path], None] | None, directory: Path) -> Iterator[None]:
    """Keep processes busy; forked, as there are neither threads nor open caches here."""
    context = multiprocessing.get_context("fork")
    with ExitStack() as stack:
        for number in range(PROCESSES if work else 0):
            process = context.Process(target=work, args=(directory / f"{number}",), daemon=True)
            process.start()
            stack.callback(process.join)
            stack.callback(process.kill)
        yield


def _compute(_place: Path) -> None:
    while True:
        sum(range(1000))


def _write(place: Path) -> None:
    with CacheManager(_config(place.parent)) as manager:
        cache = Cache(backend="disk", manager=manager)
        number = 0
        while True:
            cache.set(f"{place.name}:{number % 5000}", RECORD)
            number += 1


def _config(directory: Path) -> CacheManagerConfig:
    return CacheManagerConfig(
        backends=[FileCacheConfig(name="disk", directory=directory)], enable_singleton=False
    )


def _percentile(seconds: Sequence[float], percent: int) -> float:
    return statistics.quantiles(seconds, n=100)[percent - 1]


def _figures(lines: dict[str, Observed]) -> dict[str, dict[str, float]]:
    """Milliseconds, and operations a second."""
    figures: dict[str, dict[str, float]] = {}
    for name, seen in lines.items():
        mine = figures[name] = {
            "lag p50": statistics.median(seen.lags) * 1e3,
            "lag p99": _percentile(seen.lags, 99) * 1e3,
            "lag max": max(seen.lags) * 1e3,
        }
        if seen.latencies:
            mine["took p50"] = statistics.median(seen.latencies) * 1e3
            mine["took p99"] = _percentile(seen.latencies, 99) * 1e3
            mine["rate"] = len(seen.latencies) / (SECONDS * ROUNDS)
    return figures


def _table(lines: dict[str, Observed]) -> Table:
    drawn = Table("lag of the event loop, ms", "p50", "p99", "max", "took p50", "took p99", "op/s")
    for column in drawn.columns[1:]:
        column.justify = "right"
    for name, mine in _figures(lines).items():
        figures = ("lag p50", "lag p99", "lag max", "took p50", "took p99", "rate")
        drawn.add_row(name, *(f"{mine[each]:.1f}" if each in mine else "" for each in figures))
    return drawn
