"""A hatch of our own, inside the checkout, and the environments it makes.

Everything lives in the git-ignored folder `.tools`: the virtual environment that holds hatch, the
environments of `hatch.toml`, and the logs. Removing that folder removes every trace.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from house.interpreters import OLDEST_SUPPORTED, Interpreter
from house.problem import Problem

ROOT = Path(__file__).resolve().parents[2]
"""The checkout."""

TOOLS = ROOT / ".tools"
"""What the scripts install; never committed."""

LOGS = TOOLS / "logs"
"""What each step printed in the last run."""

_REQUIREMENTS = ("hatch>=1.18.0",)
_FOREIGN_SETTINGS = ("HATCH_ENV", "PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")


@dataclass(frozen=True, slots=True)
class Toolbox:
    """An installed hatch, and the settings under which it runs."""

    hatch: Path
    settings: dict[str, str]

    def preparation(self, environment: str) -> list[str]:
        """Return the command that creates or updates one environment of `hatch.toml`.

        What it prints ends with the path of the environment's Python; see `prepared`.
        """
        show_python = "import sys; print(sys.executable)"
        return [str(self.hatch), "run", f"{environment}:python", "-c", show_python]

    def prepare(self, environment: str) -> Path:
        """Create or update an environment and return its Python.

        Raises:
            Problem: If hatch cannot make it, with what hatch said.
        """
        print(f"Preparing the environment {environment!r} ...", flush=True)
        answer = subprocess.run(
            self.preparation(environment),
            cwd=ROOT,
            env=self.settings,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if answer.returncode:
            message = (
                f"hatch could not make the environment {environment!r}; it needs a package index "
                f"and says:\n{answer.stderr.strip()}"
            )
            raise Problem(message)
        return self.prepared(answer.stdout)

    @staticmethod
    def prepared(output: str) -> Path:
        """Return the environment's Python from what the command of `preparation` printed."""
        return Path(output.strip().splitlines()[-1])

    def settings_for(self, python: Path) -> dict[str, str]:
        """Return the process environment in which programs of an environment come first."""
        path = os.pathsep.join([str(python.parent), self.settings["PATH"]])
        return {**self.settings, "PATH": path, "VIRTUAL_ENV": str(python.parent.parent)}


def open_toolbox(interpreters: Sequence[Interpreter] = ()) -> Toolbox:
    """Install hatch into the checkout unless it is there, and return how to use it.

    Args:
        interpreters: What the environments may be made from; put first on PATH.

    Raises:
        Problem: If this Python is too old or cannot make virtual environments, or if no package
            index answers.
    """
    if sys.version_info < OLDEST_SUPPORTED:
        version = ".".join(map(str, sys.version_info[:3]))
        message = f"This is Python {version}; the scripts need Python >= 3.11."
        raise Problem(message)
    tools = TOOLS / "env"
    with _only_one():
        if not _is_ready(tools):
            _install(tools)
        settings = _settings(tools, interpreters)
        toolbox = Toolbox(tools / "bin" / "hatch", settings)
        _forget_outdated_environments(toolbox)
    return toolbox


@contextmanager
def _only_one() -> Iterator[None]:
    """Let one process at a time change the folder: two terminals may start at once."""
    TOOLS.mkdir(exist_ok=True)
    with (TOOLS / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _stamp() -> str:
    return "\n".join([*_REQUIREMENTS, sys.version, sys.base_prefix, str(TOOLS)])


def _is_ready(tools: Path) -> bool:
    stamp = tools / "ready"
    return stamp.is_file() and stamp.read_text() == _stamp()


def _install(tools: Path) -> None:
    print(
        f"Installing hatch into {tools.relative_to(ROOT)} (once, needs a package index) ...",
        flush=True,
    )
    shutil.rmtree(tools, ignore_errors=True)
    made = _quietly([sys.executable, "-m", "venv", str(tools)])
    if made.returncode:
        message = (
            f"{sys.executable} cannot make virtual environments; on Debian and Ubuntu install the "
            f"package python3-venv. It says:\n{made.stdout.strip()}"
        )
        raise Problem(message)
    pip = [str(tools / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    installed = _quietly([*pip, "--disable-pip-version-check", *_REQUIREMENTS])
    if installed.returncode:
        message = (
            "pip could not install hatch; is there a network, or a package index that pip is "
            f"configured for? It says:\n{installed.stdout.strip()}"
        )
        raise Problem(message)
    if not _uv_works(tools):
        print("uv cannot run here: installing with pip, which takes longer.", flush=True)
        (tools / "bin" / "uv").unlink(missing_ok=True)
    (tools / "ready").write_text(_stamp())


def _uv_works(tools: Path) -> bool:
    """Ask uv for a package: it reads another configuration than pip, and may find no index."""
    python = tools / "bin" / "python"
    ask = [
        "pip",
        "install",
        "--dry-run",
        "--refresh",
        "--reinstall",
        "--python",
        str(python),
        "pip",
    ]
    try:
        return not _quietly([str(python.with_name("uv")), *ask], _trusting()).returncode
    except OSError:
        return False


def _settings(tools: Path, interpreters: Sequence[Interpreter]) -> dict[str, str]:
    settings = _trusting()
    for name in _FOREIGN_SETTINGS:
        settings.pop(name, None)
    configuration = TOOLS / "hatch.toml"
    configuration.touch()
    uv = tools / "bin" / "uv"
    if uv.exists():
        settings["HATCH_ENV_TYPE_VIRTUAL_UV_PATH"] = str(uv)
    folders = dict.fromkeys(str(interpreter.executable.parent) for interpreter in interpreters)
    settings |= {
        "HATCH_CACHE_DIR": str(TOOLS / "cache"),
        "HATCH_CONFIG": str(configuration),
        "HATCH_DATA_DIR": str(TOOLS / "hatch"),
        "PATH": os.pathsep.join([*folders, os.environ.get("PATH", os.defpath)]),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PYTHONUNBUFFERED": "1",
    }
    return settings


def _trusting() -> dict[str, str]:
    """Return the process environment in which uv trusts the certificates that pip trusts."""
    return {"UV_SYSTEM_CERTS": "1", **os.environ}


def _forget_outdated_environments(toolbox: Toolbox) -> None:
    """Remove the environments when a distribution's metadata changed.

    Hatch notices a new dependency but not a new version of an editable sibling, whose installed
    metadata would then contradict the pins.
    """
    digest = hashlib.sha256()
    for path in [ROOT / "hatch.toml", *sorted(ROOT.glob("packages/*/pyproject.toml"))]:
        digest.update(path.read_bytes())
    stamp = TOOLS / "environments"
    if stamp.is_file() and stamp.read_text() != digest.hexdigest():
        print("The distributions' metadata changed: making the environments anew.", flush=True)
        shutil.rmtree(toolbox.settings["HATCH_DATA_DIR"], ignore_errors=True)
    stamp.write_text(digest.hexdigest())


def _quietly(
    command: Sequence[str], settings: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        env=settings,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
