"""Build the memory engine as machine code from this checkout and install it, beside its source.

Run by the Python it is meant for, which has `build` and `pip`. With a folder as its argument it is
installed there, to be put on `PYTHONPATH`; else into that Python's own environment.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "packages" / "jinpy-cache-memory"
COMPILERS = ("cc", "gcc", "clang")

FLAGS = "-fno-semantic-interposition -fno-plt"
"""Let the compiler inline within the library, which nobody interposes: a hit costs 7 % less."""


def without_compiler() -> str:
    """Why nothing can be compiled here, or nothing."""
    given = os.environ.get("CC")
    if any(map(shutil.which, [given] if given else COMPILERS)):
        return ""
    return f"There is no C compiler on PATH ({', '.join(COMPILERS)}), nor one named by $CC."


def main() -> int:
    """Build, install and make sure that machine code is what was installed."""
    if missing := without_compiler():
        print(missing, file=sys.stderr)
        return 1
    folder = sys.argv[1] if len(sys.argv) > 1 else ""
    python = [sys.executable, "-m"]
    with tempfile.TemporaryDirectory() as wheels:
        flags = f"{FLAGS} {os.environ.get('CFLAGS', '')}"
        building = {**os.environ, "HATCH_BUILD_HOOKS_ENABLE": "1", "CFLAGS": flags}
        # By way of the source distribution, so that no product of the compiler stays in the tree.
        build = [*python, "build", "--outdir", wheels, str(PACKAGE)]
        subprocess.run(build, env=building, stdout=subprocess.DEVNULL, check=True)
        [wheel] = Path(wheels).glob("*.whl")
        target = ["--upgrade", "--target", folder] if folder else ["--force-reinstall"]
        install = [*python, "pip", "install", "--quiet", "--no-deps", "--no-index", *target]
        subprocess.run([*install, str(wheel)], check=True)
    check = "import sys, jinpy_cache_memory; sys.exit(not jinpy_cache_memory.compiled)"
    settings = {**os.environ, "PYTHONPATH": folder} if folder else dict(os.environ)
    return subprocess.run([sys.executable, "-c", check], env=settings, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
