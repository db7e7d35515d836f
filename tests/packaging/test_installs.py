"""Each distribution, installed from its wheel with its dependencies and nothing else, works."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

USES = {
    "jinpy-cache-core": "core",
    "jinpy-cache-memory": "memory",
    "jinpy-cache-file": "file",
    "jinpy-cache-redis": "redis",
    "jinpy-cache-testing": "testing",
    "jinpy-utils": "meta",
}


@pytest.mark.parametrize("name", USES)
def test_wheel_works_alone(
    artefacts,
    make_environment: Callable[..., Path],
    run: Callable[..., str],
    root: Path,
    tmp_path: Path,
    name: str,
) -> None:
    """A user who installs one distribution can use it, with no help from the work tree."""
    python = make_environment(*artefacts.with_siblings(name))
    use = root / "tests" / "packaging" / "uses" / f"{USES[name]}.py"

    said = run(python, "-I", "-W", "error", use, folder=tmp_path)

    assert said == f"{USES[name]} works\n"


@pytest.mark.parametrize("name", ["jinpy-cache-core", "jinpy-cache-memory"])
def test_lowest_allowed_dependencies_suffice(
    artefacts,
    make_environment: Callable[..., Path],
    run: Callable[..., str],
    root: Path,
    tmp_path: Path,
    name: str,
) -> None:
    """The lower bounds in the metadata are true: the tests pass with exactly those versions."""
    wheels = artefacts.with_siblings(name, "jinpy-cache-testing")
    lowest = "".join(
        f"{requirement.name}=={specifier.version}\n"
        for sibling in artefacts.wheels
        for requirement in artefacts.metadata(sibling).requires_dist or []
        for specifier in requirement.specifier
        if specifier.operator == ">="
    )
    tools = ("hypothesis", "pytest", "pytest-asyncio", "pytest-timeout", "pytest-xdist")
    python = make_environment(*wheels, *tools, constraints=lowest)
    tests = root / "tests" / name.removeprefix("jinpy-cache-")

    said = run(
        *(python, "-m", "pytest", tests, "-p", "no:cacheprovider"),
        *("-m", "not soak and not serial and not faults"),
        folder=root,
    )

    assert re.search(r"=+ \d+ passed", said)
