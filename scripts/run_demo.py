"""Set up an environment of its own and show the cache at work in it."""

import subprocess
import sys

from house.interpreters import find_interpreters
from house.problem import run_script
from house.toolbox import ROOT, open_toolbox


def main() -> int:
    """Hand the arguments to the demonstration and return its exit status."""
    toolbox = open_toolbox(find_interpreters())
    python = toolbox.prepare("demo")
    command = [str(python), str(ROOT / "scripts" / "demo_stdlib.py"), *sys.argv[1:]]
    return subprocess.run(command, env=toolbox.settings_for(python), check=False).returncode


if __name__ == "__main__":
    run_script(main)
