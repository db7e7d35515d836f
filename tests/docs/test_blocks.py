"""Every code block that a reader could copy works as it is printed."""

import hashlib
import itertools
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from site_check.blocks import OUTPUT, Block, blocks_of

ROOT = Path(__file__).parents[2]

REFERENCE_PAGE = ROOT / "docs" / "cache-backends-api.md"
REFERENCE_DIGEST = "6a11dde8b4714112f7e4df9ab49ac8ebcaf82302036e8eed7c79b8ba1370fcc0"

PAGES = sorted(
    [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "SECURITY.md",
        ROOT / "CHANGELOG.md",
        *ROOT.glob("packages/*/README.md"),
        *ROOT.glob("docs/**/*.md"),
    ]
)
BLOCKS = {page: blocks_of(page) for page in PAGES}
EVERY = [block for blocks in BLOCKS.values() for block in blocks]

FOREIGN_COMMANDS = {"git", "cd", "redis-server", "redis-cli", "valkey-server"}
"""Programs that are not ours, and that a reader has or gets elsewhere."""


def name(page: Path) -> str:
    """How a page is called in the list of tests."""
    return str(page.relative_to(ROOT))


def needs_redis(blocks: list[Block]) -> bool:
    """Whether an example connects to a server."""
    return any("6379" in block.text for block in blocks if block.language == "python")


def run(tmp_path: Path, *arguments: str) -> None:
    """Run a program in an empty folder, with warnings as errors, and fail with what it said."""
    settings = {name: value for name, value in os.environ.items() if "JINPY" not in name}
    settings["PYTHONPATH"] = str(ROOT / "scripts")
    settings["HOME"] = settings["XDG_CACHE_HOME"] = str(tmp_path)
    done = subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=tmp_path,
        env=settings,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    said = done.stdout + done.stderr
    # The reference page leaves the namespace of Redis out, and that is asked for.
    errors = [line for line in done.stderr.splitlines() if "has the default namespace" not in line]
    if done.returncode or any(errors):
        pytest.fail(f"{' '.join(arguments)} ended with {done.returncode}:\n{said}", pytrace=False)


@pytest.mark.parametrize(
    "page",
    [page for page, blocks in BLOCKS.items() if any(one.language == "python" for one in blocks)],
    ids=name,
)
def test_the_examples_of_a_page_run_from_top_to_bottom(
    request: pytest.FixtureRequest, tmp_path: Path, page: Path
) -> None:
    """In a new process, with warnings as errors; what they print is what the page shows."""
    port = [str(request.getfixturevalue("redis_port"))] if needs_redis(BLOCKS[page]) else []
    run(tmp_path, "-m", "site_check.program", str(page), *port)


def test_the_reference_page_is_word_for_word_the_one_the_project_began_with() -> None:
    """Not a character of it has changed."""
    assert REFERENCE_DIGEST == hashlib.sha256(REFERENCE_PAGE.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    "block", [one for one in BLOCKS[REFERENCE_PAGE] if one.language == "python"], ids=str
)
def test_each_example_of_the_reference_page_runs_alone(
    request: pytest.FixtureRequest, tmp_path: Path, block: Block
) -> None:
    """Each of the three works in a process of its own, exactly as printed."""
    page = tmp_path / "example.md"
    page.write_text(f"```python\n{block.text}```\n", encoding="utf-8")
    port = [str(request.getfixturevalue("redis_port"))] if needs_redis([block]) else []
    run(tmp_path, "-m", "site_check.program", str(page), *port)


@pytest.mark.parametrize(
    "block", [one for one in EVERY if one.title.startswith("test_")], ids=lambda one: one.title
)
def test_test_modules_pass(tmp_path: Path, block: Block) -> None:
    """A test module that a page shows passes, beside the other modules of the page."""
    for one in BLOCKS[block.page]:
        if one.title.endswith(".py"):
            (tmp_path / one.title).write_text(one.text, encoding="utf-8")
    run(tmp_path, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:asyncio", block.title)


@pytest.mark.parametrize("block", [one for one in EVERY if one.language == "toml"], ids=str)
def test_toml_blocks_are_toml(block: Block) -> None:
    """A configuration file can be pasted as it is shown."""
    assert tomllib.loads(block.text)


@pytest.mark.parametrize("block", [one for one in EVERY if one.language == "console"], ids=str)
def test_commands_exist(block: Block) -> None:
    """What a reader is told to type names our distributions, scripts and environments."""
    commands = [line.removeprefix("$ ") for line in block.text.splitlines() if line[:2] == "$ "]
    assert commands, "a console block shows commands after `$ `"
    for command in commands:
        for part in command.partition("#")[0].split(" && "):
            # Settings for a command may stand before it.
            words = itertools.dropwhile(lambda word: "=" in word, part.split())
            assert "" == wrong_with(list(words))


def wrong_with(words: list[str]) -> str:
    """What is wrong with a command, or nothing."""
    known = {path.parent.name for path in ROOT.glob("packages/*/pyproject.toml")}
    match words:
        case ["pip", "install", *wanted] | ["uv", "add", *wanted]:
            given = {one.strip("'\"").partition("[")[0] for one in wanted if one[0] != "-"}
            return " ".join(sorted(given - known))
        case ["hatch", "run", target, *_]:
            environments = tomllib.loads((ROOT / "hatch.toml").read_text())["envs"]
            environment, colon, script = target.rpartition(":")
            scripts = environments.get(environment or "default", {}).get("scripts", {})
            return "" if script in scripts or not colon else target
        case ["python", "-m", "pytest" | "pip" | "venv", *_] | ["pytest", *_]:
            return ""
        case [program, *_] if program.startswith("scripts/"):
            return "" if (ROOT / program).is_file() else program
        case [program, *_]:
            return "" if program in FOREIGN_COMMANDS else program
        case _:
            return "no command"


def test_every_block_is_of_a_kind_that_is_checked() -> None:
    """A block in another language, or a text that no example prints, would be checked by nobody."""
    checked = {"python", "toml", "console", "ini"}
    shown = {
        after
        for blocks in BLOCKS.values()
        for before, after in itertools.pairwise(blocks)
        if before.language == "python" and after.title == OUTPUT
    }
    drawings = {block for block in EVERY if block.language == "text" and not block.title}
    assert [] == [
        str(one)
        for one in EVERY
        if one.language not in checked and one not in shown and one not in drawings
    ]
    assert [] == [str(one) for one in EVERY if one.language == "ini" and one.title != ".env"]
