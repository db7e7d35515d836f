"""The measuring core: what a contender costs is what is reported, whatever disturbs a round."""

import gc
import json

import attrs
import pytest
from rich.console import Console

from bench_suite.measuring import Limit, Measurement, Scenario, Suite, measure
from bench_suite.reporting import as_json, judge, medians, table


@attrs.define
class FakeClock:
    """Time that passes only while a contender works."""

    nanoseconds: int = 0
    worked: list[str] = attrs.Factory(list)

    def __call__(self) -> int:
        return self.nanoseconds

    def contender(self, name: str, cost: int):
        """Make work that takes exactly so many nanoseconds."""

        def work() -> None:
            self.nanoseconds += cost
            self.worked.append(name)

        return work


@pytest.fixture
def clock() -> FakeClock:
    """A clock at zero."""
    return FakeClock()


def scenario(clock: FakeClock, **costs: int) -> Scenario:
    """One scenario of ten operations, with the cost of each contender's work."""
    works = {name: clock.contender(name, cost) for name, cost in costs.items()}
    return Scenario(name="read", contenders=works, operations=10, baseline=next(iter(costs)))


def test_cost_of_one_operation_is_reported(clock: FakeClock) -> None:
    """The time of a round is divided by everything that was done in it."""
    found = measure([scenario(clock, slow=5000, fast=200)], rounds=3, clock=clock)

    assert [(each.contender, each.nanoseconds) for each in found] == [
        ("slow", [500.0, 500.0, 500.0]),
        ("fast", [20.0, 20.0, 20.0]),
    ]


def test_rounds_are_interleaved(clock: FakeClock) -> None:
    """Every contender works once before any works again."""
    measure([scenario(clock, a=10**9, b=10**9, c=10**9)], rounds=4, seconds=1, clock=clock)

    after_calibration = clock.worked[3:]
    rounds = [after_calibration[start : start + 3] for start in range(0, 12, 3)]
    assert [sorted(each) for each in rounds] == [["a", "b", "c"]] * 4
    assert len({tuple(each) for each in rounds}) > 1


def test_every_contender_works_for_about_the_same_time(clock: FakeClock) -> None:
    """A fast contender repeats its work until its rounds are as long as the others'."""
    contenders = scenario(clock, slow=100_000, fast=1_000)
    measure([contenders], rounds=0, seconds=0.001, clock=clock)
    clock.worked.clear()

    measure([contenders], rounds=1, seconds=0.001, clock=clock)

    last_round = clock.worked[-1010:]
    assert (last_round.count("slow"), last_round.count("fast")) == (10, 1000)


def test_work_that_is_longer_than_a_round_is_done_once(clock: FakeClock) -> None:
    """Calibration never rounds the number of calls to nothing."""
    measure([scenario(clock, slow=10**9)], rounds=2, seconds=0.001, clock=clock)

    assert clock.worked == ["slow"] * 3


def test_outlier_does_not_move_the_median() -> None:
    """One disturbed round leaves the result alone, and shows in the spread of none."""
    measurement = Measurement("read", "ours", [10.0, 11.0, 9.0, 10.0, 5000.0])

    assert (measurement.median, measurement.best) == (10.0, 9.0)


def test_spread_is_the_distance_between_quartiles() -> None:
    """The spread is a share of the median; one round alone has none."""
    assert Measurement("read", "ours", [8.0, 9.0, 10.0, 11.0, 12.0]).spread == pytest.approx(0.3)
    assert Measurement("read", "ours", [8.0]).spread == 0.0


def test_garbage_collector_rests_while_time_is_taken(clock: FakeClock) -> None:
    """It is off during the work and back as it was afterwards, even after an error."""
    states: list[bool] = []

    def work() -> None:
        clock.nanoseconds += 10**9
        states.append(gc.isenabled())

    def broken() -> None:
        message = "broken contender"
        raise RuntimeError(message)

    measure([Scenario(name="s", contenders={"a": work}, baseline="a")], rounds=1, clock=clock)
    assert states
    assert not any(states)
    assert gc.isenabled()
    with pytest.raises(RuntimeError, match="broken contender"):
        measure([Scenario(name="s", contenders={"a": broken}, baseline="a")], clock=clock)
    assert gc.isenabled()


def test_watcher_hears_of_every_round(clock: FakeClock) -> None:
    """A progress bar can follow."""
    heard: list[int] = []

    measure([scenario(clock, a=100)], rounds=3, clock=clock, watch=heard.append)

    assert heard == [1, 2, 3]


@pytest.mark.parametrize(("at_most", "holds"), [(2.4, False), (2.5, True), (2.6, True)])
def test_promise_is_judged_by_the_ratio_of_medians(
    clock: FakeClock, at_most: float, holds: bool
) -> None:
    """A limit is kept up to and including the ratio it names."""
    limit = Limit(scenario="read", contender="ours", reference="dict", at_most=at_most)
    suite = Suite(scenarios=[scenario(clock, dict=1000, ours=2500)], limits=[limit])

    [verdict] = judge(suite, medians(measure(suite.scenarios, rounds=3, clock=clock)))

    assert (verdict.ratio, verdict.holds) == (2.5, holds)
    assert ("holds" if holds else "BROKEN") in str(verdict)


def test_table_shows_each_contender_beside_the_baseline(clock: FakeClock) -> None:
    """Nanoseconds for one operation, and the ratio to the baseline."""
    measured = scenario(clock, dict=1000, ours=2500)
    console = Console(width=80)

    with console.capture() as printed:
        console.print(table(measured, measure([measured], rounds=3, clock=clock)))

    lines = [line.split() for line in printed.get().splitlines() if "│" in line]
    cells = [[cell for cell in line if cell != "│"] for line in lines]
    assert cells == [["dict", "100", "100", "0%", "1.00"], ["ours", "250", "250", "0%", "2.50"]]


def test_json_holds_every_figure(clock: FakeClock) -> None:
    """Another program can compare two runs."""
    limit = Limit(scenario="read", contender="ours", reference="dict", at_most=3)
    suite = Suite(scenarios=[scenario(clock, dict=1000, ours=2500)], limits=[limit])
    found = measure(suite.scenarios, rounds=2, clock=clock)

    written = json.loads(as_json("memory", found, judge(suite, medians(found))))

    assert written["benchmark"] == "memory"
    assert written["measurements"][1] == {
        "scenario": "read",
        "contender": "ours",
        "nanoseconds": [250.0, 250.0],
        "median": 250.0,
        "best": 250.0,
        "spread": 0.0,
    }
    assert written["limits"][0]["ratio"] == 2.5
    assert "rich" in written["distributions"]
