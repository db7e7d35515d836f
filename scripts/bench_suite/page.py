"""The page of the site that shows what was measured, kept true to the file of measurements.

What a person wrote stays; everything below the marker is written anew by `scripts/bench plot`.
"""

import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench_suite.charts import Bar, Panel, duration, panels

MARKER = "<!-- Below this line `scripts/bench plot` writes. -->"

PACKAGES = (
    *("aiocache", "cachebox", "cachetools", "cashews", "Django", "diskcache", "dogpile.cache"),
    *("hiredis", "lmdb", "moka-py", "ormsgpack", "redis", "theine"),
)
"""Whose versions a reader wants to know."""


def write_page(measured: Path, page: Path) -> None:
    """Replace what the page says about measurements.

    Args:
        measured: The JSON file that `scripts/bench all` wrote.
        page: A Markdown file with the marker in it.
    """
    everything = json.loads(measured.read_text(encoding="utf-8"))
    written, marker, _ = page.read_text(encoding="utf-8").partition(MARKER)
    if not marker:
        message = f"{page} does not hold the line {MARKER!r}, below which measurements belong."
        raise ValueError(message)
    page.write_text("\n".join([written + marker, *_lines(everything)]) + "\n", encoding="utf-8")


def _lines(everything: Mapping[str, Any]) -> Iterator[str]:
    machine = everything["machine"]
    yield ""
    yield f"Measured on {everything['date']}: {machine['summary']}. {_versions(everything)}"
    if engine := everything.get("memory_engine"):
        yield f"The engine of the memory backend ran as {engine}."
    for name, benchmark in everything["benchmarks"].items():
        if name == "hit-ratio":
            yield from _hit_ratios(benchmark)
            continue
        found = panels(benchmark["measurements"])
        yield f"\n## {name.replace('_', ' ').capitalize()}\n"
        yield f"![Bars that compare the contenders](assets/bench-{name}.svg){{ .chart }}"
        yield "\n| operation | jinpy-cache | faster | slower |\n|---|---|---|---|"
        for panel in found:
            yield _comparison(panel)
        if benchmark["limits"]:
            yield "\n| what must hold | at most | best rounds | medians |\n|---|---|---|---|"
            for limit in benchmark["limits"]:
                yield _promise(limit, found)


def _hit_ratios(ratios: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    cells = len(next(iter(ratios.values())))
    yield "\n## Hit ratio\n"
    yield (
        f"The mean over {cells} combinations of a recorded trace and a capacity, from 1 to 25 % of "
        "its distinct keys. `optimum` knows the future; nobody can do better. "
        "The constants of our policy were chosen on these same traces.\n"
    )
    yield "![Bars that compare hit ratios](assets/bench-hit-ratio.svg){ .chart }"
    yield "\n| | mean hit ratio | lowest | highest |\n|---|---|---|---|"
    means = {name: statistics.fmean(found.values()) for name, found in ratios.items()}
    for name in sorted(means, key=means.__getitem__, reverse=True):
        found = ratios[name].values()
        yield f"| {name} | {means[name]:.1f} % | {min(found):.1f} % | {max(found):.1f} % |"


def _versions(everything: Mapping[str, Any]) -> str:
    installed = {name.lower(): version for name, version in everything["distributions"].items()}
    known = (f"{one} {installed[one.lower()]}" for one in PACKAGES if one.lower() in installed)
    return f"Versions: {', '.join(known)}."


def _comparison(panel: Panel) -> str:
    """Our time, and who took less and who took more, each as a multiple of ours."""
    ours = next((bar for bar in panel.bars if bar.ours and bar.name != "backend"), None)
    ours = ours or next(bar for bar in panel.bars if bar.ours)
    others = [bar for bar in panel.bars if not bar.ours]
    faster = [bar for bar in others if bar.best < ours.best]
    slower = [bar for bar in others if bar.best >= ours.best]
    shown = (panel.name, duration(ours.best), _multiples(faster, ours), _multiples(slower, ours))
    return f"| {' | '.join(shown)} |"


def _multiples(bars: Sequence[Bar], ours: Bar) -> str:
    ordered = sorted(bars, key=lambda bar: bar.best)
    return ", ".join(f"{bar.name} {bar.best / ours.best:.2f}x" for bar in ordered)


def _promise(limit: Mapping[str, Any], found: Sequence[Panel]) -> str:
    """A promise, and whether it holds for the rounds disturbed least, and for the medians."""
    scenario, ours, theirs = limit["scenario"], limit["contender"], limit["reference"]
    bars = {bar.name: bar for panel in found if panel.name == scenario for bar in panel.bars}
    at_most, besides = limit["at_most"], limit.get("besides", 0.0)
    shown = f"{at_most:.3g}x" + (f" and {duration(besides)}" if besides else "")
    cells = [
        f"{mine / their:.2f}x" + ("" if mine <= at_most * their + besides else " **missed**")
        for mine, their in (
            (bars[ours].best, bars[theirs].best),
            (bars[ours].median, bars[theirs].median),
        )
    ]
    return f"| {scenario}: {ours} / {theirs} | {shown} | {' | '.join(cells)} |"
