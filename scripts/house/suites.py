"""What there is to check, as steps."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from house.compile_engine import without_compiler
from house.interpreters import Interpreter
from house.steps import Step
from house.toolbox import ROOT

_PYTEST = ("python", "-m", "pytest", "-p", "no:cacheprovider", "--color=no")
_EVERYTHING = ("-m", "not soak and not serial")
_LIGHT = ("-m", "not soak and not serial and not faults", "--one-in", "4")


@dataclass(frozen=True, slots=True)
class Suite:
    """A folder under `tests` and the kind of environment it runs in."""

    name: str
    per_interpreter: bool = True
    fixed_environment: str = ""

    @property
    def folder(self) -> str:
        """The folder of the tests, relative to the checkout."""
        return f"tests/{self.name}"

    @property
    def without(self) -> str:
        """Why the suite cannot run, or nothing."""
        if any(ROOT.joinpath(self.folder).glob("**/test_*.py")):
            return ""
        return f"There are no tests in {self.folder} yet."

    def environment(self, interpreter: Interpreter) -> str:
        """Return the name of the environment of `hatch.toml` to run in."""
        return self.fixed_environment or f"pkg.py{interpreter.minor}-{self.name}"


SUITES = {
    suite.name: suite
    for suite in (
        Suite("redis"),
        Suite("docs", per_interpreter=False, fixed_environment="docs"),
        Suite("file"),
        Suite("contract"),
        Suite("memory"),
        Suite("core"),
        Suite("meta"),
        Suite("packaging", per_interpreter=False, fixed_environment="build"),
        Suite("typing", per_interpreter=False, fixed_environment="types"),
        Suite("scripts", per_interpreter=False, fixed_environment="default"),
    )
}
"""Every suite by name, the longest first, so that the last one to finish is a short one."""


def everything(interpreters: Sequence[Interpreter], *, thorough: bool = False) -> list[Step]:
    """Return the steps of a whole run.

    Args:
        interpreters: What to test on, oldest first. The newest one runs everything. The others
            leave out the tests that inject heavy faults, and run every other test with a part of
            its cases. Tests that measure time run alone, on one.
        thorough: Run every case of every test on every interpreter.
    """
    newest = [interpreters[-1]]
    others = interpreters[-2::-1]
    return [
        *_checks(),
        *_tests(newest, _EVERYTHING),
        _compiled(interpreters[-1]),
        _lowest_versions(),
        *_tests(others, _EVERYTHING if thorough else _LIGHT, per_interpreter_only=True),
        _measurements(),
    ]


def soak(for_pytest: Sequence[str]) -> list[Step]:
    """Return the steps that run for minutes, one suite after the other.

    Args:
        for_pytest: Further arguments for pytest.
    """
    return [
        Step(
            name=f"soak {suite.name}",
            environment="default",
            commands=((*_PYTEST, suite.folder, "-m", "soak", *for_pytest),),
            alone=True,
            may_be_empty=True,
        )
        for suite in _package_suites()
    ]


def _package_suites() -> list[Suite]:
    return [suite for suite in SUITES.values() if suite.per_interpreter and not suite.without]


def _checks() -> Iterator[Step]:
    yield Step(
        name="format", environment="lint", commands=(("ruff", "format", "--check", "--diff", "."),)
    )
    yield Step(name="lint", environment="lint", commands=(("ruff", "check", "."),))
    yield Step(name="mypy", environment="types", commands=(("mypy",),))
    yield Step(name="pyright", environment="types", commands=(("pyright",),))


def _tests(
    interpreters: Sequence[Interpreter],
    choice: tuple[str, ...],
    *,
    per_interpreter_only: bool = False,
) -> Iterator[Step]:
    for interpreter in interpreters:
        for suite in SUITES.values():
            if per_interpreter_only and not suite.per_interpreter:
                continue
            left_out = ("-k", "not lowest") if suite.name == "packaging" else ()
            suffix = f" {interpreter.minor}" if suite.per_interpreter else ""
            yield Step(
                name=f"{suite.name}{suffix}",
                environment=suite.environment(interpreter),
                commands=((*_PYTEST, suite.folder, *choice, *left_out),),
                without=suite.without,
            )


def _compiled(interpreter: Interpreter) -> Step:
    """Run the memory backend's tests on its engine as machine code."""
    memory = SUITES["memory"]
    return Step(
        name=f"compiled {interpreter.minor}",
        environment=f"compiled.py{interpreter.minor}",
        commands=(
            ("python", "scripts/house/compile_engine.py"),
            (*_PYTEST, memory.folder, *_EVERYTHING),
        ),
        without=memory.without or without_compiler(),
    )


def _lowest_versions() -> Step:
    """Test with the lowest allowed dependencies; apart, for it takes as long as the rest."""
    packaging = SUITES["packaging"]
    return Step(
        name="lowest versions",
        environment=packaging.fixed_environment,
        commands=((*_PYTEST, packaging.folder, "-k", "lowest"),),
        without=packaging.without,
    )


def _measurements() -> Step:
    folders = [suite.folder for suite in _package_suites()]
    return Step(
        name="measurements",
        environment="default",
        commands=((*_PYTEST, *folders, "-m", "serial"),),
        alone=True,
        may_be_empty=True,
        without="" if folders else "There are no tests yet.",
    )
