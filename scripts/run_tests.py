"""Check everything that must hold, or run one package's tests.

Without arguments: format, lint, types, every package's tests on every CPython >= 3.11 of this
machine, each in an environment that holds only that distribution and its dependencies, and the
artefacts built and installed outside of the checkout.
"""

import argparse
import subprocess
import sys
import time

from house.interpreters import Interpreter, find_interpreters
from house.problem import Problem, run_script
from house.steps import Runner, Step, report
from house.suites import SUITES, Suite, everything, soak
from house.toolbox import ROOT, Toolbox, open_toolbox

_EPILOG = """\
Unknown arguments are handed to pytest: `scripts/test core -k ttl`.
"""


def main() -> int:
    """Read the arguments, run what they ask for and return the exit status."""
    arguments, for_pytest = _parser().parse_known_args()
    interpreters = _chosen(arguments.python)
    found = ", ".join(".".join(map(str, each.version)) for each in interpreters)
    print(f"Using CPython {found}.", flush=True)
    toolbox = open_toolbox(interpreters)
    if arguments.suite:
        return _run_one(toolbox, SUITES[arguments.suite], interpreters[-1], arguments, for_pytest)
    if for_pytest and not arguments.soak:
        message = f"Name a suite to run pytest with {' '.join(for_pytest)!r}: {', '.join(SUITES)}."
        raise Problem(message)
    steps = (
        soak(for_pytest)
        if arguments.soak
        else everything(interpreters, thorough=arguments.thorough)
    )
    return _run_all(toolbox, steps)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/test", description=__doc__, epilog=_EPILOG, allow_abbrev=False
    )
    parser.add_argument(
        "suite", nargs="?", choices=list(SUITES), help="run only this suite, on one interpreter"
    )
    parser.add_argument("--soak", action="store_true", help="run the tests that take minutes")
    parser.add_argument(
        "--thorough",
        action="store_true",
        help="run every case on every interpreter, not only on the newest",
    )
    parser.add_argument(
        "--python", metavar="3.X", action="append", help="use only this interpreter; repeatable"
    )
    return parser


def _chosen(wanted: list[str] | None) -> list[Interpreter]:
    interpreters = find_interpreters()
    if wanted is None:
        return interpreters
    chosen = [interpreter for interpreter in interpreters if interpreter.minor in wanted]
    if missing := sorted(set(wanted) - {interpreter.minor for interpreter in chosen}):
        found = ", ".join(interpreter.minor for interpreter in interpreters)
        message = f"CPython {', '.join(missing)} does not answer here; found are {found}."
        raise Problem(message)
    return chosen


def _run_one(
    toolbox: Toolbox,
    suite: Suite,
    interpreter: Interpreter,
    arguments: argparse.Namespace,
    for_pytest: list[str],
) -> int:
    """Run one suite in the foreground; the quick way while working on it."""
    if suite.without:
        print(suite.without)
        return 0
    python = toolbox.prepare(suite.environment(interpreter))
    markers = ["-m", "soak"] if arguments.soak else []
    command = [str(python), "-m", "pytest", suite.folder, *markers, *for_pytest]
    settings = toolbox.settings_for(python)
    return subprocess.run(command, cwd=ROOT, env=settings, check=False).returncode


def _run_all(toolbox: Toolbox, steps: list[Step]) -> int:
    started = time.monotonic()
    outcomes = Runner(toolbox).run(steps)
    print(report(outcomes, time.monotonic() - started), flush=True)
    return int(any(outcome.verdict == "failed" for outcome in outcomes))


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    run_script(main)
