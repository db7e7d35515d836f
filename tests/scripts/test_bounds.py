"""The tools that judge the code stand still until they are moved."""

import os
import re
import tomllib
from collections import defaultdict
from pathlib import Path

from hypothesis import settings

ROOT = Path(__file__).parents[2]

BOUND = re.compile(r',<=[^,";]+')
"""What the weekly pipeline takes away."""


def ways_to_ask() -> dict[str, set[str]]:
    """How each tool is asked for, over all environments but the one that measures peers."""
    environments = tomllib.loads(ROOT.joinpath("hatch.toml").read_text(encoding="utf-8"))["envs"]
    del environments["bench"]
    ways: dict[str, set[str]] = defaultdict(set)
    for environment in environments.values():
        matrix = environment.get("overrides", {}).get("matrix", {}).get("package", {})
        chosen = [one["value"] for one in matrix.get("dependencies", [])]
        for way in [*environment.get("dependencies", []), *chosen]:
            ways[re.split(r"[\[<>=; ]", way)[0]].add(way)
    del ways["pip"]  # it comes with the interpreter
    return ways


def test_every_environment_asks_for_a_tool_alike() -> None:
    """A bound that is moved is moved everywhere."""
    assert {} == {tool: ways for tool, ways in ways_to_ask().items() if len(ways) > 1}


def test_every_tool_is_bound_or_none_is() -> None:
    """No release of a tool changes the verdict on a commit; once a week each is the newest."""
    ways = ways_to_ask()
    bound = {tool for tool in ways if all(map(BOUND.search, ways[tool]))}
    assert bound in (set(ways), set())


def test_every_run_tries_the_same_examples() -> None:
    """Hypothesis draws them from the test alone, unless chance is asked for by name."""
    by_chance = os.environ.get("HYPOTHESIS_PROFILE") == "random"
    assert settings().derandomize is not by_chance
