"""Showing measurements: a table for people, JSON for programs, and whether promises hold."""

import json
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import distributions
from typing import Any

import attrs
from rich.table import Table

from bench_suite.measuring import Limit, Measurement, Scenario, Suite

Medians = Mapping[tuple[str, str], float]
"""Nanoseconds for one operation, by scenario and contender."""


@attrs.frozen
class Verdict:
    """Whether a promise holds, and by how much."""

    limit: Limit
    ratio: float

    @property
    def holds(self) -> bool:
        """Whether the ratio is within the limit."""
        return self.ratio <= self.limit.at_most

    def __str__(self) -> str:
        limit = self.limit
        word = "holds" if self.holds else "BROKEN"
        return (
            f"{limit.scenario}: {limit.contender} takes {self.ratio:.2f} times as long as "
            f"{limit.reference}, limit {limit.at_most:g}: {word}"
        )


def medians(measurements: Sequence[Measurement]) -> Medians:
    """Return the median of every contender in every scenario."""
    return {(each.scenario, each.contender): each.median for each in measurements}


def judge(suite: Suite, found: Medians) -> list[Verdict]:
    """Compare the medians with what the suite promises."""
    return [
        Verdict(
            limit,
            (found[limit.scenario, limit.contender] - limit.besides)
            / found[limit.scenario, limit.reference],
        )
        for limit in suite.limits
    ]


def table(scenario: Scenario, measurements: Sequence[Measurement]) -> Table:
    """Lay out one scenario: nanoseconds for each contender, and how they compare.

    Args:
        scenario: The scenario.
        measurements: At least those of this scenario.
    """
    mine = {each.contender: each for each in measurements if each.scenario == scenario.name}
    baseline = mine[scenario.baseline].median
    ratio = f"x {scenario.baseline}"
    drawn = Table(scenario.name, "ns/op", "best", "spread", ratio, min_width=70)
    drawn.columns[0].ratio = 1
    for column in drawn.columns[1:]:
        column.justify = "right"
    for name, measurement in mine.items():
        drawn.add_row(
            name,
            f"{measurement.median:,.0f}",
            f"{measurement.best:,.0f}",
            f"{measurement.spread:.0%}",
            f"{measurement.median / baseline:.2f}",
        )
    return drawn


def as_json(name: str, measurements: Sequence[Measurement], verdicts: Sequence[Verdict]) -> str:
    """Return everything that was measured, and on what, for another program to compare.

    Args:
        name: The name of the benchmark.
        measurements: What `measure` returned.
        verdicts: What `judge` returned.
    """
    installed = {each.name: each.version for each in distributions()}
    everything: dict[str, Any] = {
        "benchmark": name,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "processor": platform.processor(),
        "distributions": dict(sorted(installed.items())),
        "measurements": [
            {
                **attrs.asdict(each),
                "median": each.median,
                "best": each.best,
                "spread": each.spread,
            }
            for each in measurements
        ],
        "limits": [
            {**attrs.asdict(each.limit), "ratio": each.ratio, "holds": each.holds}
            for each in verdicts
        ],
    }
    return json.dumps(everything, indent=2)
