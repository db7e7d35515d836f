"""Running steps side by side, so that nothing they start outlives them, and telling how it went."""

import ctypes
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tools.hatch import ROOT, TOOLS, Hatch
from tools.plan import Step

LOGS = TOOLS / "logs"
"""What each step printed in the last run."""

TIME_LIMIT = 15 * 60.0
"""Seconds after which a command is ended; nothing here should take half as long."""

GRACE = 3.0
"""Seconds that the children of a command that has ended have to end by themselves."""

_PR_SET_CHILD_SUBREAPER = 36
_NO_TESTS_COLLECTED = 5
_PYTEST_SUMMARY = re.compile(r"^=+ (.* in [\d.]+s.*?) =+$", re.MULTILINE)
_PYTEST_FAILURE = re.compile(r"^(?:FAILED|ERROR) .*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a step ended: `passed`, `failed` or `skipped`, and what pytest said of it."""

    name: str
    verdict: str
    seconds: float
    summary: str
    failures: Sequence[str] = ()


class Runner:
    """Runs steps, as many at a time as there are processors.

    Each command leads a process group, in which it may leave nobody behind. On Linux the runner
    adopts what left its group, too, as a server in the background does, and finds it at the end.
    """

    def __init__(self, hatch: Hatch) -> None:
        self._hatch = hatch
        self._started = time.monotonic()
        self._lock = threading.Lock()
        self._groups: set[int] = set()
        self._ending = False
        self._preparing: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def run(self, steps: Sequence[Step]) -> list[Outcome]:
        """Run every step, whatever happens to the others, and return the outcomes in order.

        An interrupt or a signal to terminate ends everything; what did not finish has then failed.
        """
        LOGS.mkdir(parents=True, exist_ok=True)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        self._outcomes = {s.name: Outcome(s.name, "failed", 0, "interrupted") for s in steps}
        pool = ThreadPoolExecutor(os.cpu_count())
        try:
            list(pool.map(self._run, [step for step in steps if not step.alone]))
            for step in steps:
                if step.alone:
                    self._run(step)
        except KeyboardInterrupt:
            self._say("Interrupted: ending what is running.")
        finally:
            with self._lock:
                self._ending = True
                for group in self._groups:
                    _end_group(group)
            pool.shutdown(cancel_futures=True)
            strays = _children()
            for pid in strays:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        if said := "; ".join(strays.values()):
            self._outcomes["processes"] = Outcome("processes", "failed", 0, f"left running: {said}")
        return list(self._outcomes.values())

    def _run(self, step: Step) -> None:
        if step.without:
            self._outcomes[step.name] = Outcome(step.name, "skipped", 0, step.without)
            return
        self._say(f"start   {step.name}")
        started = time.monotonic()
        path = LOGS / f"{step.name.replace(' ', '-')}.txt"
        path.unlink(missing_ok=True)
        environment = step.command[0].partition(":")[0]
        with path.open("ab") as log:
            with self._preparing[environment]:  # steps may share one
                status = self._execute([f"{environment}:python", "-V"], log)
            status = status or self._execute(step.command, log)
        text = path.read_text(errors="replace").rstrip()
        seconds = time.monotonic() - started
        summary = [text.rpartition("\n")[2], *_PYTEST_SUMMARY.findall(text)][-1]
        verdict, failures = "failed" if status else "passed", []
        if status == _NO_TESTS_COLLECTED and step.alone:
            verdict, summary = "skipped", "no test asks for it"
        elif status:
            failures = _PYTEST_FAILURE.findall(text)
            self._say(f"----- {step.name} printed:\n{text}\n----- end of {step.name}")
        self._say(f"{verdict:7} {step.name} in {seconds:.1f} s: {summary}")
        if not self._ending:
            self._outcomes[step.name] = Outcome(step.name, verdict, seconds, summary, failures)

    def _execute(self, command: Sequence[str], log: IO[bytes]) -> int:
        """Give a command to `hatch run`, and return its status when all that it started is gone."""
        with self._lock:
            if self._ending:
                return 1
            process = subprocess.Popen(
                [self._hatch.program, "run", *command],
                cwd=ROOT,
                env={**self._hatch.settings, "PY_COLORS": "0"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self._groups.add(process.pid)
        sentence = ""
        try:
            status = process.wait(TIME_LIMIT)
            if strays := _children(process.pid):
                sentence = f"Left behind and now ended: {'; '.join(strays.values())}\n"
        except subprocess.TimeoutExpired:
            status, sentence = 1, f"Ended after {TIME_LIMIT:.0f} s.\n"
        with self._lock:
            _end_group(process.pid)
            self._groups.discard(process.pid)
        process.wait()
        log.write(sentence.encode())
        log.flush()
        return status or int(bool(sentence))

    def _say(self, text: str) -> None:
        with self._lock:
            print(f"[{time.monotonic() - self._started:5.0f} s] {text}", flush=True)


def report(outcomes: Sequence[Outcome], seconds: float) -> str:
    """Lay out the closing table, one line a step, and what failed below it."""
    width = max(len(outcome.name) for outcome in outcomes)
    rule = "-" * (width + 26)
    lines = ["", f"{'step':{width}}  verdict  seconds  summary", rule]
    lines += [f"{o.name:{width}}  {o.verdict:7}  {o.seconds:7.1f}  {o.summary}" for o in outcomes]
    lines += [rule, *(f"{o.name}: {failure}" for o in outcomes for failure in o.failures)]
    failed = sum(outcome.verdict == "failed" for outcome in outcomes)
    verdict = f"{failed} of {len(outcomes)} steps failed" if failed else "everything holds"
    return "\n".join([*lines, f"{verdict} ({seconds:.0f} s; logs in {LOGS.relative_to(ROOT)}/)"])


def _end_group(leader: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def _children(group: int | None = None) -> dict[int, str]:
    """Return the command lines of our children, in a group or any, that are left after `GRACE`."""
    deadline = time.monotonic() + GRACE
    while True:
        found: dict[int, str] = {}
        for listing in Path("/proc/self/task").glob("*/children"):
            with suppress(OSError):  # the thread has ended
                for pid in map(int, listing.read_text().split()):
                    with suppress(OSError):  # the process has
                        line = Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
                        if line and group in {None, os.getpgid(pid)}:
                            found[pid] = line.replace("\0", " ").strip()
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.02)
