"""The two functions that run a plan: one blocks, one awaits."""

import asyncio
import inspect
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, TypeVar

from jinpy_cache_core.exceptions import (
    FULL_TRACEBACKS,
    CacheException,
    CacheValueTypeError,
    shown_key,
    without_frames,
)
from jinpy_cache_core.loading.base import Loading
from jinpy_cache_core.loading.flights import current_flights, running_loop
from jinpy_cache_core.loading.steps import (
    Ask,
    Breathe,
    Compute,
    Pause,
    Plan,
    Step,
    StoppedFactory,
    Wait,
)

T = TypeVar("T")

_OURS: Final = "jinpy_cache"
"""What the names of our modules begin with."""


def run(plan: Plan[T], loading: Loading) -> T:
    """Run a plan in this thread.

    Args:
        plan: What to do.
        loading: Where spawned plans run, and what pauses.
    """
    outcome: Any = None
    failure: BaseException | None = None
    raised: BaseException | None = None
    trace: TracebackType | None = None
    while True:
        try:
            step = plan.send(outcome) if failure is None else plan.throw(failure)
        except StopIteration as end:
            value: T = end.value
            return value
        except StoppedFactory as stopped:
            raise stopped.error from None
        except BaseException as error:
            if error is raised:
                error.__traceback__ = trace
            elif error is failure and isinstance(error, CacheException):
                raise without_frames(error) from error.__cause__
            raise
        outcome = failure = None
        try:
            outcome = _carry_out(step, loading)
        except BaseException as error:  # noqa: BLE001 - the plan decides what to do about it
            failure = error
            if isinstance(step, Compute):
                raised, trace = error, _of_the_factory(error.__traceback__)


def _carry_out(step: Step, loading: Loading) -> Any:
    if isinstance(step, Ask):
        if step.within is None:
            return step.call(*step.arguments)
        return step.call(*step.arguments, within=step.within)
    if isinstance(step, Compute):
        return _computed(step)
    if isinstance(step, Wait):
        loop = step.flight.loop
        if loop is not None and loop is running_loop():  # its task cannot go on while we block
            return True if step.flight.landed else None
        return step.flight.wait(step.seconds)
    if isinstance(step, Pause):
        return loading.pause(step.seconds)
    if isinstance(step, Breathe):
        return None
    plan = step.plan
    if step.flight is not None:
        step.flight.loop = None
    started = loading.background.in_thread(lambda: run(plan, loading))
    if not started:
        plan.close()
    return started


def _of_the_factory(trace: TracebackType | None) -> TracebackType | None:
    """What a factory's error went through before it came to us."""
    while not FULL_TRACEBACKS and trace is not None and trace.tb_next is not None:
        if not trace.tb_frame.f_globals.get("__name__", "").startswith(_OURS):
            break
        trace = trace.tb_next
    return trace


def _computed(step: Compute) -> Any:
    before = current_flights.set((*current_flights.get(), *step.parts))
    try:
        value = step.call()
    except StopIteration as error:
        raise StoppedFactory(error) from None
    finally:
        current_flights.reset(before)
    if inspect.iscoroutine(value):
        value.close()
        key = step.parts[0][1].key
        message = (
            f"The factory of {shown_key(key)} returned a coroutine, which cannot be awaited here. "
            "Await aget_or_set instead of calling get_or_set."
        )
        raise CacheValueTypeError(message, key=key)
    return value


async def arun(plan: Plan[T], loading: Loading) -> T:
    """Same as `run`, asynchronously, in this task; cancelling it reaches the plan."""
    outcome: Any = None
    failure: BaseException | None = None
    raised: BaseException | None = None
    trace: TracebackType | None = None
    while True:
        try:
            step = plan.send(outcome) if failure is None else plan.throw(failure)
        except StopIteration as end:
            value: T = end.value
            return value
        except StoppedFactory as stopped:
            raise stopped.error from None
        except BaseException as error:
            if error is raised:
                error.__traceback__ = trace
            elif error is failure and isinstance(error, CacheException):
                raise without_frames(error) from error.__cause__
            raise
        outcome = failure = None
        try:
            outcome = await _acarry_out(step, loading)
        except GeneratorExit:
            plan.close()
            raise
        except BaseException as error:  # noqa: BLE001 - the plan decides what to do about it
            failure = error
            if isinstance(step, Compute):
                raised, trace = error, _of_the_factory(error.__traceback__)


async def _acarry_out(step: Step, loading: Loading) -> Any:
    if isinstance(step, Ask):
        if step.within is None:
            return await step.acall(*step.arguments)
        return await step.acall(*step.arguments, within=step.within)
    if isinstance(step, Compute):
        return await _acomputed(step)
    if isinstance(step, Wait):
        return await step.flight.await_landing(step.seconds)
    if isinstance(step, Pause):
        return await loading.apause(step.seconds)
    if isinstance(step, Breathe):
        return await asyncio.sleep(0)
    plan = step.plan
    started = loading.background.in_task(lambda: arun(plan, loading), step.ended)
    if not started:
        plan.close()
    return started


async def _acomputed(step: Compute) -> Any:
    before = current_flights.set((*current_flights.get(), *step.parts))
    try:
        value = step.call()
        return await value if inspect.isawaitable(value) else value
    except StopIteration as error:
        raise StoppedFactory(error) from None
    finally:
        with suppress(ValueError):  # thrown away in another context than it ran in
            current_flights.reset(before)
