"""All distributions carry one version and pin each other to it."""

import re
import sys
from collections.abc import Callable
from pathlib import Path


def test_distributions_agree_on_one_version(root: Path, run: Callable[..., str]) -> None:
    """The work tree is always in the state that a release needs."""
    answer = run(sys.executable, root / "scripts" / "release.py", "--check")

    assert re.fullmatch(r"6 distributions agree on \d+\.\d+\.\d+\.\n", answer)
