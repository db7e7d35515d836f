"""Analyse every module of the standard library through the cache: cold first, then warm.

Cold, each module is parsed with `ast` and what was found is cached; warm, it is read back. Then a
new process reads it back from a directory on disk, and from Redis if `--redis URL` names a server.
"""

import argparse
import functools
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

import attrs
import cattrs
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from jinpy_utils.cache import (
    Cache,
    CachedFunction,
    CacheManager,
    CacheManagerConfig,
    MemoryCacheConfig,
    cached,
)
from module_summary import ModuleSummary, standard_library, summarise


@attrs.frozen(kw_only=True)
class Pass:
    """One walk over all modules.

    Attributes:
        name: What the table calls it.
        summaries: What was found, one for each module.
        hits: How many of them came out of the cache.
        seconds: How long the walk took.
    """

    name: str
    summaries: tuple[ModuleSummary, ...]
    hits: int
    seconds: float


def main() -> int:
    """Run the passes and print the table; the status says whether all found the same."""
    arguments = _parser().parse_args()
    modules = sorted(standard_library())
    if arguments.read_back:
        print(json.dumps(cattrs.unstructure(_read_back(arguments.read_back, modules))))
        return 0
    console = Console()
    console.print(
        f"Python {sys.version.split()[0]}: {len(modules)} modules of the standard library"
    )

    CacheManager(CacheManagerConfig(backends=[MemoryCacheConfig(name="summaries")]))
    with Cache(backend="summaries") as cache:
        cold = walk(console, "cold", cache, modules)
        warm = walk(console, "warm", cache, modules)
    passes = [cold, warm]
    with TemporaryDirectory(prefix="jinpy-demo-") as folder:
        disk = f"file://{quote(folder)}/cache"
        passes.append(in_a_new_process(console, "disk", disk, modules, cold))
    if arguments.redis:
        passes.append(in_a_new_process(console, "Redis", arguments.redis, modules, cold))

    console.print(findings(cold.summaries))
    console.print(table(passes))
    if any(each.summaries != cold.summaries for each in passes):
        console.print("The cache returned something else than what was stored.", style="red")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    parser.add_argument("--redis", metavar="URL", help="a server to keep the summaries in, too")
    parser.add_argument("--read-back", metavar="URL", help=argparse.SUPPRESS)
    return parser


def in_a_new_process(
    console: Console, store: str, url: str, modules: Sequence[Path], cold: Pass
) -> Pass:
    """Keep what was found in a store, and let another process walk through the modules with it.

    Args:
        console: Where the walk is announced.
        store: What the table calls the store.
        url: The configuration of the store's backend; what is kept there is removed at the end.
        modules: The source files.
        cold: What was found in them.
    """
    console.print(f"warm, in a new process, from {store}")
    found = zip(map(key_of, modules), cold.summaries, strict=True)
    with _opened(url) as manager:
        manager.set_many(dict(found), ttl=3600)
        answer = subprocess.run(
            [sys.executable, __file__, "--read-back", url],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            check=True,
        )
        manager.clear()
    read_back = cattrs.structure(json.loads(answer.stdout), Pass)
    return attrs.evolve(read_back, name=f"new process, {store}")


def _read_back(url: str, modules: Sequence[Path]) -> Pass:
    with _opened(url) as manager:
        return walk(Console(quiet=True), "warm", Cache(manager=manager), modules)


def _opened(url: str) -> CacheManager:
    return CacheManager(CacheManagerConfig(backends=[url], enable_singleton=False))


def walk(console: Console, name: str, cache: Cache, modules: Sequence[Path]) -> Pass:
    """Summarise every module, out of the cache where it has the summary.

    Args:
        console: Where the progress bar is drawn.
        name: What the table calls this pass.
        cache: The cache to ask first.
        modules: The source files.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    summaries: list[ModuleSummary] = []
    hits = 0
    started = time.perf_counter()
    with Progress(*columns, console=console) as progress:
        for module in progress.track(modules, description=f"{name:4}"):
            summary, was_cached = cached_summary(cache, module)
            summaries.append(summary)
            hits += was_cached
    seconds = time.perf_counter() - started
    return Pass(name=name, summaries=tuple(summaries), hits=hits, seconds=seconds)


def cached_summary(cache: Cache, module: Path) -> tuple[ModuleSummary, bool]:
    """Return a module's summary and whether it came out of the cache."""
    summary_of = summarising(cache)
    misses = summary_of.cache_info().misses
    summary = summary_of(module)
    return summary, summary_of.cache_info().misses == misses


@functools.cache
def summarising(cache: Cache) -> CachedFunction[Callable[[Path], ModuleSummary]]:
    """Wrap the reading of modules with a cache: one that it knows is not parsed again."""

    @cached(key=key_of, backend=cache, type=ModuleSummary, statistics=True)
    def summary_of(module: Path) -> ModuleSummary:
        return summarise(module.read_bytes())

    return summary_of


def key_of(module: Path) -> str:
    """Name a module as it is now: one that changes has another key, and is parsed again."""
    status = module.stat()
    return f"{module}:{status.st_mtime_ns}:{status.st_size}"


def findings(summaries: Sequence[ModuleSummary]) -> str:
    """Say in one sentence what the modules hold, from what the cache carried."""
    lines = sum(summary.lines for summary in summaries)
    functions = sum(summary.functions for summary in summaries)
    classes = sum(summary.classes for summary in summaries)
    documented = sum(summary.documented for summary in summaries)
    share = documented / (functions + classes + len(summaries))
    imports = [name for summary in summaries for name in summary.imports]
    favourite = max(set(imports), key=imports.count)
    return (
        f"{lines:,} lines, {functions:,} functions and {classes:,} classes, {share:.0%} of them "
        f"documented; the module imported most is {favourite}."
    )


def table(passes: Sequence[Pass]) -> Table:
    """Lay out the passes, each with its speed-up over the first, which was cold."""
    cold = passes[0]
    drawn = Table("pass", *("modules", "hits", "misses", "seconds", "speed-up"))
    for column in drawn.columns[1:]:
        column.justify = "right"
    for each in passes:
        drawn.add_row(
            each.name,
            f"{len(each.summaries)}",
            f"{each.hits}",
            f"{len(each.summaries) - each.hits}",
            f"{each.seconds:.3f}",
            f"{cold.seconds / each.seconds:.1f} x",
        )
    return drawn


if __name__ == "__main__":
    sys.exit(main())
