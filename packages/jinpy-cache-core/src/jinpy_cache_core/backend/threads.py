"""Threads of our own for blocking work.

It then neither blocks an event loop nor starves the loop's default executor, which belongs to the
application.
"""

import asyncio
import contextvars
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

DEFAULT_WORKERS = 8
"""How many blocking calls of one backend run at once; the rest wait their turn."""


class Workers:
    """A bounded pool of threads, started on first use, again after a fork, ended by `close`."""

    def __init__(self, name: str, max_workers: int = DEFAULT_WORKERS) -> None:
        self._name = name
        self._max_workers = max_workers
        self._lock = threading.RLock()
        self._executor: ThreadPoolExecutor | None = None
        self._closed = False
        self._pid = os.getpid()

    async def run(self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call in a worker thread, in the caller's context, and await the result.

        When the awaiting task is cancelled, a call that has begun still runs to its end.

        Raises:
            RuntimeError: The workers are closed.
        """
        context = contextvars.copy_context()
        bound = partial(context.run, call, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._running(), bound)

    def _running(self) -> ThreadPoolExecutor:
        executor = self._executor
        if executor is None or self._pid != os.getpid():
            executor = self._start()
        return executor

    def _start(self) -> ThreadPoolExecutor:
        pid = os.getpid()
        if self._pid != pid:  # in a forked child: the parent's threads and lock are not ours
            self._lock, self._executor, self._pid = threading.RLock(), None, pid
        with self._lock:
            if self._closed:
                message = "The workers are closed."
                raise RuntimeError(message)
            if self._executor is None:
                self._executor = ThreadPoolExecutor(
                    self._max_workers, thread_name_prefix=f"jinpy-cache-{self._name}"
                )
            return self._executor

    def close(self) -> None:
        """Let the calls that have begun finish, and end the threads."""
        self._closed = True
        if self._pid != os.getpid():  # in a forked child: the parent ends its own
            return
        with self._lock:
            executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown(wait=True)
