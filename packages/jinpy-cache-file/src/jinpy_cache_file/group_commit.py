"""Writes of coroutines, committed together.

A coroutine leaves its change in a queue and awaits the outcome. One thread takes all that has
gathered while it was busy and puts it into one transaction: one lock, one commit, and with
`durability="disk"` one wait for the platter, for all of them. The event loop itself never waits.

Each change has a deadline, which counts from the call: however many wait behind a writer that is
stopped, all are refused by then. The queue is bounded; who finds it full waits for room, until its
own deadline.
"""

import asyncio
import contextlib
import os
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

import attrs
import lmdb

from jinpy_cache_core import CacheTimeoutError
from jinpy_cache_file.interrupts import Mutex
from jinpy_cache_file.store import Store
from jinpy_cache_file.write_context import WriteContext
from jinpy_cache_file.write_lock import kept_too_long

T = TypeVar("T")

_MOST: Final = 256
"""How many changes one transaction takes."""

MOST_QUEUED: Final = 10_000
"""How many changes wait in the queue of one cache."""

_SOON: Final = 0.002
"""Seconds before its deadline at which a change is not tried again."""


@attrs.define(slots=True, eq=False)
class Job:
    """One change and who waits for it.

    Attributes:
        work: Makes the change; when it raises, it has changed nothing.
        removes: Whether it must go through on a full disk.
        deadline: When to give up, in seconds of the monotonic clock.
        loop: The event loop of
        future: what the coroutine awaits.
        result: What the change returned, or
        error: raised.
    """

    work: Callable[[WriteContext], Any]
    removes: bool
    deadline: float
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
        self.mutex = Mutex("queueing writes")
        self.jobs: deque[Job] = deque()
        self.waiting: deque[asyncio.Future[None]] = deque()
        self.busy = False
        self.closed = False
        self.executor: ThreadPoolExecutor | None = None


class GroupCommit:
    """The queue of one store, for any number of event loops.

    Args:
        store: What is written.
        name: What the thread is named after.
        patience: Seconds that a change may take from its call on.
        most_queued: How many changes may wait.
    """

    def __init__(
        self, store: Store, name: str, patience: float, most_queued: int = MOST_QUEUED
    ) -> None:
        self._store = store
        self._name = name
        self._patience = patience
        self._most_queued = most_queued
        self._state = _State()

    async def run(self, work: Callable[[WriteContext], T], *, removes: bool = False) -> T:
        """Make a change in the next transaction and await its commit.

        When the awaiting task is cancelled, a change that is not in a transaction yet is not made.

        Args:
            work: Makes the change; when it raises, it must have changed nothing.
            removes: Whether it must go through on a full disk.

        Raises:
            CacheTimeoutError: It could not be made within the patience.
            RuntimeError: The queue was closed.
        """
        loop = asyncio.get_running_loop()
        deadline = time.monotonic() + self._patience
        job = Job(work, removes, deadline, loop, loop.create_future())
        state = self._state
        if state.pid != os.getpid():
            state = self._state = _State()
        while len(state.jobs) >= self._most_queued and not state.closed:
            await self._room(state, loop, deadline)
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

    async def _room(self, state: _State, loop: asyncio.AbstractEventLoop, deadline: float) -> None:
        """Wait until there may be room in the queue."""
        room: asyncio.Future[None] = loop.create_future()
        with state.mutex:
            if len(state.jobs) < self._most_queued:
                return
            state.waiting.append(room)
        try:
            async with asyncio.timeout(max(deadline - time.monotonic(), 0)):
                await room
        except TimeoutError:
            raise self._too_late() from None

    def close(self) -> None:
        """Commit what is queued and end the thread."""
        state = self._state
        with state.mutex:
            state.closed = True
        if state.executor is not None and state.pid == os.getpid():
            state.executor.shutdown(wait=True)
        self._make_room(state, len(state.waiting))

    def _drain(self, state: _State) -> None:
        while True:
            with state.mutex:
                jobs = [state.jobs.popleft() for _ in range(min(_MOST, len(state.jobs)))]
                state.busy = bool(jobs)
                free = self._most_queued - len(state.jobs)
            if state.waiting:
                self._make_room(state, free)
            if not jobs:
                return
            awaited = [job for job in jobs if not job.future.cancelled()]
            if awaited:
                self._commit(self._in_time(awaited))
                _tell(awaited)

    def _make_room(self, state: _State, free: int) -> None:
        """Let those go on who wait for room, the first ones first."""
        with contextlib.suppress(IndexError):
            for _ in range(free):
                room = state.waiting.popleft()
                with contextlib.suppress(RuntimeError):  # its loop was closed
                    room.get_loop().call_soon_threadsafe(_go_on, room)

    def _commit(self, jobs: list[Job]) -> None:
        """Make the changes together; when that fails, each on its own, as one may be to blame.

        Those whose time is over meanwhile are refused, and the others tried again.
        """
        while jobs:
            removes = len(jobs) == 1 and jobs[0].removes
            patience = max(min(job.deadline for job in jobs) - time.monotonic(), 0)
            try:
                self._store.writing(_do, jobs, removes=removes, patience=patience)
            except CacheTimeoutError:
                jobs = self._in_time(jobs)
                continue
            except Exception as error:  # noqa: BLE001 - it belongs to the coroutine
                if len(jobs) == 1:
                    jobs[0].error = error
                else:
                    for job in jobs:
                        job.error = None
                        self._commit([job])
            return

    def _in_time(self, jobs: list[Job]) -> list[Job]:
        """Refuse the changes whose time is over, at once; the others."""
        now = time.monotonic() + _SOON
        late = [job for job in jobs if job.deadline <= now]
        if late:
            error = self._too_late()
            for job in late:  # each has its own, as each coroutine adds its context
                job.error = type(error)(*error.args)
            _tell(late)
        return [job for job in jobs if job.deadline > now]

    def _too_late(self) -> CacheTimeoutError:
        return kept_too_long(self._store.environment.lock.path, self._patience)


def _do(writing: WriteContext, jobs: list[Job]) -> None:
    for job in jobs:
        try:
            job.error = None
            job.result = job.work(writing)
        except lmdb.Error:
            raise
        except Exception as error:  # noqa: BLE001 - it belongs to the coroutine
            job.error = error


def _go_on(room: "asyncio.Future[None]") -> None:
    if not room.done():
        room.set_result(None)


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
