"""Check everything that must hold, or run the tests of one suite.

Without arguments: format, lint, types, every package's tests on every supported CPython of this
machine, each in an environment that holds only that distribution and its dependencies, and the
artefacts built and installed outside of the checkout.
"""

import argparse
import sys
import time

from tools.hatch import open_hatch
from tools.interpreters import find_interpreters
from tools.plan import ONCE, PACKAGES, SOAK, everything, pytest, soak
from tools.runner import Runner, report


def main() -> int:
    """Read the arguments, run what they ask for and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="scripts/test",
        description=__doc__,
        epilog="Unknown arguments are handed to pytest: `scripts/test core -k ttl`.",
        allow_abbrev=False,
    )
    add, suites = parser.add_argument, [*PACKAGES, *ONCE]
    add("suite", nargs="?", choices=suites, help="run only this one, on one interpreter")
    add("--soak", action="store_true", help="run the tests that take minutes")
    add("--thorough", action="store_true", help="run every case on every interpreter")
    add("--python", metavar="3.X", action="append", help="use only this one; repeatable")
    chosen, for_pytest = parser.parse_known_args()
    if for_pytest and not (chosen.suite or chosen.soak):
        parser.error(f"name a suite to run pytest with {' '.join(for_pytest)!r}")
    interpreters = find_interpreters(chosen.python or ())
    minors = [*interpreters]
    print(f"Using CPython {', '.join(minors)}.", flush=True)
    hatch = open_hatch(interpreters.values())
    if chosen.suite:
        markers = SOAK if chosen.soak else ()
        return hatch.run(*pytest(chosen.suite, minors[-1], *markers, *for_pytest))
    started = time.monotonic()
    steps = soak(*for_pytest) if chosen.soak else everything(minors, thorough=chosen.thorough)
    outcomes = Runner(hatch).run(steps)
    print(report(outcomes, time.monotonic() - started), flush=True)
    return int(any(outcome.verdict == "failed" for outcome in outcomes))


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    sys.exit(main())
