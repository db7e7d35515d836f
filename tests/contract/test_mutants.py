"""The suite can fail: backends that are wrong in one way are noticed by the row that says so."""

import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

MUTANTS = Path(__file__).parent / "mutants.py"


def _expected() -> dict[str, tuple[str, ...]]:
    """The rows that must fail; importing the mutants would load their Hypothesis profile here."""
    source = MUTANTS.read_text()
    lockstep = re.search(r'^LOCKSTEP = "(\w+)"$', source, re.MULTILINE)
    assert lockstep is not None
    found = re.findall(r"^@noticed_by\(([^)]*)\)\nclass (\w+)", source, re.MULTILINE)
    return {
        name: tuple(
            lockstep[1] if row == "LOCKSTEP" else row.strip('"')
            for row in re.split(r",\s*", rows.strip().rstrip(","))
            if not row.startswith("patience")
        )
        for rows, name in found
    }


EXPECTED = _expected()
NOTICING = sorted({row for rows in EXPECTED.values() for row in rows})
NAMESPACES = ["test_clear_leaves_other_namespaces_alone", "test_namespaces_never_meet"]


def outcomes(site: Path, folder: Path) -> dict[tuple[str, str], list[str]]:
    """What became of each row with each mutant: `(class, row) -> ["passed", "failed", ...]`."""
    chosen = [f"{MUTANTS}::Test{name}::{row}" for name, rows in EXPECTED.items() for row in rows]
    chosen += [f"{MUTANTS}::TestUnharmed::{row}" for row in NOTICING]
    chosen += [f"{MUTANTS}::TestSharingUnharmed::{row}" for row in NAMESPACES]
    report = folder / "report.xml"
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--tb=no", "-c", os.devnull, f"--rootdir={folder}",
         "-p", "no:cacheprovider", "-o", "junit_family=xunit1", f"--junit-xml={report}", *chosen],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(site),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )  # fmt: skip
    assert report.exists(), run.stdout + run.stderr
    found: dict[tuple[str, str], list[str]] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        row = (case.get("name") or "").partition("[")[0]
        name = (case.get("classname") or "").rpartition(".")[2]
        children = {child.tag for child in case}
        outcome = next(
            (tag for tag in ("error", "failure", "skipped") if tag in children), "passed"
        )
        found.setdefault((name, row), []).append(outcome)
    return found


def test_wrong_backends_are_noticed_and_right_ones_are_not(dict_distribution: Path, tmp_path: Path):
    """Each mutant fails the rows that say so, in at least one half; unharmed, those rows pass."""
    found = outcomes(dict_distribution, tmp_path)

    unnoticed = [
        (name, row)
        for name, rows in EXPECTED.items()
        for row in rows
        if "failure" not in found[f"Test{name}", row]
    ]
    unharmed = [("TestUnharmed", row) for row in NOTICING]
    unharmed += [("TestSharingUnharmed", row) for row in NAMESPACES]
    assert [] == unnoticed
    assert {row: {"passed"} for row in unharmed} == {row: set(found[row]) for row in unharmed}
    assert len(EXPECTED) > 50
