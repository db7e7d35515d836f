"""Set up an environment of its own and show the cache at work in it."""

import sys
from pathlib import Path

from tools.hatch import open_hatch
from tools.interpreters import find_interpreters

if __name__ == "__main__":
    demo = str(Path(__file__).with_name("demo_stdlib.py"))
    sys.exit(open_hatch(find_interpreters().values()).run("demo:python", demo, *sys.argv[1:]))
