"""Interpreters are found by running them: a name on PATH proves nothing."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from house.interpreters import find_interpreters
from house.problem import Problem

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture
def shims(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH and a home where every Python refuses to run, as shims of a version manager do."""
    for name in ("python", "python3", *(f"python3.{minor}" for minor in range(11, 16))):
        shim = tmp_path / name
        shim.write_text("#!/bin/sh\necho 'command not found' >&2\nexit 127\n")
        shim.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def this_one() -> tuple[str, tuple[int, ...]]:
    """The interpreter that runs this test."""
    return f"{sys.version_info.major}.{sys.version_info.minor}", tuple(sys.version_info[:3])


@pytest.mark.usefixtures("shims")
def test_shim_that_refuses_is_passed_over() -> None:
    """Only what answers is used; this interpreter always does."""
    found = find_interpreters()

    assert [(each.minor, each.version) for each in found] == [this_one()]
    assert not found[0].executable.is_relative_to(sys.prefix) or sys.prefix == sys.base_prefix


def test_installation_of_a_version_manager_is_found(
    shims: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What pyenv holds is used although its shims refuse."""
    real = find_interpreters()[0]
    folder = shims / ".pyenv" / "versions" / "3.x" / "bin"
    folder.mkdir(parents=True)
    (folder / f"python{real.minor}").symlink_to(real.executable)
    monkeypatch.setattr(sys, "base_prefix", str(shims))
    monkeypatch.setattr(sys, "executable", str(shims / "python"))

    assert [each.version for each in find_interpreters()] == [real.version]


def test_machine_without_an_interpreter_is_a_problem(
    shims: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sentence says what to install."""
    monkeypatch.setattr(sys, "base_prefix", str(shims))
    monkeypatch.setattr(sys, "executable", str(shims / "python"))

    with pytest.raises(Problem, match=r"No CPython from 3\.11 to 3\.15 answers"):
        find_interpreters()


@pytest.mark.parametrize("command", ["test", "demo", "bench"])
def test_command_without_a_python_says_so(shims: Path, command: str) -> None:
    """The shell part fails with a sentence, not with a line number."""
    dirname = shutil.which("dirname", path=os.defpath)
    assert dirname is not None
    (shims / "dirname").symlink_to(dirname)

    answer = subprocess.run(
        ["/bin/sh", SCRIPTS / command], capture_output=True, text=True, check=False
    )

    assert answer.returncode == 2
    assert answer.stderr.startswith("No Python >= 3.11 found")


def test_unknown_interpreter_is_named() -> None:
    """Asking for a Python that is not there says which ones are."""
    answer = subprocess.run(
        [sys.executable, SCRIPTS / "run_tests.py", "core", "--python", "3.99"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert answer.returncode == 2
    assert "CPython 3.99 does not answer here; found are" in answer.stderr
    assert "Traceback" not in answer.stderr
