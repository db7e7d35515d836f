"""A hatch of our own, inside the checkout, for the environments of `hatch.toml`.

Everything lives in the git-ignored folder `.tools`: the virtual environment that holds hatch, the
environments that hatch makes, and the logs. Removing that folder removes every trace.
"""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The checkout."""

TOOLS = ROOT / ".tools"
"""What the scripts install; never committed."""

_BIN = TOOLS / "env" / "bin"
_WANTED = "hatch>=1.18.0"
_FOREIGN_SETTINGS = {"HATCH_ENV", "PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__"}
_TRUSTING = {"UV_SYSTEM_CERTS": "1", **os.environ}  # uv trusts the certificates that pip trusts


@dataclass(frozen=True, slots=True)
class Hatch:
    """An installed hatch, and the environment variables under which it runs."""

    program: str
    settings: dict[str, str]

    def run(self, command: str, *arguments: str) -> int:
        """Run `environment:command` in the user's folder and return its exit status."""
        environment, _, program = command.partition(":")
        there = ("-c", 'cd "$0" && exec "$@"', str(Path.cwd()), program, *arguments)
        words = (self.program, "run", f"{environment}:sh", *there)
        try:
            return subprocess.run(words, cwd=ROOT, env=self.settings, check=False).returncode
        except KeyboardInterrupt:
            return 130


def open_hatch(interpreters: Iterable[Path]) -> Hatch:
    """Install hatch into the checkout unless it is there, and return how to use it.

    Args:
        interpreters: What the environments may be made from; put first on PATH.

    Raises:
        SystemExit: This Python cannot make virtual environments, or no package index answers.
    """
    TOOLS.mkdir(exist_ok=True)
    environments, configuration = TOOLS / "hatch", TOOLS / "hatch.toml"
    configuration.touch()
    # Hatch notices a new dependency, but not the new version of an editable sibling.
    projects = [ROOT / "hatch.toml", *sorted(ROOT.glob("packages/*/pyproject.toml"))]
    metadata = "".join(path.read_text(encoding="utf-8") for path in projects)
    with (TOOLS / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two terminals may start at once
        _when_changed("installed", f"{_WANTED} {sys.version} {sys.base_prefix} {_BIN}", _install)
        _when_changed("metadata", metadata, lambda: shutil.rmtree(environments, ignore_errors=True))
    folders = [str(interpreter.parent) for interpreter in interpreters]
    inherited = {name: _TRUSTING[name] for name in _TRUSTING.keys() - _FOREIGN_SETTINGS}
    settings = inherited | {
        "HATCH_CACHE_DIR": str(TOOLS / "cache"),
        "HATCH_CONFIG": str(configuration),
        "HATCH_DATA_DIR": str(environments),
        "PATH": os.pathsep.join([*folders, os.environ.get("PATH", os.defpath)]),
        "PYTHONUNBUFFERED": "1",
    }
    if (_BIN / "uv").exists():
        settings["HATCH_ENV_TYPE_VIRTUAL_UV_PATH"] = str(_BIN / "uv")
    return Hatch(str(_BIN / "hatch"), settings)


def _when_changed(stamp: str, facts: str, act: Callable[[], None]) -> None:
    path = TOOLS / stamp
    if not path.is_file() or path.read_text(encoding="utf-8") != facts:
        act()
        path.write_text(facts, encoding="utf-8")


def _install() -> None:
    print(f"Installing hatch into {_BIN.parent} (once, needs a package index) ...", flush=True)
    shutil.rmtree(_BIN.parent, ignore_errors=True)
    if said := _failure(sys.executable, "-m", "venv", _BIN.parent):
        advice = "on Debian and Ubuntu install the package python3-venv"
        sys.exit(f"{sys.executable} cannot make virtual environments; {advice}. It says:\n{said}")
    if said := _failure(_BIN / "python", "-m", "pip", "install", "--quiet", _WANTED):
        question = "is there a network, or a package index that pip is configured for?"
        sys.exit(f"pip could not install hatch; {question} It says:\n{said}")
    # Ask uv for a package: it reads another configuration than pip, and may find no index.
    ask = ("-m", "uv", "pip", "install", "--dry-run", "--refresh", "--reinstall", "pip", "--python")
    if _failure(_BIN / "python", *ask, _BIN / "python"):
        print("uv cannot run here: installing with pip, which takes longer.", flush=True)
        (_BIN / "uv").unlink(missing_ok=True)


def _failure(*command: str | Path) -> str:
    """Run a program and return why it failed, or nothing."""
    null, pipe = subprocess.DEVNULL, subprocess.PIPE
    done = subprocess.run(
        command, env=_TRUSTING, stdin=null, stdout=pipe, stderr=subprocess.STDOUT, check=False
    )
    return done.stdout.decode() or "nothing" if done.returncode else ""
