"""What there is to check, as steps."""

from collections.abc import Sequence
from dataclasses import dataclass

from tools.compile_engine import without_compiler

PACKAGES = ("redis", "file", "contract", "memory", "core", "meta")
"""The suites that run on every interpreter, with only what a user gets; the longest first."""

ONCE = {"docs": "docs", "packaging": "build", "scripts": "default", "typing": "types"}
"""The suites that run on the newest interpreter only, each with its environment."""

SOAK = ("-m", "soak", "--timeout", "900")
"""What chooses the tests that take minutes."""

_ALL = ("-m", "not soak and not serial")
_LIGHT = ("-m", "not soak and not serial and not faults", "--one-in", "4")
_WAITING = {"redis": ("-n", "2")}  # half of the time such a suite waits


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that must hold: a line of the closing table.

    Attributes:
        name: Unique.
        command: What `hatch run` is given: `environment:command`, and arguments.
        alone: Nothing else may run at the same time; such a step may find no test of its marker.
        without: Why there is nothing to do, if so.
    """

    name: str
    command: tuple[str, ...]
    alone: bool = False
    without: str = ""


def pytest(suite: str, minor: str, *arguments: str) -> tuple[str, ...]:
    """Return what `hatch run` is given to run a suite on an interpreter."""
    environment = ONCE.get(suite) or f"pkg.py{minor}-{suite}"
    python = (f"{environment}:python", "-m", "pytest", f"tests/{suite}")
    return (*python, *_WAITING.get(suite, ()), *arguments)


def everything(minors: Sequence[str], *, thorough: bool = False) -> list[Step]:
    """Return the steps of a whole run, the longest first, so that a short one ends last.

    Args:
        minors: The interpreters to test on, oldest first. The newest runs everything; the others
            leave out heavy faults, and run every other test with a part of its cases.
        thorough: Run every case of every test on every interpreter.
    """
    *others, newest = minors
    some = _ALL if thorough else _LIGHT
    compiled = (f"compiled.py{newest}:test", *_ALL)
    folders = [f"tests/{suite}" for suite in PACKAGES]

    def tests(suite: str, minor: str, *choice: str) -> Step:
        return Step(f"{suite} {minor}", pytest(suite, minor, *choice))

    return [
        tests("redis", newest, *_ALL),
        Step("docs", pytest("docs", newest, *_ALL)),
        tests("file", newest, *_ALL),
        Step("packaging", pytest("packaging", newest, "-k", "not lowest")),
        Step("lowest versions", pytest("packaging", newest, "-k", "lowest")),
        Step("types", ("types:check",)),
        *(tests(suite, newest, *_ALL) for suite in PACKAGES[2:]),
        Step(f"compiled {newest}", compiled, without=without_compiler()),
        *(tests(suite, minor, *some) for suite in PACKAGES for minor in reversed(others)),
        Step("scripts", pytest("scripts", newest, *_ALL)),
        Step("typing", pytest("typing", newest, *_ALL)),
        Step("lint", ("lint:check",)),
        Step("measurements", ("default:test", *folders, "-m", "serial"), alone=True),
    ]


def soak(*arguments: str) -> list[Step]:
    """Return the steps that take minutes, one suite after the other, with arguments for pytest."""
    tests = [("default:test", f"tests/{suite}", *SOAK, *arguments) for suite in PACKAGES]
    return [Step(f"soak {test[1][6:]}", test, alone=True) for test in tests]
