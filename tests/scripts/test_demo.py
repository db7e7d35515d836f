"""The demonstration analyses real modules, and the cache gives back what was found."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from demo_stdlib import (
    Pass,
    cached_summary,
    findings,
    in_a_new_process,
    walk,
)
from jinpy_utils.cache import Cache, CacheManager, CacheManagerConfig, MemoryCacheConfig
from module_summary import ModuleSummary, standard_library, summarise

SOURCE = b'''"""A module."""
import os.path
from collections import abc
from . import sibling


class Shape:
    """A class."""

    def area(self):
        """A method."""

    async def grow(self):
        import json
'''


@pytest.fixture
def cache() -> Iterator[Cache]:
    """An empty cache in this process."""
    config = CacheManagerConfig(backends=[MemoryCacheConfig()], enable_singleton=False)
    with CacheManager(config) as manager:
        yield Cache(manager=manager)


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """A module on disk."""
    path = tmp_path / "module.py"
    path.write_bytes(SOURCE)
    return path


def test_summary_tells_what_a_module_holds() -> None:
    """Counts are those of the source; relative imports name no package."""
    assert summarise(SOURCE) == ModuleSummary(
        lines=14, functions=2, classes=1, imports=("collections", "json", "os"), documented=3
    )


def test_second_look_is_a_hit(cache: Cache, module: Path) -> None:
    """It comes out of the cache, equal to what was put there."""
    cold = cached_summary(cache, module)
    warm = cached_summary(cache, module)

    assert cold == (summarise(SOURCE), False)
    assert warm == (summarise(SOURCE), True)


def test_module_that_changed_is_parsed_again(cache: Cache, module: Path) -> None:
    """The cache never tells what a module used to hold."""
    cached_summary(cache, module)
    module.write_bytes(SOURCE + b"\n\ndef more(): ...\n")

    summary, was_cached = cached_summary(cache, module)

    assert (summary.functions, was_cached) == (3, False)


def test_walk_counts_hits(cache: Cache, module: Path, tmp_path: Path) -> None:
    """Only what was there before counts as a hit."""
    other = tmp_path / "other.py"
    other.write_text("x = 1\n")
    console = Console(quiet=True)

    cold = walk(console, "cold", cache, [module])
    warm = walk(console, "warm", cache, [module, other])

    assert (cold.hits, warm.hits) == (0, 1)
    assert [summary.lines for summary in warm.summaries] == [14, 1]


def test_findings_are_sums_of_what_the_cache_carried() -> None:
    """The sentence is made from the summaries."""
    sentence = findings([summarise(SOURCE), summarise(b"import os\n")])

    assert sentence.startswith("15 lines, 2 functions and 1 classes, 60% of them documented")
    assert sentence.endswith("imported most is os.")


def test_standard_library_is_found_without_its_tests() -> None:
    """Modules and packages of this interpreter, at any depth."""
    found = {path.as_posix() for path in standard_library()}

    for module in ("/asyncio/base_events.py", "/argparse.py", "/xml/etree/ElementTree.py"):
        assert [path for path in found if path.endswith(module)]
    assert not [path for path in found if "site-packages" in path or "/test/" in path]


def test_new_process_finds_what_was_stored(tmp_path: Path) -> None:
    """Another process reads from disk what this one wrote there, and nothing stays behind."""
    modules = sorted(standard_library())
    console = Console(quiet=True)
    summaries = (summarise(SOURCE),) * len(modules)
    cold = Pass(name="cold", summaries=summaries, hits=0, seconds=1.0)
    url = f"file://{tmp_path}/cache"

    found = in_a_new_process(console, "disk", url, modules, cold)

    assert (found.name, found.hits) == ("new process, disk", len(modules))
    assert found.summaries == summaries
    with CacheManager(CacheManagerConfig(backends=[url], enable_singleton=False)) as manager:
        assert list(manager.scan()) == []
