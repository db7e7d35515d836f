#!/usr/bin/env python3
"""Give every distribution one version: `scripts/release.py 0.4.0`.

Changes the version of every distribution, the `==` pins between them, and the changelog's heading,
all of them or none. `scripts/release.py --check` only tells whether they agree.
"""

import argparse
import datetime
import re
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

_VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
_VERSION_LINE = re.compile(r'^version = "[^"]*"$', re.MULTILINE)
_PIN = re.compile(r'(?<=")(jinpy-[a-z-]+)==[^"]*(?=")')
_HEADING = re.compile(
    r"^## (?P<version>\S+) \((?P<state>unreleased|\d{4}-\d\d-\d\d)\)$", re.MULTILINE
)


class Refusal(Exception):  # noqa: N818 - a sentence for the person who releases
    """The release cannot be made; nothing was changed."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """What one `pyproject.toml` says about versions."""

    path: Path
    name: str
    version: str
    requirements: tuple[str, ...]


def main(arguments: list[str] | None = None) -> int:
    """Read the arguments, check or release, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    choice = parser.add_mutually_exclusive_group(required=True)
    choice.add_argument("version", nargs="?", metavar="X.Y.Z", help="the version to release")
    choice.add_argument("--check", action="store_true", help="only tell whether versions agree")
    chosen = parser.parse_args(arguments)
    today = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    try:
        distributions = read_distributions(ROOT)
        changelog = (ROOT / "CHANGELOG.md").read_text()
        if problems := disagreements(distributions, changelog):
            raise Refusal("\n".join(problems))
        if chosen.check:
            print(f"{len(distributions)} distributions agree on {distributions[0].version}.")
            return 0
        changes = planned_changes(ROOT, distributions, changelog, chosen.version, today)
    except Refusal as refusal:
        print(refusal, file=sys.stderr)
        return 1
    for path, text in changes.items():
        path.write_text(text)
        print(f"{path.relative_to(ROOT)}: {chosen.version}")
    return 0


def read_distributions(root: Path) -> list[Distribution]:
    """Return what every `packages/*/pyproject.toml` says, in order of name."""
    found: list[Distribution] = []
    for path in sorted(root.glob("packages/*/pyproject.toml")):
        project = tomllib.loads(path.read_text())["project"]
        requirements = [*project.get("dependencies", [])]
        for extra in project.get("optional-dependencies", {}).values():
            requirements += extra
        found.append(Distribution(path, project["name"], project["version"], tuple(requirements)))
    return found


def disagreements(distributions: list[Distribution], changelog: str) -> list[str]:
    """Return a sentence for every version that differs from the others.

    Args:
        distributions: Every distribution of the repository.
        changelog: The text of the changelog. Its newest heading names the version of the
            distributions, or a later one while that is unreleased.
    """
    problems: list[str] = []
    siblings = {distribution.name for distribution in distributions}
    version = distributions[0].version
    for distribution in distributions:
        if distribution.version != version:
            problems.append(
                f"{distribution.name} has version {distribution.version}, "
                f"but {distributions[0].name} has {version}."
            )
        for requirement in distribution.requirements:
            name = re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]
            if name in siblings and requirement != f"{name}=={version}":
                problems.append(
                    f"{distribution.name} requires {requirement!r}; "
                    f"a sibling is pinned as '{name}=={version}'."
                )
    heading = _HEADING.search(changelog)
    if heading is None:
        problems.append("CHANGELOG.md has no heading like '## 1.2.3 (unreleased)'.")
    elif heading["version"] != version and heading["state"] != "unreleased":
        problems.append(
            f"The newest release in CHANGELOG.md is {heading['version']}, "
            f"but the distributions have version {version}."
        )
    return problems


def planned_changes(
    root: Path, distributions: list[Distribution], changelog: str, version: str, today: str
) -> dict[Path, str]:
    """Return the new text of every file that a release changes.

    Args:
        root: The checkout.
        distributions: Every distribution of the repository.
        changelog: The text of the changelog.
        version: The version to release.
        today: The date for the changelog, as `YYYY-MM-DD`.

    Raises:
        Refusal: If the version is malformed or older than the present one, or if the changelog has
            no unreleased section.
    """
    present = distributions[0].version
    heading = _HEADING.search(changelog)
    if heading is None or heading["state"] != "unreleased":
        message = "CHANGELOG.md begins with a release: tell users first what is new, unreleased."
        raise Refusal(message)
    if _ordered(version) < _ordered(present):
        message = f"{version} is older than the present version {present}."
        raise Refusal(message)
    changes: dict[Path, str] = {}
    for distribution in distributions:
        text, count = _VERSION_LINE.subn(f'version = "{version}"', distribution.path.read_text())
        if count != 1:
            message = f"{distribution.path} has {count} lines 'version = \"...\"' instead of one."
            raise Refusal(message)
        changes[distribution.path] = _PIN.sub(rf"\g<1>=={version}", text)
    new_heading = f"## {version} ({today})"
    changes[root / "CHANGELOG.md"] = _HEADING.sub(new_heading, changelog, count=1)
    return changes


def _ordered(version: str) -> tuple[int, ...]:
    match = _VERSION.fullmatch(version)
    if match is None:
        message = f"{version!r} is not a version like 1.2.3."
        raise Refusal(message)
    return tuple(map(int, match.groups()))


if __name__ == "__main__":
    sys.exit(main())
