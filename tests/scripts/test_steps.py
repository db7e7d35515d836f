"""A check runs all its steps, says how each went, and leaves no process behind."""

import json
import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from textwrap import dedent

import pytest

from house.steps import Outcome, Step, judge, report

SCRIPTS = Path(__file__).parents[2] / "scripts"

RUN_STEPS = """
import json, os, signal, sys
from pathlib import Path
from house import steps, toolbox

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it

hatch = Path(sys.argv[1])
steps.LOGS = hatch.parent / "logs"
box = toolbox.Toolbox(hatch, dict(os.environ))
todo = [steps.Step(environment="any", **step) for step in json.loads(sys.argv[2])]
outcomes = steps.Runner(box, jobs=2).run(todo)
found = [[each.step.name, each.verdict, each.summary] for each in outcomes]
Path(sys.argv[3]).write_text(json.dumps(found))
"""


@pytest.fixture
def start(tmp_path: Path):
    """Start a runner in a process of its own, with a hatch that only knows this Python."""
    hatch = tmp_path / "hatch"
    hatch.write_text(f"#!/bin/sh\necho {sys.executable}\n")
    hatch.chmod(0o755)

    with ExitStack() as started:

        def start(*steps: dict[str, object]) -> subprocess.Popen[str]:
            arguments = [str(hatch), json.dumps(steps), str(tmp_path / "outcomes")]
            process = subprocess.Popen(
                [sys.executable, "-c", RUN_STEPS, *arguments],
                env={**os.environ, "PYTHONPATH": str(SCRIPTS)},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            started.enter_context(process)
            started.callback(process.kill)
            return process

        yield start


@pytest.fixture
def outcomes(start, tmp_path: Path):
    """Run steps to their end and return name, verdict and summary of each."""

    def outcomes(*steps: dict[str, object]) -> tuple[list[list[str]], str]:
        process = start(*steps)
        said, _ = process.communicate(timeout=120)
        assert process.returncode == 0, said
        return json.loads((tmp_path / "outcomes").read_text()), said

    return outcomes


def python(code: str) -> list[str]:
    """A command that runs a piece of Python."""
    return [Path(sys.executable).name, "-c", dedent(code)]


def is_running(pid: int) -> bool:
    """Whether there is such a process, zombies aside."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def test_every_step_runs_whatever_happens_to_the_others(outcomes) -> None:
    """A failure is shown whole and stops nothing."""
    found, said = outcomes(
        {"name": "first", "commands": [python("print('broken'); raise SystemExit(3)")]},
        {"name": "second", "commands": [python("print('fine')")]},
        {"name": "third", "without": "There are no tests yet."},
        {"name": "last", "commands": [python("print('alone')")], "alone": True},
    )

    assert found == [
        ["first", "failed", "broken"],
        ["second", "passed", "fine"],
        ["third", "skipped", "There are no tests yet."],
        ["last", "passed", "alone"],
    ]
    assert "start   first" in said
    assert "first printed:" in said


def test_every_command_of_a_step_runs_and_the_worst_counts(outcomes) -> None:
    """The second type checker runs although the first one complained."""
    found, _ = outcomes(
        {"name": "types", "commands": [python("raise SystemExit(1)"), python("print('second')")]}
    )

    assert found == [["types", "failed", "second"]]


def test_process_left_in_the_group_fails_the_step(outcomes, tmp_path: Path) -> None:
    """A test that forgets its server is found, and the server is ended."""
    forget = f"""
        import pathlib, subprocess, sys
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        pathlib.Path({str(tmp_path / "pid")!r}).write_text(str(child.pid))
        child.returncode = 0
    """

    found, said = outcomes({"name": "forgetful", "commands": [python(forget)]})

    assert [found[0][0], found[0][1]] == ["forgetful", "failed"]
    assert "Left behind and now ended" in said
    assert "time.sleep(600)" in said
    assert not is_running(int((tmp_path / "pid").read_text()))


@pytest.mark.skipif(sys.platform != "linux", reason="adopting processes is Linux's own")
def test_process_that_left_its_group_is_found_at_the_end(outcomes, tmp_path: Path) -> None:
    """A server that put itself into the background does not outlive the run either."""
    forget = f"""
        import pathlib, subprocess, sys
        sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
        child = subprocess.Popen(sleep, start_new_session=True)
        pathlib.Path({str(tmp_path / "pid")!r}).write_text(str(child.pid))
        child.returncode = 0
    """

    found, _ = outcomes({"name": "forgetful", "commands": [python(forget)]})

    assert [each[:2] for each in found] == [["forgetful", "passed"], ["processes", "failed"]]
    assert "time.sleep(600)" in found[1][2]
    assert not is_running(int((tmp_path / "pid").read_text()))


@pytest.mark.parametrize("wish", [signal.SIGTERM, signal.SIGINT])
def test_stopped_run_ends_what_it_started(start, tmp_path: Path, wish: signal.Signals) -> None:
    """Whoever stops a run does not have to clean up after it, and still learns how far it came."""
    pids = tmp_path / "pids"
    os.mkfifo(pids)
    wait = f"""
        import os, pathlib, time
        pathlib.Path({str(pids)!r}).write_text(str(os.getpid()))
        time.sleep(600)
    """
    after = python(f"open({str(tmp_path / 'went-on')!r}, 'w')")

    steps = [
        {"name": "done", "without": "There is nothing to do."},
        {"name": "endless", "commands": [python("print('first')"), python(wait), after]},
        {"name": "alone", "commands": [after], "alone": True},
    ]
    process = start(*steps)
    endless = int(pids.read_text())
    process.send_signal(wish)
    said, _ = process.communicate(timeout=120)

    assert json.loads((tmp_path / "outcomes").read_text()) == [
        ["done", "skipped", "There is nothing to do."],
        ["endless", "failed", "interrupted"],
        ["alone", "failed", "interrupted"],
    ]
    assert "Interrupted: ending what is running." in said
    assert not is_running(endless)
    assert not (tmp_path / "went-on").exists()


STEP = Step(name="core 3.12", environment="pkg.py3.12-core")
SUMMARY = "=================== 1 failed, 119 passed in 3.10s ==================="


def test_summary_is_the_line_that_pytest_wrote() -> None:
    """What pytest counted is passed on in its own words."""
    log = f"....F\nFAILED tests/core/test_ttl.py::test_a - assert 1 == 2\n{SUMMARY}\n"

    outcome = judge(STEP, 1, 4.0, log)

    failure = "FAILED tests/core/test_ttl.py::test_a - assert 1 == 2"
    assert outcome == Outcome(STEP, "failed", 4.0, SUMMARY, (failure,))


def test_failed_status_is_never_a_pass() -> None:
    """A crash after a green summary has still failed."""
    log = "======= 3 passed in 0.10s =======\n"

    assert judge(STEP, -11, 1.0, log).verdict == "failed"
    assert judge(STEP, 0, 1.0, log).verdict == "passed"


def test_finding_no_test_is_a_failure_unless_expected() -> None:
    """A marker that nobody uses may be empty, a package's tests may not."""
    log = "======= 120 deselected in 0.10s =======\n"
    lenient = Step(name="measurements", environment="default", may_be_empty=True)

    assert judge(STEP, 5, 1.0, log).verdict == "failed"
    assert judge(lenient, 5, 1.0, log).verdict == "skipped"


def test_report_ends_with_what_failed() -> None:
    """The last lines are all that somebody has to read."""
    passed = Outcome(Step(name="lint"), "passed", 0.5, "All checks passed!")
    failed = Outcome(STEP, "failed", 4.25, SUMMARY, ("FAILED tests/core/test_ttl.py::test_a",))

    lines = report([passed, failed], 5.0).splitlines()

    assert lines[3].split() == ["lint", "passed", "0.5", "All", "checks", "passed!"]
    assert lines[4] == f"core 3.12  failed       4.2  {SUMMARY}"
    assert lines[-2] == "core 3.12: FAILED tests/core/test_ttl.py::test_a"
    assert lines[-1].startswith("1 of 2 steps failed (5 s;")
    assert report([passed], 5.0).splitlines()[-1].startswith("everything holds (5 s;")
