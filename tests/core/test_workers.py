"""Blocking calls run in a few threads of the backend's own, which end with it."""

import asyncio
import contextvars
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from jinpy_cache_core.backend.threads import Workers

PATIENCE = 20


@pytest.fixture
def workers() -> Iterator[Workers]:
    """Two of them."""
    workers = Workers("test", max_workers=2)
    yield workers
    workers.close()


def threads_of(name: str) -> list[threading.Thread]:
    """The threads that work for this name."""
    return [one for one in threading.enumerate() if one.name.startswith(f"jinpy-cache-{name}")]


async def test_a_call_runs_in_another_thread(workers: Workers):
    """With its arguments, and its result comes back."""
    found = await workers.run(lambda a, *, b: (a, b, threading.current_thread()), 1, b=2)

    assert (1, 2) == found[:2]
    assert found[2] in threads_of("test")


async def test_an_error_comes_back(workers: Workers):
    """As it was raised."""
    with pytest.raises(ZeroDivisionError):
        await workers.run(lambda: 1 / 0)


async def test_a_call_sees_the_callers_context(workers: Workers):
    """Context variables, such as the trace of a request, are those of the awaiting task."""
    trace = contextvars.ContextVar("trace", default="none")
    trace.set("request 7")

    assert "request 7" == await workers.run(trace.get)
    assert "other" == await workers.run(lambda: trace.set("other") and trace.get())
    assert "request 7" == trace.get()


async def test_no_more_calls_at_once_than_workers(workers: Workers):
    """The others wait; none is lost."""
    running, most, lock = 0, 0, threading.Lock()
    both = threading.Barrier(2)

    def call() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        both.wait(PATIENCE)
        with lock:
            running -= 1

    await asyncio.gather(*(workers.run(call) for _ in range(10)))

    assert 2 == most


def test_nothing_starts_before_it_is_needed():
    """A cache that is only used synchronously has no threads."""
    workers = Workers("unused")

    assert [] == threads_of("unused")
    workers.close()


def test_they_serve_one_event_loop_after_another(workers: Workers):
    """Nothing of a loop is kept."""
    for number in range(3):
        assert number == asyncio.run(workers.run(lambda n=number: n))


async def test_closing_ends_the_threads():
    """Once, and again without effect."""
    workers = Workers("ending")
    await workers.run(int)
    assert threads_of("ending")

    workers.close()
    workers.close()

    assert [] == threads_of("ending")


async def test_closed_workers_do_not_start_again():
    """A call that comes too late is refused, and starts no thread."""
    used, unused = Workers("late"), Workers("late")
    await used.run(int)
    for workers in (used, unused):
        workers.close()
        with pytest.raises(RuntimeError):
            await workers.run(int)

    assert [] == threads_of("late")


async def test_closing_waits_for_a_call_that_has_begun():
    """It runs to its end and its result is delivered."""
    workers = Workers("busy")
    begun, end = threading.Event(), threading.Event()

    def call() -> str:
        begun.set()
        assert end.wait(PATIENCE)
        return "done"

    calling = asyncio.create_task(workers.run(call))
    await asyncio.to_thread(begun.wait, PATIENCE)
    closing = asyncio.create_task(asyncio.to_thread(workers.close))
    await asyncio.sleep(0)
    assert not closing.done()
    end.set()

    assert "done" == await calling
    await closing


async def test_cancelling_does_not_stop_a_call_that_has_begun(workers: Workers):
    """The task ends at once, the call in the thread runs to its end."""
    begun, end, ended = threading.Event(), threading.Event(), threading.Event()

    def call() -> None:
        begun.set()
        assert end.wait(PATIENCE)
        ended.set()

    calling = asyncio.create_task(workers.run(call))
    await asyncio.to_thread(begun.wait, PATIENCE)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert not ended.is_set()
    end.set()

    assert await asyncio.to_thread(ended.wait, PATIENCE)


FORKING = """
import asyncio, os, sys
from jinpy_cache_core.backend.threads import Workers

workers = Workers("forked")
assert asyncio.run(workers.run(os.getpid)) == os.getpid()
child = os.fork()
if child == 0:
    status = 1
    try:
        if sys.argv[1] == "use":
            assert asyncio.run(workers.run(os.getpid)) == os.getpid()
        workers.close()
        status = 0
    finally:
        os._exit(status)
_, status = os.waitpid(child, 0)
assert asyncio.run(workers.run(os.getpid)) == os.getpid()
workers.close()
sys.exit(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.parametrize("child", ["use", "close"])
def test_a_forked_child_has_threads_of_its_own(child: str):
    """The child neither waits for the parent's threads nor ends them."""
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKING, child],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert 0 == run.returncode, run.stderr
