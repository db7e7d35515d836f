"""What all tests share: patience with a busy machine, the same examples each time, fewer cases."""

import os
from collections import Counter
from contextlib import suppress
from zlib import crc32

import pytest

with suppress(ImportError):  # the environment that tests the wheels has no Hypothesis
    from hypothesis import settings

    settings.register_profile("repeatable", deadline=None, derandomize=True)
    settings.register_profile("random", deadline=None, print_blob=True)
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a run on a further interpreter be a short one."""
    parser.addoption(
        "--one-in",
        type=int,
        default=1,
        metavar="N",
        help="of each test's parametrised cases run one in N, and at least one",
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep every N-th case of each test, beginning with one that differs from test to test."""
    step: int = config.getoption("--one-in")
    if step <= 1:
        return
    tests = [item.nodeid.partition("[")[0] for item in items]
    cases = Counter(tests)
    seen: Counter[str] = Counter()
    kept: list[pytest.Item] = []
    dropped: list[pytest.Item] = []
    for item, test in zip(items, tests, strict=True):
        first = crc32(test.encode()) % min(step, cases[test])
        (kept if seen[test] % step == first else dropped).append(item)
        seen[test] += 1
    items[:] = kept
    config.hook.pytest_deselected(items=dropped)
