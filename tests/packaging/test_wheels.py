"""What the wheels hold, and what they tell an index."""

from pathlib import PurePosixPath
from zipfile import ZipFile

import pytest

TOP_LEVEL = {
    "jinpy-cache-core": "jinpy_cache_core",
    "jinpy-cache-memory": "jinpy_cache_memory",
    "jinpy-cache-file": "jinpy_cache_file",
    "jinpy-cache-redis": "jinpy_cache_redis",
    "jinpy-cache-testing": "jinpy_cache_testing",
    "jinpy-utils": "jinpy_utils",
}

each_distribution = pytest.mark.parametrize("name", TOP_LEVEL)


def test_every_distribution_is_built(artefacts) -> None:
    """Nothing is forgotten and nothing is published by accident."""
    assert set(TOP_LEVEL) == set(artefacts.wheels)


@each_distribution
def test_wheel_holds_its_own_package_only(artefacts, name: str) -> None:
    """Two distributions never write to the same folder."""
    with ZipFile(artefacts.wheels[name]) as wheel:
        paths = [PurePosixPath(path) for path in wheel.namelist()]

    folders = {path.parts[0] for path in paths}
    information = {folder for folder in folders if folder.endswith(".dist-info")}
    assert folders - information == {TOP_LEVEL[name]}
    assert len(information) == 1


@each_distribution
def test_wheel_is_typed_and_licensed(artefacts, name: str) -> None:
    """Type checkers use the annotations, and the licence travels with the code."""
    with ZipFile(artefacts.wheels[name]) as wheel:
        paths = wheel.namelist()

    assert f"{TOP_LEVEL[name]}/py.typed" in paths
    assert [path for path in paths if path.endswith(".dist-info/licenses/LICENSE")]


@each_distribution
def test_wheel_holds_every_module_of_the_package(artefacts, root, name: str) -> None:
    """What is in the work tree is what users get, nothing less and nothing more."""
    with ZipFile(artefacts.wheels[name]) as wheel:
        shipped = {path for path in wheel.namelist() if path.startswith(f"{TOP_LEVEL[name]}/")}

    source = root / "packages" / name / "src"
    files = {path for path in source.rglob("*") if path.is_file() and path.suffix != ".pyc"}
    assert {path.relative_to(source).as_posix() for path in files} == shipped


@each_distribution
def test_metadata_presents_the_distribution(artefacts, name: str) -> None:
    """A page on the index says what this is, under which terms, and for which Python."""
    metadata = artefacts.metadata(name)

    assert metadata.name == name
    assert metadata.summary
    assert metadata.license_expression == "MIT"
    assert str(metadata.requires_python) == ">=3.11"
    assert metadata.description_content_type == "text/markdown"
    assert metadata.description.startswith(f"# {name}\n")


def test_dependencies_point_one_way(artefacts) -> None:
    """Core knows no sibling, others know core alone, the meta-package knows all but the tests."""
    siblings = {
        name: {
            requirement.name
            for requirement in artefacts.requirements(name)
            if requirement.name in TOP_LEVEL
        }
        for name in TOP_LEVEL
    }

    assert siblings == {
        "jinpy-cache-core": set(),
        "jinpy-cache-memory": {"jinpy-cache-core"},
        "jinpy-cache-file": {"jinpy-cache-core"},
        "jinpy-cache-redis": {"jinpy-cache-core"},
        "jinpy-cache-testing": {"jinpy-cache-core"},
        "jinpy-utils": set(TOP_LEVEL) - {"jinpy-utils", "jinpy-cache-testing"},
    }


@each_distribution
def test_readme_stands_alone(artefacts, name: str) -> None:
    """A page on the index has no links into the repository, and names how to install it."""
    description = artefacts.metadata(name).description

    assert "](../" not in description
    assert "](./" not in description
    assert f"pip install {name}" in description
