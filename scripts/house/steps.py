"""Running the steps of a check side by side and saying how each went."""

import os
import re
import shlex
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from types import FrameType
from typing import IO

from house.processes import Processes
from house.toolbox import LOGS, ROOT, Toolbox

_NO_TESTS_COLLECTED = 5
_PYTEST_SUMMARY = re.compile(r"^=+ .* in [\d.]+s.* =+$", re.MULTILINE)
_PYTEST_FAILURE = re.compile(r"^(?:FAILED|ERROR) .*$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that must hold: commands, and the environment of `hatch.toml` they run in.

    Attributes:
        name: How the step is called in the table; unique.
        environment: The hatch environment.
        commands: Run one after the other, all of them, inside the environment.
        alone: Whether nothing else may run at the same time, because time is measured.
        may_be_empty: Whether finding no test at all is fine.
        without: Why there is nothing to do; the step is then skipped with this sentence.
    """

    name: str
    environment: str = ""
    commands: tuple[tuple[str, ...], ...] = ()
    alone: bool = False
    may_be_empty: bool = False
    without: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a step ended.

    Attributes:
        step: The step.
        verdict: `passed`, `failed` or `skipped`.
        seconds: How long it took, its environment included.
        summary: pytest's own last line, or a sentence.
        failures: pytest's own lines about what failed.
    """

    step: Step
    verdict: str
    seconds: float = 0.0
    summary: str = ""
    failures: tuple[str, ...] = ()


class Runner:
    """Runs steps, as many at a time as there are processors."""

    def __init__(self, toolbox: Toolbox, jobs: int | None = None) -> None:
        self._toolbox = toolbox
        self._jobs = jobs or len(os.sched_getaffinity(0))
        self._processes = Processes()
        self._talking = threading.Lock()
        self._preparing: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._started = time.monotonic()

    def run(self, steps: Sequence[Step]) -> list[Outcome]:
        """Run every step, whatever happens to the others, and return the outcomes in order.

        An interrupt or a signal to terminate ends all programs that were started; what did not
        finish has then failed.
        """
        signal.signal(signal.SIGTERM, _interrupt)
        LOGS.mkdir(parents=True, exist_ok=True)
        outcomes = {step.name: Outcome(step, "failed", summary="interrupted") for step in steps}
        try:
            for outcome in self._outcomes(steps):
                outcomes[outcome.step.name] = outcome
        except KeyboardInterrupt:
            self._say("Interrupted: ending what is running.")
        finally:
            self._processes.end_all()
            strays = self._processes.end_strays()
        if strays:
            outcomes["processes"] = _left_behind(strays)
        return list(outcomes.values())

    def _outcomes(self, steps: Sequence[Step]) -> Iterator[Outcome]:
        """Run the steps that stand each other, then those that want to be alone."""
        with ThreadPoolExecutor(self._jobs) as pool:
            running = [pool.submit(self._run, step) for step in steps if not step.alone]
            try:
                for finished in as_completed(running):
                    yield finished.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                self._processes.end_all()
                raise
        for step in steps:
            if step.alone:
                yield self._run(step)

    def _run(self, step: Step) -> Outcome:
        if step.without:
            outcome = Outcome(step, "skipped", summary=step.without)
        else:
            self._say(f"start   {step.name}")
            started = time.monotonic()
            status, log = self._execute(step)
            outcome = judge(step, status, time.monotonic() - started, log)
            if outcome.verdict == "failed":
                self._say(f"----- {step.name} printed:\n{log.rstrip()}\n----- end of {step.name}")
        took = f" in {outcome.seconds:.1f} s" if outcome.seconds else ""
        self._say(f"{outcome.verdict:7} {step.name}{took}: {outcome.summary}")
        return outcome

    def _execute(self, step: Step) -> tuple[int, str]:
        """Prepare the environment, run the commands, and return the worst status and the log."""
        path = LOGS / f"{step.name.replace(' ', '-')}.txt"
        toolbox, processes = self._toolbox, self._processes
        with path.open("w+b") as log:
            with self._preparing[step.environment]:  # steps may share an environment
                worst = processes.run(toolbox.preparation(step.environment), toolbox.settings, log)
            if not worst:
                python = toolbox.prepared(path.read_text(errors="replace"))
                settings = toolbox.settings_for(python)
                for command in step.commands:
                    print_command(log, command)
                    program = str(python.with_name(command[0]))
                    worst = processes.run((program, *command[1:]), settings, log) or worst
        return worst, path.read_text(errors="replace")

    def _say(self, text: str) -> None:
        with self._talking:
            print(f"[{time.monotonic() - self._started:5.0f} s] {text}", flush=True)


def print_command(log: IO[bytes], command: Sequence[str]) -> None:
    """Write a command into a log, where the programs that share the log will write after it."""
    log.seek(0, os.SEEK_END)
    log.write(f"$ {shlex.join(command)}\n".encode())
    log.flush()


def judge(step: Step, status: int, seconds: float, log: str) -> Outcome:
    """Decide from the exit status and the log how a step went.

    Args:
        step: The step.
        status: The worst exit status of its commands.
        seconds: How long it took.
        log: What it printed.
    """
    summaries = _PYTEST_SUMMARY.findall(log)
    if status == _NO_TESTS_COLLECTED and step.may_be_empty:
        return Outcome(step, "skipped", seconds, "no test asks for it")
    last_line = log.rstrip().rpartition("\n")[2]
    summary = summaries[-1] if summaries else last_line
    if not status:
        return Outcome(step, "passed", seconds, summary)
    return Outcome(step, "failed", seconds, summary, tuple(_PYTEST_FAILURE.findall(log)))


def report(outcomes: Sequence[Outcome], seconds: float) -> str:
    """Lay out the closing table: every step with its seconds and pytest's summary line.

    Args:
        outcomes: What `Runner.run` returned.
        seconds: How long everything took, side by side.
    """
    width = max(len(outcome.step.name) for outcome in outcomes)
    rule = "-" * (width + 24)
    lines = ["", f"{'step':{width}}  {'verdict':7}  {'seconds':>7}  summary", rule]
    lines += [
        f"{outcome.step.name:{width}}  {outcome.verdict:7}  {outcome.seconds:7.1f}  "
        f"{outcome.summary}"
        for outcome in outcomes
    ]
    lines.append(rule)
    failed = [outcome for outcome in outcomes if outcome.verdict == "failed"]
    for outcome in failed:
        lines += [f"{outcome.step.name}: {failure}" for failure in outcome.failures]
    verdict = f"{len(failed)} of {len(outcomes)} steps failed" if failed else "everything holds"
    lines.append(f"{verdict} ({seconds:.0f} s; logs in {LOGS.relative_to(ROOT)}/)")
    return "\n".join(lines)


def _left_behind(strays: Sequence[str]) -> Outcome:
    sentence = f"left running in the background: {'; '.join(strays)}"
    return Outcome(Step(name="processes"), "failed", summary=sentence)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
