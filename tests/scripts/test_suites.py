"""What a whole run consists of."""

from pathlib import Path

import pytest

from house.interpreters import Interpreter
from house.steps import Step
from house.suites import SUITES, everything, soak

MINORS = (11, 12, 13)
PACKAGES = {"core", "memory", "file", "redis", "meta", "contract"}


@pytest.fixture
def interpreters() -> list[Interpreter]:
    """Three interpreters, oldest first."""
    return [Interpreter(Path("python"), (3, minor, 1)) for minor in MINORS]


def named(steps: list[Step]) -> dict[str, str]:
    """The command of each step, by its name."""
    return {step.name: " ".join(step.commands[0]) for step in steps}


@pytest.mark.parametrize("thorough", [False, True])
def test_every_package_is_tested_on_every_interpreter_alone(
    interpreters: list[Interpreter], thorough: bool
) -> None:
    """Each in the environment that holds only it and what it depends on."""
    steps = everything(interpreters, thorough=thorough)

    environments = {step.name: step.environment for step in steps}
    for minor in MINORS:
        for package in PACKAGES:
            assert environments[f"{package} 3.{minor}"] == f"pkg.py3.{minor}-{package}"
    assert len(environments) == len(steps)


def test_heavy_faults_run_on_the_newest_interpreter_only(interpreters: list[Interpreter]) -> None:
    """The others run every test that is left, with a part of its cases."""
    commands = named(everything(interpreters))

    for package in PACKAGES:
        assert "not faults" not in commands[f"{package} 3.13"]
        assert "--one-in" not in commands[f"{package} 3.13"]
        for minor in (11, 12):
            assert "not faults --one-in 4" in commands[f"{package} 3.{minor}"]


def test_thorough_run_leaves_nothing_out(interpreters: list[Interpreter]) -> None:
    """Every interpreter runs what the newest one does."""
    commands = named(everything(interpreters, thorough=True)).values()

    assert not [command for command in commands if "not faults" in command or "--one-in" in command]


def test_checks_artefacts_and_types_are_there_once(interpreters: list[Interpreter]) -> None:
    """What does not depend on the interpreter runs once."""
    names = [step.name for step in everything(interpreters)]

    once = {"format", "lint", "mypy", "pyright", "lowest versions", "measurements"}
    shared = {suite.name for suite in SUITES.values() if not suite.per_interpreter}
    assert {name for name in names if names.count(name) == 1} >= once | shared
    compiled = {"compiled 3.13"}
    assert len(names) == len(once | shared | compiled) + len(PACKAGES) * len(MINORS)


def test_compiled_engine_passes_the_same_tests(
    interpreters: list[Interpreter], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of the memory backend's, once it is compiled; where nothing compiles it says so."""
    steps = {step.name: step for step in everything(interpreters)}
    compiled, plain = steps["compiled 3.13"], steps["memory 3.13"]
    assert compiled.commands[1:] == plain.commands
    assert "compile_engine" in " ".join(compiled.commands[0])

    monkeypatch.setenv("CC", "no-such-compiler")
    [step] = [step for step in everything(interpreters) if step.name == "compiled 3.13"]
    assert "C compiler" in step.without


def test_one_interpreter_is_enough(interpreters: list[Interpreter]) -> None:
    """Whoever has only one still runs everything."""
    commands = named(everything(interpreters[:1]))

    assert {name.partition(" ")[0] for name in commands} >= PACKAGES
    assert "--one-in" not in " ".join(commands.values())


def test_time_is_measured_alone(interpreters: list[Interpreter]) -> None:
    """Nothing else runs beside what measures time, or takes minutes."""
    alone = [step.name for step in everything(interpreters) if step.alone]

    assert alone == ["measurements"]
    assert all(step.alone for step in soak([]))
