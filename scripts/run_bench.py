"""Set up an environment that holds our backends and their peers, and measure in it."""

import subprocess
import sys

from house.interpreters import find_interpreters
from house.problem import run_script
from house.toolbox import ROOT, open_toolbox


def main() -> int:
    """Hand the arguments to the benchmarks and return their exit status."""
    toolbox = open_toolbox(find_interpreters())
    python = toolbox.prepare("bench")
    command = [str(python), "-m", "bench_suite", *sys.argv[1:]]
    settings = {**toolbox.settings_for(python), "PYTHONPATH": str(ROOT / "scripts")}
    return subprocess.run(command, env=settings, check=False).returncode


if __name__ == "__main__":
    run_script(main)
