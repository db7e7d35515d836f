"""What a user sees when a call is wrong: their own line, the operation, and one sentence."""

from collections.abc import Callable
from typing import Any

import pytest

from jinpy_cache_core.backend import BaseBackend
from jinpy_cache_testing.diagnosis import ashown, shown
from jinpy_cache_testing.harness import Harness, once
from jinpy_cache_testing.sync_view import new_runner

MOST_LINES = 10
"""Lines of a traceback for a wrong argument: their own, ours, and the sentence."""

MOST_ASYNC_LINES = 13
"""Where a coroutine function calls its synchronous twin there is one frame more."""


async def _closed_aget(cache: BaseBackend) -> object:
    cache.close()
    return await cache.aget("key")


WRONG: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "wrong key": (lambda cache: cache.get(""), lambda cache: cache.aget("")),
    "ttl as a str": (
        lambda cache: cache.set("key", 1, "60"),
        lambda cache: cache.aset("key", 1, "60"),
    ),
    "unstorable value": (
        lambda cache: cache.set("key", lambda: None),
        lambda cache: cache.aset("key", lambda: None),
    ),
    "a str for keys": (lambda cache: cache.get_many("keys"), lambda cache: cache.aget_many("keys")),
    "use after close": (
        lambda cache: (cache.close(), cache.get("key")),
        _closed_aget,
    ),
}
"""Mistakes of a caller, made with both halves."""


class TracebackSuite(Harness):
    """Errors of the caller."""

    @once
    @pytest.mark.parametrize("mistake", WRONG)
    def test_a_mistake_is_told_in_a_few_lines(self, backend: BaseBackend, mistake: str) -> None:
        """No frame of ours stands between the caller's line and the operation that it called."""
        call, acall = WRONG[mistake]
        with new_runner() as runner:
            alines = runner.run(ashown(acall, backend))
        lines = shown(call, backend)

        for said, most in ((lines, MOST_LINES), (alines, MOST_ASYNC_LINES)):
            assert len(said) <= most, "\n".join(said)
            assert "Error: " in said[-1]
            assert "The above exception" not in "".join(said)
