"""Measure a backend beside its peers: `scripts/bench memory`.

`hit-ratio` plays recorded traces through our memory backend and its peers, `size` weighs an
entry, `file_lag` tells how late an event loop is beside processes that write files. `all` runs
every benchmark, with `--traces` that one too, and writes one JSON file; `plot` draws charts of that
file and brings the site's page up to date.
"""

import argparse
import importlib
import json
import sys
from contextlib import AbstractContextManager
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

import bench_suite
from bench_suite.charts import draw_all
from bench_suite.everything import measure_all
from bench_suite.measuring import Suite, measure
from bench_suite.page import write_page
from bench_suite.reporting import as_json, judge, medians, table

MEASURED = Path(__file__).parents[2] / "docs" / "assets" / "benchmarks.json"
"""Where `all` writes and `plot` reads unless told otherwise; the charts are put beside it."""

PAGE = MEASURED.parents[1] / "benchmarks.md"
"""The page that shows the charts."""


def main() -> int:
    """Measure, print, and return 1 if a promise is broken."""
    arguments = _parser().parse_args()
    if arguments.name == "plot":
        return _plot(arguments.json or MEASURED)
    if arguments.name == "hit-ratio":
        return _compare_hits(arguments)
    if arguments.name == "size":
        sizes = importlib.import_module("bench_suite.sizes")
        status: int = sizes.compare(arguments.json)
        return status
    if arguments.name == "file_lag":
        file_lag = importlib.import_module("bench_suite.file_lag")
        late: int = file_lag.compare(arguments.json)
        return late
    if arguments.name == "all":
        return _measure_all(arguments)
    return _measure_one(arguments)


def _compare_hits(arguments: argparse.Namespace) -> int:
    if arguments.traces is None:
        print("hit-ratio needs --traces DIR: a folder of *.gz and *.xz traces.", file=sys.stderr)
        return 2
    hit_ratio = importlib.import_module("bench_suite.hit_ratio")
    picture = MEASURED.with_name("bench-hit-ratio.svg")
    status: int = hit_ratio.compare(arguments.traces, arguments.json, picture)
    return status


def _plot(measured: Path) -> int:
    for path in draw_all(measured, MEASURED.parent):
        print(path)
    ratios = json.loads(measured.read_text(encoding="utf-8"))["benchmarks"].get("hit-ratio")
    if ratios is not None:
        hit_ratio = importlib.import_module("bench_suite.hit_ratio")
        path = MEASURED.with_name("bench-hit-ratio.svg")
        path.write_text(hit_ratio.draw(ratios), encoding="utf-8")
        print(path)
    write_page(measured, PAGE)
    print(PAGE)
    return 0


def _measure_all(arguments: argparse.Namespace) -> int:
    pace = ["--rounds", str(arguments.rounds), "--seconds", str(arguments.seconds)]
    runs = dict.fromkeys(_benchmarks(), pace)
    if arguments.traces is not None:
        runs["hit-ratio"] = ["--traces", str(arguments.traces.absolute())]
    measured, all_hold = measure_all(runs)
    path: Path = arguments.json or MEASURED
    path.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    print(f"Everything that was measured is in {path}; `scripts/bench plot` draws it.")
    return int(not all_hold)


def _measure_one(arguments: argparse.Namespace) -> int:
    console = Console()
    module = importlib.import_module(f"bench_suite.{arguments.name}")
    opened: AbstractContextManager[Suite] = module.suite()
    with opened as suite:
        with Progress(console=console) as progress:
            task = progress.add_task(f"measuring {arguments.name}", total=arguments.rounds)
            measurements = measure(
                suite.scenarios,
                rounds=arguments.rounds,
                seconds=arguments.seconds,
                watch=lambda number: progress.update(task, completed=number),
            )
        for scenario in suite.scenarios:
            console.print(table(scenario, measurements))
        verdicts = judge(suite, medians(measurements))
    for verdict in verdicts:
        console.print(str(verdict), style="" if verdict.holds else "red", highlight=False)
    if arguments.json:
        arguments.json.write_text(as_json(arguments.name, measurements, verdicts))
    return int(not all(verdict.holds for verdict in verdicts))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument(
        "name",
        choices=[*_benchmarks(), "hit-ratio", "size", "file_lag", "all", "plot"],
        help="what to do",
    )
    parser.add_argument("--rounds", type=int, default=21, help="how often each contender is timed")
    parser.add_argument(
        "--seconds", type=float, default=0.02, help="about how long it works each time"
    )
    parser.add_argument(
        "--traces", type=Path, metavar="DIR", help="what hit-ratio plays: *.gz and *.xz files"
    )
    parser.add_argument(
        "--compiled", action="store_true", help="compile the memory engine before, and measure that"
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write, or read, every figure there"
    )
    return parser


def _benchmarks() -> list[str]:
    """Find the modules that define a `suite`, without importing them and their peers."""
    folder = Path(bench_suite.__path__[0])
    return sorted(path.stem for path in folder.glob("*.py") if "\ndef suite(" in path.read_text())


if __name__ == "__main__":
    sys.exit(main())
