"""A short run leaves out cases, never tests."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SAMPLE = """
import pytest

@pytest.mark.parametrize("case", range(12))
def test_many(case): ...

@pytest.mark.parametrize("case", ["only"])
def test_one(case): ...

def test_plain(): ...

class TestMany:
    @pytest.mark.parametrize("case", range(3))
    def test_many(self, case): ...
"""


@pytest.fixture
def collected(tmp_path: Path):
    """Collect a sample with the shared conftest and return the names of what would run."""
    shutil.copy(Path(__file__).parents[1] / "conftest.py", tmp_path)
    (tmp_path / "test_sample.py").write_text(SAMPLE)

    def collected(*options: str) -> list[str]:
        command = [sys.executable, "-m", "pytest", "--collect-only", "-q", *options]
        answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        return re.findall(r"^test_sample\.py::(\S+)$", answer.stdout, re.MULTILINE)

    return collected


def test_every_case_runs_unless_fewer_are_asked_for(collected) -> None:
    """The default leaves nothing out."""
    assert len(collected()) == 12 + 1 + 1 + 3


@pytest.mark.parametrize(("one_in", "many"), [(2, 6), (4, 3), (5, 2), (100, 1)])
def test_every_test_runs_with_some_of_its_cases(collected, one_in: int, many: int) -> None:
    """One in so many, rounded either way, and at least one of each test."""
    chosen = collected("--one-in", str(one_in))

    counts = {name: sum(each.startswith(name) for each in chosen) for name in chosen}
    assert many <= sum(each.startswith("test_many[") for each in chosen) <= many + 1
    assert counts["test_one[only]"] == counts["test_plain"] == 1
    assert 1 <= sum(each.startswith("TestMany::test_many[") for each in chosen) <= 2


def test_choice_is_the_same_every_time(collected) -> None:
    """A failure can be repeated."""
    assert collected("--one-in", "4") == collected("--one-in", "4")


def test_choice_is_made_among_the_selected(collected) -> None:
    """What -k leaves is what the share is taken of."""
    assert len(collected("--one-in", "2", "-k", "test_many and (2 or 3)")) == 2
