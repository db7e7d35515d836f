"""Timing contenders side by side, so that what disturbs one disturbs all.

Rounds are interleaved: in each one every contender of every scenario works once, in shuffled order,
for about the same time. The median over the rounds is the result; the garbage collector rests while
time is taken.
"""

import gc
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from random import Random

import attrs

Work = Callable[[], object]
"""Performs a scenario's operations once."""


@attrs.frozen(kw_only=True)
class Scenario:
    """One thing to do, and those who do it.

    Attributes:
        name: What the table calls it.
        contenders: The work of each contender, by name.
        operations: How many operations one call of the work performs.
        baseline: The contender whom the others are compared with.
    """

    name: str
    contenders: Mapping[str, Work]
    operations: int = 1
    baseline: str


@attrs.frozen(kw_only=True)
class Limit:
    """A promise: in a scenario one contender takes at most so many times as long as another.

    Attributes:
        scenario: The name of the scenario.
        contender: Who is held to it.
        reference: With whom it is compared.
        at_most: How many times as long.
        besides: Nanoseconds that the contender may take on top of that.
    """

    scenario: str
    contender: str
    reference: str
    at_most: float
    besides: float = 0.0


@attrs.frozen(kw_only=True)
class Suite:
    """What a benchmark measures and promises."""

    scenarios: Sequence[Scenario]
    limits: Sequence[Limit] = ()


@attrs.frozen
class Measurement:
    """The result of one contender in one scenario.

    Attributes:
        scenario: The name of the scenario.
        contender: The name of the contender.
        nanoseconds: Nanoseconds for one operation, one figure per round.
    """

    scenario: str
    contender: str
    nanoseconds: Sequence[float]

    @property
    def median(self) -> float:
        """Nanoseconds for one operation; half of the rounds took less."""
        return statistics.median(self.nanoseconds)

    @property
    def best(self) -> float:
        """Nanoseconds for one operation in the round that was disturbed least."""
        return min(self.nanoseconds)

    @property
    def spread(self) -> float:
        """The distance between the quartiles as a share of the median; small is trustworthy."""
        if len(self.nanoseconds) < 2:
            return 0.0
        low, _, high = statistics.quantiles(self.nanoseconds, n=4)
        return (high - low) / self.median


@attrs.define
class _Runner:
    """One contender's work, and how often a round calls it."""

    scenario: Scenario
    contender: str
    work: Work
    clock: Callable[[], int]
    calls: int = 1
    figures: list[float] = attrs.Factory(list)

    def calibrate(self, nanoseconds: float) -> None:
        """Find how many calls fill a round of so many nanoseconds."""
        while (took := self._time()) * 4 < nanoseconds:
            self.calls *= 2
        self.calls = max(1, round(self.calls * nanoseconds / took))

    def run_round(self) -> None:
        """Take the time of one round."""
        self.figures.append(self._time() / (self.calls * self.scenario.operations))

    def _time(self) -> int:
        work = self.work
        started = self.clock()
        for _ in range(self.calls):
            work()
        return self.clock() - started


def measure(
    scenarios: Sequence[Scenario],
    *,
    rounds: int = 21,
    seconds: float = 0.02,
    clock: Callable[[], int] = time.perf_counter_ns,
    random: Random | None = None,
    watch: Callable[[int], None] = lambda _round: None,
) -> list[Measurement]:
    """Time every contender of every scenario and return the results in the order given.

    Args:
        scenarios: What to measure.
        rounds: How often each contender is timed.
        seconds: About how long it works each time.
        clock: Returns nanoseconds.
        random: Shuffles the contenders in every round.
        watch: Is called with the number of each round that has ended.
    """
    shuffle = (random or Random(0)).shuffle
    runners = [
        _Runner(scenario, name, work, clock)
        for scenario in scenarios
        for name, work in scenario.contenders.items()
    ]
    with _garbage_collector_resting():
        for runner in runners:
            runner.calibrate(seconds * 1e9)
        for number in range(1, rounds + 1):
            order = runners.copy()
            shuffle(order)
            for runner in order:
                runner.run_round()
            gc.collect()
            watch(number)
    return [Measurement(each.scenario.name, each.contender, each.figures) for each in runners]


@contextmanager
def _garbage_collector_resting() -> Iterator[None]:
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
