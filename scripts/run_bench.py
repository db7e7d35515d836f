"""Set up an environment that holds our backends and their peers, and measure in it."""

import os
import shutil
import sys

from tools.hatch import ROOT, TOOLS, open_hatch
from tools.interpreters import find_interpreters

COMPILED = "--compiled"
"""The argument that puts the memory engine as machine code in the place of its source."""


def main() -> int:
    """Hand the arguments to the benchmarks and return their exit status."""
    hatch = open_hatch(find_interpreters().values())
    sources = [str(ROOT / "scripts")]
    if COMPILED in sys.argv[1:]:
        print("Compiling the memory engine ...", flush=True)
        sources.append(str(TOOLS / "compiled"))
        shutil.rmtree(sources[-1], ignore_errors=True)
        program = str(ROOT / "scripts" / "tools" / "compile_engine.py")
        if status := hatch.run("bench:python", program, sources[-1]):
            return status
    search = f"PYTHONPATH={os.pathsep.join(sources)}"
    return hatch.run("bench:env", search, "python", "-m", "bench_suite", *sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
