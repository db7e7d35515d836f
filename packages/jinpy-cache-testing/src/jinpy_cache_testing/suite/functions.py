"""Decorated functions on a backend: what they may do is what bare ones may."""

import asyncio
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from jinpy_cache_core.backend.base import BaseBackend
from jinpy_cache_core.functions.cached import cached
from jinpy_cache_testing.harness import Harness, once

DEEP = 400
"""Calls inside of each other; each may have one frame besides its own, with 1,000 in all."""

DEEP_METHODS = DEEP if sys.hexversion >= 0x030C0000 else 250
"""The same for methods: 3.11 counts what binds them to their object as a call too."""


class FunctionSuite(Harness):
    """`@cached` on this backend."""

    @once
    def test_a_function_calls_itself_as_deeply_as_a_bare_one(self, backend: BaseBackend) -> None:
        """The interpreter's default limit is enough for a sum of four hundred terms."""

        @cached(backend=backend, key="sum:{n}")
        def total(n: int) -> int:
            return n and n + total(n - 1)

        @cached(backend=backend, key="asum:{n}")
        async def atotal(n: int) -> int:
            return n and n + await atotal(n - 1)

        class Sums:
            @cached(backend=backend, key="method:{n}")
            def total(self, n: int) -> int:
                return n and n + self.total(n - 1)

        expected = DEEP * (DEEP + 1) // 2
        assert expected == _with_a_fresh_stack(lambda: total(DEEP))
        of_methods = DEEP_METHODS * (DEEP_METHODS + 1) // 2
        assert of_methods == _with_a_fresh_stack(lambda: Sums().total(DEEP_METHODS))
        with self.loop(backend) as run:
            assert expected == run(atotal(DEEP))

    @once
    @pytest.mark.parametrize("error", [ValueError, StopIteration, KeyError])
    def test_what_a_function_raises_shows_nothing_of_ours(
        self, backend: BaseBackend, error: type[Exception]
    ) -> None:
        """From the line that calls it to the line that raises, and no cause that is not its own."""

        @cached(backend=backend, key="raises:{n}")
        def fail(n: int) -> int:
            raise error(n)

        with pytest.raises(error) as caught:
            fail(1)

        frames = traceback.extract_tb(caught.value.__traceback__)
        assert ["test_what_a_function_raises_shows_nothing_of_ours", "fail"] == [
            frame.name for frame in frames
        ]
        assert caught.value.__context__ is None
        assert (1,) == caught.value.args

    @once
    def test_a_cancelled_function_leaves_the_lead_to_another(self, backend: BaseBackend) -> None:
        """A task that is cancelled in its function raises that, and the next caller computes."""
        began = asyncio.Event()

        @cached(backend=backend, key="slow:{n}")
        async def slow(n: int) -> int:
            if not began.is_set():
                began.set()
                await asyncio.Event().wait()
            return n

        async def main() -> int:
            task = asyncio.create_task(slow(1))
            await began.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return await asyncio.wait_for(slow(1), self.patience)

        with self.loop(backend) as run:
            assert 1 == run(main())
        assert 0 == len(backend._loading.flights)


def _with_a_fresh_stack(work: Callable[[], Any]) -> Any:
    """The result of work in a thread, as a test runs deep in the stack already."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join()
    return found[0]
