"""Set up an environment that holds our backends and their peers, and measure in it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from house.interpreters import find_interpreters
from house.problem import Problem, run_script
from house.toolbox import ROOT, TOOLS, open_toolbox

COMPILED = "--compiled"
"""The argument that puts the memory engine as machine code in the place of its source."""


def main() -> int:
    """Hand the arguments to the benchmarks and return their exit status."""
    toolbox = open_toolbox(find_interpreters())
    python = toolbox.prepare("bench")
    settings = toolbox.settings_for(python)
    sources = [str(ROOT / "scripts")]
    if COMPILED in sys.argv[1:]:
        sources.append(_compiled_engine(python, settings))
    command = [str(python), "-m", "bench_suite", *sys.argv[1:]]
    settings["PYTHONPATH"] = os.pathsep.join(sources)
    return subprocess.run(command, env=settings, check=False).returncode


def _compiled_engine(python: Path, settings: dict[str, str]) -> str:
    """Build the memory engine as machine code, and return the folder that it is in."""
    print("Compiling the memory engine ...", flush=True)
    folder = str(TOOLS / "compiled")
    shutil.rmtree(folder, ignore_errors=True)
    command = [str(python), str(ROOT / "scripts" / "house" / "compile_engine.py"), folder]
    if subprocess.run(command, env=settings, check=False).returncode:
        message = "The memory engine could not be compiled; what failed is told above."
        raise Problem(message)
    return folder


if __name__ == "__main__":
    run_script(main)
