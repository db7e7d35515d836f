"""The artefacts, built once, and clean environments outside of the checkout to install them in."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from zipfile import ZipFile

import attrs
import pytest
from packaging.metadata import Metadata
from packaging.requirements import Requirement
from packaging.utils import parse_wheel_filename

sys.path.insert(0, str(Path(__file__).parent))  # the folder's own modules


@attrs.frozen
class Artefacts:
    """The wheels of one release, each by the name of its distribution."""

    wheels: Mapping[str, Path]

    def metadata(self, name: str) -> Metadata:
        """Parse a wheel's core metadata, refusing what an index would refuse."""
        with ZipFile(self.wheels[name]) as wheel:
            [path] = [path for path in wheel.namelist() if path.endswith(".dist-info/METADATA")]
            return Metadata.from_email(wheel.read(path))

    def requirements(self, name: str) -> list[Requirement]:
        """What a distribution cannot be without: its requirements but those of extras."""
        required = self.metadata(name).requires_dist or []
        return [each for each in required if "extra ==" not in str(each.marker)]

    def with_siblings(self, *names: str) -> list[Path]:
        """Return the wheels of distributions and of every sibling that they depend on."""
        wanted = list(names)
        for name in wanted:
            siblings = [each.name for each in self.requirements(name) if each.name in self.wheels]
            wanted += [sibling for sibling in siblings if sibling not in wanted]
        return [self.wheels[name] for name in wanted]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a pipeline hand over the wheels that it built before."""
    parser.addoption("--wheels", type=Path, help="a folder of wheels to test instead of building")


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return Path(__file__).parents[2]


@pytest.fixture(scope="session")
def run() -> Callable[..., str]:
    """Run a program to its end and return what it printed, or fail the test with that."""

    def run(*command: str | Path, folder: Path | None = None) -> str:
        answer = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if answer.returncode:
            pytest.fail(f"{' '.join(map(str, command))} printed:\n{answer.stdout}", pytrace=False)
        return answer.stdout

    return run


@pytest.fixture(scope="session")
def artefacts(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    root: Path,
    run: Callable[..., str],
) -> Artefacts:
    """Every distribution's wheel, built from its sdist."""
    folder: Path | None = request.config.getoption("--wheels")
    if folder is None:
        folder = tmp_path_factory.mktemp("dist")
        for project in sorted(root.glob("packages/jinpy-*")):
            run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, project)
    names = {str(parse_wheel_filename(path.name)[0]): path for path in folder.glob("*.whl")}
    return Artefacts(names)


@pytest.fixture
def make_environment(tmp_path: Path, run: Callable[..., str]) -> Callable[..., Path]:
    """Make a virtual environment that holds exactly what is asked for, and return its Python."""

    def make(*requirements: str | Path, constraints: str = "") -> Path:
        limits = tmp_path / "constraints.txt"
        limits.write_text(constraints)
        home = tmp_path / "environment"
        python = home / "bin" / "python"
        wanted = ["--quiet", "--constraint", limits, *requirements]
        if uv := os.environ.get("HATCH_ENV_TYPE_VIRTUAL_UV_PATH"):
            run(uv, "venv", "--quiet", "--python", sys.executable, home)
            run(uv, "pip", "install", "--python", python, *wanted)
        else:
            run(sys.executable, "-m", "venv", home)
            run(python, "-m", "pip", "install", *wanted)
        return python

    return make
