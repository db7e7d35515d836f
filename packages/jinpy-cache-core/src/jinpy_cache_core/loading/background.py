"""Work that goes on when nobody waits for it any more: bounded, and drained at the end.

A thread is started for each piece of work of a synchronous caller, a task for each of an
asynchronous one, on that caller's loop. The threads are daemons: a factory that hangs must not keep
the interpreter from ending.
"""

import asyncio
import contextvars
import os
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

from jinpy_cache_core.loading.flights import running_loop

MOST_AT_ONCE = 64
"""How many pieces of background work one backend has under way; more are refused."""

DRAIN_SECONDS = 10.0
"""How long closing a backend waits for its background work."""


class Background:
    """The background work of one backend.

    Args:
        name: The backend's, for the names of threads.
        most: How much may be under way at once.
    """

    def __init__(self, name: str, most: int = MOST_AT_ONCE) -> None:
        self._name = name
        self._most = most
        self._renew()

    def _renew(self) -> None:
        self._pid = os.getpid()
        self._changed = threading.Condition()
        self._threads: set[object] = set()
        self._tasks: dict[asyncio.Task[None], asyncio.AbstractEventLoop] = {}
        self._closed = False

    def _open(self) -> None:
        if self._pid != os.getpid():  # in a forked child: the parent's work is not ours
            self._renew()

    def in_thread(self, work: Callable[[], None]) -> bool:
        """Start a thread for work that handles its own errors; False if there is no room."""
        self._open()
        place = object()
        context = contextvars.copy_context()
        name = f"jinpy-cache-{self._name}-background"
        thread = threading.Thread(
            target=self._run, args=(place, context, work), name=name, daemon=True
        )
        started = False
        try:
            with self._changed:
                if not self._has_room():
                    return False
                self._threads.add(place)
            thread.start()
            started = True
        except RuntimeError:  # no more threads to be had, or the interpreter is ending
            return False
        finally:
            if not started:
                self._thread_ended(place)
        return True

    def _run(self, place: object, context: contextvars.Context, work: Callable[[], None]) -> None:
        try:
            # An interrupt while it was started may have given its place up.
            with self._changed:
                self._threads.add(place)
            context.run(work)
        finally:
            self._thread_ended(place)

    def _thread_ended(self, place: object) -> None:
        with self._changed:
            self._threads.discard(place)
            self._changed.notify_all()

    def in_task(
        self,
        work: Callable[[], Coroutine[Any, Any, None]],
        ended: Callable[[], None],
    ) -> bool:
        """Start a task of the running loop likewise; `ended` is called even if it never ran."""
        self._open()
        loop = asyncio.get_running_loop()
        with self._changed:
            if not self._has_room():
                return False
            task = loop.create_task(work(), name=f"jinpy-cache-{self._name}-background")
            self._tasks[task] = loop
        task.add_done_callback(self._task_ended)
        task.add_done_callback(lambda _: ended())
        return True

    def _task_ended(self, task: "asyncio.Task[None]") -> None:
        with self._changed:
            self._tasks.pop(task, None)
            self._changed.notify_all()

    def _has_room(self) -> bool:
        return not self._closed and len(self) < self._most

    def __len__(self) -> int:
        return len(self._threads) + len(self._tasks)

    def idle(self, seconds: float = DRAIN_SECONDS) -> bool:
        """Wait until nothing is under way, outside of the running loop; whether it came to that."""
        self._open()
        own = running_loop()
        with self._changed:
            return self._changed.wait_for(lambda: not self._others(own), seconds)

    def drain(self, seconds: float = DRAIN_SECONDS) -> int:
        """Refuse more work and wait for what is under way; how much of it was not waited for.

        Tasks of a loop that runs in the calling thread cannot go on meanwhile: they are cancelled.
        """
        self._open()
        own = running_loop()
        with self._changed:
            self._closed = True
            for task in self._of(own):
                task.cancel()
            self._changed.wait_for(lambda: not self._others(own), seconds)
            return self._others(own)

    async def adrain(self, seconds: float = DRAIN_SECONDS) -> int:
        """Same as `drain`, asynchronously; tasks of the running loop are waited for as well."""
        self._open()
        own = asyncio.get_running_loop()
        with self._changed:
            self._closed = True
            tasks = self._of(own)
        until = time.monotonic() + seconds
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)
        if not len(self):
            return 0
        return await asyncio.to_thread(self.drain, max(0.0, until - time.monotonic()))

    def _of(self, own: asyncio.AbstractEventLoop | None) -> list["asyncio.Task[None]"]:
        return [task for task, loop in list(self._tasks.items()) if loop is own]

    def _others(self, own: asyncio.AbstractEventLoop | None) -> int:
        # A loop that was closed ended its tasks without telling; they are not under way.
        alive = sum(loop is not own and not loop.is_closed() for loop in self._tasks.values())
        return len(self._threads) + alive
