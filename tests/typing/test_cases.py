"""What type checkers make of a user's code: mypy and pyright accept it, and refuse misuse."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
REFUSED_LINE = "# E"

Complaints = dict[tuple[str, int], list[str]]


def _answer(*command: str | Path) -> str:
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert answer.returncode in {0, 1}, answer.stdout + answer.stderr
    return answer.stdout


def _mypy(folder: Path) -> Complaints:
    complaints: Complaints = {}
    for line in _answer(sys.executable, "-m", "mypy", "--output", "json", folder).split("\n"):
        if not line:
            continue
        found: dict[str, Any] = json.loads(line)
        if found["severity"] == "error":
            place = (Path(found["file"]).name, found["line"])
            complaints.setdefault(place, []).append(found["message"])
    return complaints


def _pyright(folder: Path) -> Complaints:
    python = ["--pythonpath", sys.executable]
    command = [sys.executable, "-m", "pyright", "--outputjson", *python, folder]
    report = json.loads(_answer(*command))
    assert report["summary"]["filesAnalyzed"] == len(list(folder.glob("*.py")))
    complaints: Complaints = {}
    for found in report["generalDiagnostics"]:
        place = (Path(found["file"]).name, found["range"]["start"]["line"] + 1)
        complaints.setdefault(place, []).append(found["message"])
    return complaints


each_checker = pytest.mark.parametrize("checker", [_mypy, _pyright], ids=["mypy", "pyright"])


@each_checker
def test_correct_use_is_accepted(checker: Callable[[Path], Complaints]) -> None:
    """The types that a user's code relies on are the ones that are inferred."""
    assert checker(HERE / "accepted") == {}


@each_checker
def test_misuse_is_refused(checker: Callable[[Path], Complaints]) -> None:
    """Exactly the marked lines are refused."""
    folder = HERE / "refused"
    marked = {
        (path.name, number)
        for path in folder.glob("*.py")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if line.endswith(REFUSED_LINE)
    }

    complaints = checker(folder)

    assert marked
    assert marked - set(complaints) == set(), "these lines were accepted"
    assert {place: complaints[place] for place in set(complaints) - marked} == {}
