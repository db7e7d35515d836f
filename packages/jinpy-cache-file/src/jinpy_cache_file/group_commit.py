"""Writes of coroutines, committed together.

A coroutine leaves its change in a queue and awaits the outcome. One thread takes all that has
gathered while it was busy and puts it into one transaction: one lock, one commit, and with
`durability="disk"` one wait for the platter, for all of them. The event loop itself never waits.
"""

import asyncio
import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

import attrs
import lmdb

from jinpy_cache_file.store import Store
from jinpy_cache_file.write_context import WriteContext

T = TypeVar("T")

_MOST: Final = 256
"""How many changes one transaction takes."""


@attrs.define(slots=True, eq=False)
class Job:
    """One change and who waits for it.

    Attributes:
        work: Makes the change; when it raises, it has changed nothing.
        removes: Whether it must go through on a full disk.
        loop: The event loop of
        future: what the coroutine awaits.
        result: What the change returned, or
        error: raised.
    """

    work: Callable[[WriteContext], Any]
    removes: bool
    loop: asyncio.AbstractEventLoop
    future: "asyncio.Future[Any]"
    result: Any = None
    error: BaseException | None = None

    def settle(self) -> None:
        """Tell the coroutine, on its own loop, unless it has gone."""
        if not self.future.done():
            if self.error is None:
                self.future.set_result(self.result)
            else:
                self.future.set_exception(self.error)


class _State:
    """Queue and thread of one process; a forked child begins with none, as it has no threads."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.mutex = threading.Lock()
        self.jobs: deque[Job] = deque()
        self.busy = False
        self.closed = False
        self.executor: ThreadPoolExecutor | None = None


class GroupCommit:
    """The queue of one store, for any number of event loops.

    Args:
        store: What is written.
        name: What the thread is named after.
    """

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self._name = name
        self._state = _State()

    async def run(self, work: Callable[[WriteContext], T], *, removes: bool = False) -> T:
        """Make a change in the next transaction and await its commit.

        When the awaiting task is cancelled, a change that is not in a transaction yet is not made.

        Args:
            work: Makes the change; when it raises, it must have changed nothing.
            removes: Whether it must go through on a full disk.

        Raises:
            RuntimeError: The queue was closed.
        """
        loop = asyncio.get_running_loop()
        job = Job(work, removes, loop, loop.create_future())
        state = self._state
        if state.pid != os.getpid():
            state = self._state = _State()
        with state.mutex:
            if state.closed:
                message = "The queue of writes is closed."
                raise RuntimeError(message)
            state.jobs.append(job)
            if not state.busy:
                if state.executor is None:
                    state.executor = ThreadPoolExecutor(
                        1, thread_name_prefix=f"jinpy-cache-{self._name}-commit"
                    )
                state.executor.submit(self._drain, state)
                state.busy = True
        result: T = await job.future
        return result

    def close(self) -> None:
        """Commit what is queued and end the thread."""
        state = self._state
        with state.mutex:
            state.closed = True
        if state.executor is not None and state.pid == os.getpid():
            state.executor.shutdown(wait=True)

    def _drain(self, state: "_State") -> None:
        while True:
            with state.mutex:
                jobs = [state.jobs.popleft() for _ in range(min(_MOST, len(state.jobs)))]
                if not jobs:
                    state.busy = False
                    return
            awaited = [job for job in jobs if not job.future.cancelled()]
            if awaited:
                self._commit(awaited)
                _tell(awaited)

    def _commit(self, jobs: list[Job]) -> None:
        """Make the changes together; when that fails, each on its own, as one may be to blame."""
        removes = len(jobs) == 1 and jobs[0].removes
        try:
            self._store.writing(_do, jobs, removes=removes)
        except TimeoutError as error:
            for job in jobs:
                job.error = _twin(error)
        except Exception as error:  # noqa: BLE001 - it belongs to the coroutine
            if len(jobs) == 1:
                jobs[0].error = error
            else:
                for job in jobs:
                    job.error = None
                    self._commit([job])


def _do(writing: WriteContext, jobs: list[Job]) -> None:
    for job in jobs:
        try:
            job.error = None
            job.result = job.work(writing)
        except lmdb.Error:
            raise
        except Exception as error:  # noqa: BLE001 - it belongs to the coroutine
            job.error = error


def _twin(error: TimeoutError) -> BaseException:
    """An error of the same content, as each coroutine adds its own context."""
    return type(error)(*error.args)


def _tell(jobs: list[Job]) -> None:
    by_loop: dict[asyncio.AbstractEventLoop, list[Job]] = {}
    for job in jobs:
        by_loop.setdefault(job.loop, []).append(job)
    for loop, theirs in by_loop.items():
        try:
            loop.call_soon_threadsafe(_settle, theirs)
        except RuntimeError:
            continue  # the loop was closed, and nobody waits


def _settle(jobs: list[Job]) -> None:
    for job in jobs:
        job.settle()
