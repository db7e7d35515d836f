"""Which CPython interpreters of this machine really run."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from house.problem import Problem

OLDEST_SUPPORTED = (3, 11)
"""The first minor version that the distributions promise to work on."""

NEWEST_SUPPORTED = (3, 15)
"""The last minor version that `hatch.toml` has environments for."""

_PROBE = """
import json, platform, sys, sysconfig
print(json.dumps({
    "executable": sys.executable,
    "version": sys.version_info[:3],
    "usable": platform.python_implementation() == "CPython"
    and sys.version_info.releaselevel == "final"
    and sys.prefix == sys.base_prefix
    and not sysconfig.get_config_var("Py_GIL_DISABLED"),
}))
"""


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A CPython release that was executed and answered."""

    executable: Path
    version: tuple[int, int, int]

    @property
    def minor(self) -> str:
        """The version as environments name it, for example `3.12`."""
        return f"{self.version[0]}.{self.version[1]}"


def find_interpreters() -> list[Interpreter]:
    """Execute every candidate and return one interpreter per supported minor version.

    Candidates are this interpreter, everything on PATH, and what pyenv and uv have installed. The
    first that answers wins: a shim that refuses to run or a broken installation is passed over.

    Returns:
        The interpreters, oldest version first.

    Raises:
        Problem: If none is found.
    """
    found: dict[str, Interpreter] = {}
    for candidate in dict.fromkeys(_candidates()):
        interpreter = _probe(candidate)
        if interpreter is None:
            continue
        if OLDEST_SUPPORTED <= interpreter.version[:2] <= NEWEST_SUPPORTED:
            found.setdefault(interpreter.minor, interpreter)
    if not found:
        message = "No CPython from 3.11 to 3.15 answers on this machine: install one of them."
        raise Problem(message)
    return sorted(found.values(), key=lambda interpreter: interpreter.version)


def _candidates() -> Iterator[Path]:
    yield Path(sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}")
    yield Path(sys.executable)
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        if folder:
            yield from _interpreters_in(Path(folder))
    for collection in (".pyenv/versions", ".local/share/uv/python"):
        for installation in sorted(Path.home().joinpath(collection).glob("*"), reverse=True):
            yield from _interpreters_in(installation / "bin")


def _interpreters_in(folder: Path) -> Iterator[Path]:
    for minor in range(NEWEST_SUPPORTED[1], OLDEST_SUPPORTED[1] - 1, -1):
        candidate = folder / f"python3.{minor}"
        if os.access(candidate, os.X_OK):
            yield candidate


def _probe(candidate: Path) -> Interpreter | None:
    try:
        answer = subprocess.run(
            [candidate, "-I", "-c", _PROBE],
            capture_output=True,
            check=True,
            stdin=subprocess.DEVNULL,
            timeout=30,
        )
        facts = json.loads(answer.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    if not facts["usable"]:
        return None
    major, minor, micro = facts["version"]
    return Interpreter(Path(facts["executable"]), (major, minor, micro))
