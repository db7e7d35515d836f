"""Which CPython interpreters of this machine really run."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

SUPPORTED = tuple(f"3.{minor}" for minor in range(11, 16))
"""The minor versions that `hatch.toml` has environments for, oldest first."""

_PROBE = """
import platform, sys, sysconfig
assert platform.python_implementation() == "CPython" and sys.version_info.releaselevel == "final"
assert sys.prefix == sys.base_prefix and not sysconfig.get_config_var("Py_GIL_DISABLED")
print("%d.%d" % sys.version_info[:2], sys.executable)
"""


def find_interpreters(wanted: Sequence[str] = ()) -> dict[str, Path]:
    """Execute every candidate and return one interpreter per supported minor version, oldest first.

    Candidates are this interpreter, everything on PATH, and what pyenv and uv have installed. The
    first that answers wins: a shim that refuses to run or a broken installation is passed over.

    Args:
        wanted: The minor versions to return, all of which must be there; by default all found.

    Raises:
        SystemExit: None is found, or one that is wanted is not.
    """
    found: dict[str, Path] = {}
    null = subprocess.DEVNULL
    for candidate in dict.fromkeys(_candidates()):
        ask = [str(candidate), "-I", "-c", _PROBE]
        with suppress(OSError, subprocess.SubprocessError, ValueError):
            said = subprocess.check_output(ask, stdin=null, stderr=null, text=True, timeout=30)
            minor, _, executable = said.strip().partition(" ")
            if minor in SUPPORTED:
                found.setdefault(minor, Path(executable))
    missing = [minor for minor in wanted if minor not in found]
    if missing or not found:
        names, known = ", ".join(missing or SUPPORTED), ", ".join(sorted(found)) or "none"
        sys.exit(f"CPython {names} does not answer on this machine: install it; found: {known}.")
    return {minor: found[minor] for minor in sorted(wanted or found)}


def _candidates() -> Iterator[Path]:
    yield Path(sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}")
    yield Path(sys.executable)
    folders = [Path(folder) for folder in os.environ.get("PATH", os.defpath).split(os.pathsep)]
    for collection in (".pyenv/versions", ".local/share/uv/python"):
        folders += sorted(Path.home().joinpath(collection).glob("*/bin"), reverse=True)
    for folder in folders:
        yield from (folder / f"python{minor}" for minor in SUPPORTED)
