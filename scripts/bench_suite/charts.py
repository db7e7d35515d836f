"""`scripts/bench plot`: charts of what `scripts/bench all` measured, one picture a benchmark.

A bar is the round that was disturbed least, the thin line reaches to the median: on a machine that
has nothing else to do it is short. Each scenario has a scale of its own, from zero.
"""

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from bench_suite.svg import Drawing

WIDTH = 760
LABELS = 210
FIGURES = 96
ROW = 24
OURS = {"Cache": "jinpy-cache", "backend": "jinpy-cache, backend", "cached": "jinpy-cache @cached"}
"""Our own contenders, and what a reader of a chart sees instead; more may follow after a comma."""

OVERVIEW = (
    ("memory", "get with ttl, hit"),
    ("memory", "aget, hit"),
    ("file", "get"),
    ("file", "set"),
    ("redis", "get"),
)
"""What the front page shows, as far as it was measured."""


@attrs.frozen
class Bar:
    """One contender of one scenario.

    Attributes:
        name: The contender.
        best: The round that was disturbed least.
        median: The median of all rounds.
    """

    name: str
    best: float
    median: float

    @property
    def ours(self) -> bool:
        """Whether it is one of ours."""
        return self.name.partition(",")[0] in OURS

    @property
    def label(self) -> str:
        """The name as it is shown."""
        name, comma, rest = self.name.partition(",")
        return f"{OURS.get(name, name)}{comma}{rest}"


@attrs.frozen
class Panel:
    """One scenario, with its contenders in the order they were measured."""

    name: str
    bars: Sequence[Bar]


def draw_all(measured: Path, folder: Path) -> list[Path]:
    """Draw every benchmark of a file that `scripts/bench all` wrote.

    Args:
        measured: The JSON file.
        folder: Where the pictures go.

    Returns:
        What was drawn.
    """
    everything = json.loads(measured.read_text(encoding="utf-8"))
    caption = f"{everything['date']}, {everything['machine']['summary']}"
    found = {
        name: panels(benchmark["measurements"])
        for name, benchmark in everything["benchmarks"].items()
        if "measurements" in benchmark
    }
    found["overview"] = overview(found)
    drawn: list[Path] = []
    for name, content in found.items():
        path = folder / f"bench-{name}.svg"
        path.write_text(draw(name, content, caption), encoding="utf-8")
        drawn.append(path)
    return drawn


def overview(found: Mapping[str, Sequence[Panel]]) -> list[Panel]:
    """The panels of the front page, each with the name of its benchmark."""
    return [
        attrs.evolve(panel, name=f"{name}: {scenario}")
        for name, scenario in OVERVIEW
        for panel in found.get(name, ())
        if panel.name == scenario
    ]


def panels(measurements: Sequence[Mapping[str, Any]]) -> list[Panel]:
    """Sort measurements by scenario."""
    found: dict[str, list[Bar]] = {}
    for each in measurements:
        rounds = each["nanoseconds"]
        bar = Bar(each["contender"], min(rounds), statistics.median(rounds))
        found.setdefault(each["scenario"], []).append(bar)
    return [Panel(name, bars) for name, bars in found.items()]


def draw(name: str, panels: Sequence[Panel], caption: str) -> str:
    """One picture: the panels below each other.

    Args:
        name: The benchmark.
        panels: Its scenarios.
        caption: When and where it was measured.
    """
    title = f"{name.replace('_', ' ').capitalize()}: time for one operation, shorter is better"
    drawing = Drawing(WIDTH, title)
    drawing.text(0, 18, title, kind="title")
    drawing.text(0, 37, caption, kind="quiet")
    y = 60.0
    for panel in panels:
        y = _draw_panel(drawing, panel, y)
    drawing.height = y
    return drawing.finished()


def _draw_panel(drawing: Drawing, panel: Panel, top: float) -> float:
    """Draw one scenario and return where the next one begins."""
    drawing.text(0, top + 12, panel.name, kind="panel")
    top += 22
    longest = max(bar.median for bar in panel.bars)
    scale = (WIDTH - LABELS - FIGURES) / longest
    for bar in panel.bars:
        middle = top + ROW / 2
        drawing.text(LABELS - 10, middle + 4, bar.label, anchor="end")
        kind = "ours" if bar.ours else "theirs"
        drawing.bar(LABELS, top + 3, bar.best * scale, ROW - 6, kind=kind)
        end = LABELS + bar.median * scale
        drawing.line(LABELS + bar.best * scale, middle, end, middle)
        drawing.text(end + 8, middle + 4, duration(bar.best), kind="figure")
        top += ROW
    drawing.line(LABELS, top - len(panel.bars) * ROW, LABELS, top, kind="grid")
    return top + 16


def duration(nanoseconds: float) -> str:
    """A duration with three digits and the unit that suits it."""
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if nanoseconds >= size:
            return f"{nanoseconds / size:.3g} {unit}"
    return f"{nanoseconds:.3g} ns"
