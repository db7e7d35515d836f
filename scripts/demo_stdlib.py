"""Analyse every module of the standard library through the cache: cold first, then warm.

Cold, each module is parsed with `ast` and what was found is cached; warm, it is read back.
"""

import ast
import sys
import sysconfig
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from jinpy_utils.cache import MISSING, Cache, CacheManager, CacheManagerConfig, MemoryCacheConfig

_TESTS = {"test", "tests", "idle_test"}
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@attrs.frozen(kw_only=True)
class ModuleSummary:
    """What one module holds.

    Attributes:
        lines: Lines of source.
        functions: Functions and methods, coroutines included.
        classes: Classes.
        imports: The top-level packages that the module imports, sorted.
        documented: How many of the module, its classes and its functions have a docstring.
    """

    lines: int
    functions: int
    classes: int
    imports: tuple[str, ...]
    documented: int


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
    summaries: Sequence[ModuleSummary]
    hits: int
    seconds: float


def main() -> int:
    """Run the passes and print the table; the status says whether both found the same."""
    console = Console()
    modules = sorted(standard_library())
    console.print(
        f"Python {sys.version.split()[0]}: {len(modules)} modules of the standard library"
    )

    CacheManager(CacheManagerConfig(backends=[MemoryCacheConfig(name="summaries")]))
    with Cache(backend="summaries") as cache:
        cold = walk(console, "cold", cache, modules)
        warm = walk(console, "warm", cache, modules)

    console.print(findings(cold.summaries))
    console.print(table(cold, warm))
    if warm.summaries != cold.summaries:
        console.print("The cache returned something else than what was stored.", style="red")
        return 1
    return 0


def standard_library() -> Iterator[Path]:
    """Find the source of every pure-Python module of the running interpreter, tests left out."""
    root = Path(sysconfig.get_path("stdlib"))
    for name in sys.stdlib_module_names:
        if (module := root / f"{name}.py").is_file():
            yield module
        for module in root.joinpath(name).rglob("*.py"):
            if not _TESTS.intersection(module.relative_to(root).parts):
                yield module


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
    return Pass(name=name, summaries=summaries, hits=hits, seconds=seconds)


def cached_summary(cache: Cache, module: Path) -> tuple[ModuleSummary, bool]:
    """Return a module's summary and whether it came out of the cache.

    A module that changes has another key, so that what is cached is never out of date.
    """
    status = module.stat()
    key = f"{module}:{status.st_mtime_ns}:{status.st_size}"
    cached = cache.get(key, MISSING, type=ModuleSummary)
    if cached is not MISSING:
        return cached, True
    summary = summarise(module.read_bytes())
    cache.set(key, summary)
    return summary, False


def summarise(source: bytes) -> ModuleSummary:
    """Parse one module and count what it holds."""
    tree = ast.parse(source)
    nodes = list(ast.walk(tree))
    documented = [node for node in nodes if isinstance(node, _DOCUMENTED)]
    return ModuleSummary(
        lines=len(source.splitlines()),
        functions=sum(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) for node in nodes),
        classes=sum(isinstance(node, ast.ClassDef) for node in nodes),
        imports=tuple(sorted(set(_imported(nodes)))),
        documented=sum(ast.get_docstring(node, clean=False) is not None for node in documented),
    )


def _imported(nodes: Sequence[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


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


def table(cold: Pass, *others: Pass) -> Table:
    """Lay out the passes, each with its speed-up over the cold one."""
    drawn = Table("pass", *("modules", "hits", "misses", "seconds", "speed-up"))
    for column in drawn.columns[1:]:
        column.justify = "right"
    for each in (cold, *others):
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
