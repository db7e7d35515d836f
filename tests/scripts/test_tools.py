"""A run does every step, tells how each went, and leaves no process behind."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tools.interpreters import SUPPORTED, find_interpreters
from tools.plan import ONCE, PACKAGES, everything

ROOT = Path(__file__).parents[2]

RUN_STEPS = """
import os, pathlib, run_tests, signal, sys
from tools import hatch, plan, runner

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
folder, steps = pathlib.Path(sys.argv.pop(1)), sys.argv.pop(1)
runner.ROOT, runner.LOGS = folder, folder / "logs"
run_tests.open_hatch = lambda _: hatch.Hatch(str(folder / "hatch"), dict(os.environ))
run_tests.everything = lambda *_, **__: [plan.Step(**step) for step in eval(steps)]
sys.exit(run_tests.main())
"""

FORGET = """
import pathlib, subprocess, sys
sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
child = subprocess.Popen(sleep, start_new_session={apart})
pathlib.Path("pid").write_text(str(child.pid))
child.returncode = 0
"""

SAMPLE = """
import pytest

@pytest.mark.parametrize("case", range(12))
def test_many(case): ...

@pytest.mark.parametrize("case", ["only"])
def test_one(case): ...
"""

WAIT = "import os, time; open('pid', 'w').write(str(os.getpid())); time.sleep(600)"


@pytest.fixture
def start(tmp_path: Path):
    """Start `scripts/test` with steps of ours, and a hatch whose environments are all this one."""
    (tmp_path / "hatch").write_text(f'#!/bin/sh\nshift 2\nexec {sys.executable} "$@"\n')
    (tmp_path / "hatch").chmod(0o755)
    started: list[subprocess.Popen[str]] = []

    def start(*steps: dict[str, object]) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", RUN_STEPS, tmp_path, repr(steps)]
        settings = {**os.environ, "PYTHONPATH": str(ROOT / "scripts")}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        started.append(subprocess.Popen(command, env=settings, text=True, **pipes))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def step(name: str, code: str, **more: object) -> dict[str, object]:
    """A step that runs a piece of Python."""
    return {"name": name, "command": ("any:python", "-c", code), **more}


def table(said: str) -> dict[str, tuple[str, str]]:
    """The verdict and the summary of each step in the closing table."""
    rows = (line.split(maxsplit=3) for line in said.split("-----\n")[-2].splitlines()[:-1])
    return {row[0]: (row[1], row[3]) for row in rows}


def is_running(pid: int) -> bool:
    """Whether there is such a process, zombies aside."""
    command = Path(f"/proc/{pid}/cmdline")
    return command.exists() and bool(command.read_text())


def test_failed_step_stops_nothing_and_fails_the_run(start) -> None:
    """The table has one line a step, with pytest's own words, and ends with what failed."""
    summary = "=== 1 failed, 9 passed in 0.10s ==="
    process = start(
        step("broken", f"print('FAILED test_a - no\\n{summary}\\nbye'); raise SystemExit(3)"),
        step("green", "print('=== 3 passed in 0.10s ===', flush=True); import os; os.abort()"),
        step("fine", "print('fine')"),
        step("none", "", without="There is no compiler."),
        step("empty", "print('0 tests'); raise SystemExit(5)"),
        step("alone", "raise SystemExit(5)", alone=True),
    )
    said, _ = process.communicate(timeout=120)

    assert process.returncode == 1
    assert table(said) == {
        "broken": ("failed", "1 failed, 9 passed in 0.10s"),
        "green": ("failed", "3 passed in 0.10s"),
        "fine": ("passed", "fine"),
        "none": ("skipped", "There is no compiler."),
        "empty": ("failed", "0 tests"),
        "alone": ("skipped", "no test asks for it"),
    }
    assert "broken printed:" in said
    assert "\nbroken: FAILED test_a - no\n3 of 6 steps failed (" in said


def test_run_in_which_nothing_failed_holds(start) -> None:
    """Its status is what a pipeline looks at."""
    process = start(step("fine", "print('fine')"))
    assert "everything holds" in process.communicate(timeout=120)[0]
    assert process.returncode == 0


@pytest.mark.skipif(sys.platform != "linux", reason="adopting processes is Linux's own")
@pytest.mark.parametrize(("apart", "culprit"), [(False, "step"), (True, "processes")])
def test_process_left_behind_is_named_and_ended(start, tmp_path, apart: bool, culprit: str) -> None:
    """A test that forgets its server fails the run, even if the server left its group."""
    process = start(step("step", FORGET.format(apart=apart)))
    said, _ = process.communicate(timeout=120)

    assert process.returncode == 1
    assert table(said)[culprit][0] == "failed"
    assert "time.sleep(600)" in table(said)[culprit][1]
    assert not is_running(int((tmp_path / "pid").read_text()))


