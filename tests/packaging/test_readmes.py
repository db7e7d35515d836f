"""What the pages on the index and the front page show works as it is written."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

PAGES = {
    "README.md": "jinpy-utils",
    "packages/jinpy-cache-core/README.md": "jinpy-cache-core",
    "packages/jinpy-cache-memory/README.md": "jinpy-cache-memory",
    "packages/jinpy-cache-file/README.md": "jinpy-cache-file",
    "packages/jinpy-utils/README.md": "jinpy-utils",
}
"""Each page, and what its reader has installed. Examples that need a Redis server are left out."""


@pytest.mark.parametrize("page", PAGES)
def test_examples_of_a_page_run(
    artefacts,
    make_environment: Callable[..., Path],
    run: Callable[..., str],
    root: Path,
    tmp_path: Path,
    page: str,
) -> None:
    """Its examples, one after the other, in a new process."""
    examples = re.findall(
        r"^```python\n(.*?)^```$", (root / page).read_text(), re.MULTILINE | re.DOTALL
    )
    examples = [example for example in examples if "redis://" not in example]
    assert examples
    program = tmp_path / "example.py"
    program.write_text("\n".join(examples))
    python = make_environment(*artefacts.with_siblings(PAGES[page]))

    run(python, "-I", "-W", "error", program, folder=tmp_path)
