"""`scripts/release.py` changes every version or nothing, in a copy of what it works on."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import attrs
import pytest


@attrs.frozen
class Checkout:
    """A copy of the files that carry a version."""

    root: Path

    def release(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the script."""
        command = [sys.executable, self.root / "scripts" / "release.py", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def texts(self) -> dict[str, str]:
        """Return the text of every file, by its path."""
        files = [path for path in self.root.rglob("*") if path.is_file()]
        return {str(path.relative_to(self.root)): path.read_text() for path in files}

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace text that must be there."""
        text = (self.root / path).read_text()
        assert old in text
        (self.root / path).write_text(text.replace(old, new, 1))


@pytest.fixture
def checkout(root: Path, tmp_path: Path) -> Checkout:
    """A copy at version 1.2.3, with an unreleased section in the changelog."""
    for path in [*root.glob("packages/*/pyproject.toml"), root / "scripts" / "release.py"]:
        copy = tmp_path / path.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
        if path.name == "pyproject.toml":
            text = re.sub(
                r'^version = ".*"$', 'version = "1.2.3"', copy.read_text(), flags=re.MULTILINE
            )
            copy.write_text(re.sub(r'"(jinpy-[a-z-]+)==[^"]+"', r'"\1==1.2.3"', text))
    entries = "- Something new.\n\n## 1.2.3 (2026-01-31)\n\n- Something old.\n"
    (tmp_path / "CHANGELOG.md").write_text(f"# Changelog\n\n## 1.3.0 (unreleased)\n\n{entries}")
    return Checkout(tmp_path)


def test_release_gives_every_distribution_the_version(checkout: Checkout) -> None:
    """Versions, sibling pins and the changelog's heading change together."""
    before = checkout.texts()

    released = checkout.release("1.3.0")

    after = checkout.texts()
    changed = {path for path in before if before[path] != after[path]}
    projects = {path for path in before if path.endswith("pyproject.toml")}
    assert (released.returncode, released.stderr) == (0, "")
    assert changed == projects | {"CHANGELOG.md"}
    assert all('version = "1.3.0"' in after[path] for path in projects)
    assert not any("1.2.3" in after[path] for path in projects)
    assert re.search(r"^## 1\.3\.0 \(\d{4}-\d\d-\d\d\)$", after["CHANGELOG.md"], re.MULTILINE)
    assert "## 1.2.3 (2026-01-31)" in after["CHANGELOG.md"]
    assert checkout.release("--check").stdout == "6 distributions agree on 1.3.0.\n"


def test_release_changes_nothing_but_versions(checkout: Checkout) -> None:
    """Every other line of a project file stays as it is."""
    before = checkout.texts()

    checkout.release("1.3.0")

    path = "packages/jinpy-utils/pyproject.toml"
    assert checkout.texts()[path].replace("1.3.0", "1.2.3") == before[path]


def test_first_release_keeps_the_version_that_is_there(checkout: Checkout) -> None:
    """A version that was never released may be released as it stands."""
    checkout.edit("CHANGELOG.md", "1.3.0 (unreleased)", "1.2.3 (unreleased)")

    assert checkout.release("1.2.3").returncode == 0


@pytest.mark.parametrize(
    ("version", "reason"),
    [
        ("1.2.2", "1.2.2 is older than the present version 1.2.3"),
        ("0.9.9", "0.9.9 is older than the present version 1.2.3"),
        ("1.3", "'1.3' is not a version like 1.2.3"),
        ("v1.3.0", "'v1.3.0' is not a version like 1.2.3"),
        ("1.03.0", "'1.03.0' is not a version like 1.2.3"),
        ("1.3.0 ", "'1.3.0 ' is not a version like 1.2.3"),
        ("1.3.0-rc1", "'1.3.0-rc1' is not a version like 1.2.3"),
    ],
)
def test_bad_version_is_refused(checkout: Checkout, version: str, reason: str) -> None:
    """What is malformed or older changes nothing and is named."""
    before = checkout.texts()

    refused = checkout.release(version)

    assert refused.returncode == 1
    assert reason in refused.stderr
    assert checkout.texts() == before


def test_release_without_news_is_refused(checkout: Checkout) -> None:
    """A release that users are told nothing about is a mistake."""
    checkout.edit("CHANGELOG.md", "## 1.3.0 (unreleased)\n\n- Something new.\n\n", "")
    before = checkout.texts()

    refused = checkout.release("1.3.0")

    assert refused.returncode == 1
    assert "tell users first what is new" in refused.stderr
    assert checkout.texts() == before


@pytest.mark.parametrize(
    ("path", "old", "new", "complaint"),
    [
        (
            "packages/jinpy-cache-file/pyproject.toml",
            'version = "1.2.3"',
            'version = "1.2.4"',
            "jinpy-cache-file has version 1.2.4, but jinpy-cache-core has 1.2.3.",
        ),
        (
            "packages/jinpy-utils/pyproject.toml",
            "jinpy-cache-redis==1.2.3",
            "jinpy-cache-redis==1.2.2",
            "jinpy-utils requires 'jinpy-cache-redis==1.2.2'",
        ),
        (
            "packages/jinpy-cache-memory/pyproject.toml",
            "jinpy-cache-core==1.2.3",
            "jinpy-cache-core>=1.2.3",
            "jinpy-cache-memory requires 'jinpy-cache-core>=1.2.3'",
        ),
        (
            "CHANGELOG.md",
            "1.3.0 (unreleased)",
            "1.3.0 (2026-02-28)",
            "The newest release in CHANGELOG.md is 1.3.0",
        ),
        (
            "CHANGELOG.md",
            "# Changelog\n\n## 1.3.0 (unreleased)\n\n- Something new.\n\n## 1.2.3",
            "# Changelog\n\n## 1.2.2",
            "The newest release in CHANGELOG.md is 1.2.2",
        ),
    ],
)
def test_disagreement_is_named(
    checkout: Checkout, path: str, old: str, new: str, complaint: str
) -> None:
    """Whatever differs from the others is found before it reaches a user."""
    checkout.edit(path, old, new)

    checked = checkout.release("--check")

    assert checked.returncode == 1
    assert complaint in checked.stderr


def test_check_is_run_before_a_release(checkout: Checkout) -> None:
    """Disagreeing distributions are not papered over by a release."""
    checkout.edit("packages/jinpy-utils/pyproject.toml", "core==1.2.3", "core==1.2.2")
    before = checkout.texts()

    assert checkout.release("1.3.0").returncode == 1
    assert checkout.texts() == before