@pytest.mark.parametrize("wish", [signal.SIGTERM, signal.SIGINT])
def test_stopped_run_ends_what_it_started(start, tmp_path: Path, wish: signal.Signals) -> None:
    """Whoever stops a run does not have to clean up after it, and still learns how far it came."""
    os.mkfifo(tmp_path / "pid")
    process = start(step("endless", WAIT), step("alone", "open('went-on', 'w')", alone=True))
    endless = int((tmp_path / "pid").read_text())
    process.send_signal(wish)
    said, _ = process.communicate(timeout=120)

    assert process.returncode == 1
    assert table(said) == dict.fromkeys(["endless", "alone"], ("failed", "interrupted"))
    assert not is_running(endless)
    assert not (tmp_path / "went-on").exists()


def test_whole_run_tests_every_package_on_every_interpreter() -> None:
    """Each where only it and its dependencies are, with every case on the newest interpreter."""
    commands = {each.name: " ".join(each.command) for each in everything(SUPPORTED)}
    packages = {f"{suite} {minor}" for suite in PACKAGES for minor in SUPPORTED}

    assert {*commands} >= packages | {*ONCE, "lint", "types", "lowest versions", "measurements"}
    for name in packages:
        suite, minor = name.split()
        assert commands[name].startswith(f"pkg.py{minor}-{suite}:")
        assert ("not faults --one-in" in commands[name]) == (minor != SUPPORTED[-1])
    assert "--one-in" not in str(everything(SUPPORTED, thorough=True))
    environments = tomllib.loads((ROOT / "hatch.toml").read_text())["envs"]
    for name in ("pkg", "compiled"):
        assert environments[name]["matrix"][0]["python"] == [*SUPPORTED]


@pytest.fixture
def shims(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine where every Python refuses to run, as shims of a version manager do."""
    for name in ("python", "python3", *(f"python{minor}" for minor in SUPPORTED)):
        (tmp_path / name).write_text("#!/bin/sh\nexit 127\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "dirname").symlink_to(str(shutil.which("dirname")))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_interpreter_that_does_not_run_is_passed_over(shims: Path, monkeypatch) -> None:
    """Only what answers is used: this one, and what pyenv holds although its shims refuse."""
    [(minor, this)] = find_interpreters().items()
    assert minor == f"{sys.version_info.major}.{sys.version_info.minor}"

    monkeypatch.setattr(sys, "base_prefix", str(shims))
    monkeypatch.setattr(sys, "executable", str(shims / "python"))
    with pytest.raises(SystemExit, match=r"CPython 3\.11, .* does not answer"):
        find_interpreters()

    folder = shims / ".pyenv" / "versions" / "3.x" / "bin"
    folder.mkdir(parents=True)
    (folder / f"python{minor}").symlink_to(this)
    assert [*find_interpreters()] == [minor]
    with pytest.raises(SystemExit, match=rf"CPython 3\.99 .*; found: {minor}"):
        find_interpreters(["3.99"])


@pytest.mark.usefixtures("shims")
def test_command_without_a_python_says_so() -> None:
    """The shell part fails with a sentence, not with a line number."""
    answer = subprocess.run(["/bin/sh", ROOT / "scripts/test"], capture_output=True, check=False)
    assert answer.returncode == 2
    assert answer.stderr.startswith(b"No Python >= 3.11 found")


@pytest.mark.parametrize(("one_in", "many"), [(1, 12), (4, 3), (5, 2), (100, 1)])
def test_every_test_runs_with_some_of_its_cases(tmp_path: Path, one_in: int, many: int) -> None:
    """One in so many, rounded either way, and at least one of each test; always the same ones."""
    shutil.copy(Path(__file__).parents[1] / "conftest.py", tmp_path)
    (tmp_path / "test_sample.py").write_text(SAMPLE)
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "--one-in", str(one_in)]
    said = [subprocess.check_output(command, cwd=tmp_path, text=True) for _ in range(2)]

    first, again = (re.findall(r"^test_sample\.py::(\S+)$", text, re.MULTILINE) for text in said)
    assert first == again
    assert first[-1] == "test_one[only]"
    assert many <= len(first) - 1 <= many + 1
