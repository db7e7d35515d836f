"""What runs a plan: one way that blocks, one that awaits.

A plan is run up to the computation of a value, which whoever wants the value may do in a frame of
their own (`Computation`, `AsyncComputation`), or have done here (`run`, `arun`).
"""

import asyncio
import inspect
from contextlib import suppress
from contextvars import Token
from types import CoroutineType, TracebackType
from typing import Any, Final, Generic, TypeVar

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
    Action,
    Ask,
    Breathe,
    Compute,
    Pause,
    Plan,
    StoppedFactory,
    Wait,
)

T = TypeVar("T")

_OURS: Final = "jinpy_cache"
"""What the names of our modules begin with; a wrapper written for a function is in none."""


class _Driven(Generic[T]):
    """A plan in the hands of one caller, which computes the value itself.

    Whoever drives it calls `start`, and while it is `pending` computes, and hands what came of it
    to `done`, or what was raised to `failed`. So nothing of ours stands between a function and
    those that it calls, and a decorated one can call itself as deeply as a bare one.

    Args:
        plan: What to do.
        loading: Where spawned plans run, and what pauses.

    Attributes:
        pending: The computation that is due, if one is.
        value: What the plan came to, once nothing is pending.
    """

    __slots__ = ("_before", "_loading", "_plan", "pending", "value")

    def __init__(self, plan: Plan[T], loading: Loading) -> None:
        self._plan = plan
        self._loading = loading
        self._before: Token[Any] | None = None
        self.pending: Compute | None = None
        self.value: Any = None

    def _pend(self, step: Compute) -> None:
        """Let the caller compute, as part of the flights that this is about."""
        self._before = current_flights.set((*current_flights.get(), *step.parts))
        self.pending = step

    def _over(self) -> None:
        """The computation is over."""
        self.pending = None
        if self._before is not None:
            with suppress(ValueError):  # thrown away in another context than it ran in
                current_flights.reset(self._before)

    def _step_after(self, outcome: Any, failure: BaseException | None) -> Action | None:
        """The plan's next step for us; `None` at its end, and where the caller is to compute."""
        try:
            step = self._plan.send(outcome) if failure is None else self._plan.throw(failure)
        except StopIteration as end:
            self.value = end.value
            return None
        except StoppedFactory as stopped:
            raise stopped.error from None
        except CacheException as error:
            if error is failure:
                raise without_frames(error) from error.__cause__
            raise
        if isinstance(step, Compute):
            self._pend(step)
            return None
        return step


class Computation(_Driven[T]):
    """A plan that is run in this thread; see `_Driven`."""

    __slots__ = ()

    def start(self) -> None:
        """Go on until a computation is due, or to the end."""
        self._go(None, None)

    def done(self, value: Any) -> T:
        """Go on with what was computed, to the end."""
        failure = _wrong(value, self.pending) if value.__class__ in _NO_VALUES else None
        self._over()
        self._go(value, failure)
        return self.value if self.pending is None else self.rest()

    def failed(self, error: BaseException) -> bool:
        """Go on with what was raised instead, to the end.

        Returns:
            Whether that is to be raised, as it was; else `value` stands in for it.
        """
        as_it_was = _marks(error)
        self._over()
        try:
            self._go(None, StoppedFactory(error) if isinstance(error, StopIteration) else error)
        except BaseException as raised:
            if raised is not error:
                raise
            _restore(error, as_it_was)
            return True
        if self.pending is not None:
            self.rest()
        return False

    def rest(self) -> T:
        """Do what is to be computed here, to the end."""
        while self.pending is not None:
            try:
                value = self.pending.call()
            except BaseException as error:
                if self.failed(error):
                    raise
            else:
                self.done(value)
        found: T = self.value
        return found

    def _go(self, outcome: Any, failure: BaseException | None) -> None:
        while (step := self._step_after(outcome, failure)) is not None:
            outcome = failure = None
            try:
                outcome = _carry_out(step, self._loading)
            except BaseException as error:  # noqa: BLE001 - the plan decides what to do about it
                failure = error


def run(plan: Plan[T], loading: Loading) -> T:
    """Run a plan in this thread.

    Args:
        plan: What to do.
        loading: Where spawned plans run, and what pauses.
    """
    computation = Computation(plan, loading)
    computation.start()
    return computation.rest()


def _carry_out(step: Action, loading: Loading) -> Any:
    if isinstance(step, Ask):
        if step.within is None:
            return step.call(*step.arguments)
        return step.call(*step.arguments, within=step.within)
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


_Marks = tuple[TracebackType | None, BaseException | None, bool]


def _marks(error: BaseException) -> _Marks:
    """What a factory's error went through, and came from, before it came to us."""
    trace = _of_the_factory(error.__traceback__)
    return trace, error.__context__, error.__suppress_context__


def _restore(error: BaseException, marks: _Marks) -> None:
    """Let an error be raised as it was."""
    error.__traceback__, error.__context__, error.__suppress_context__ = marks


def _of_the_factory(trace: TracebackType | None) -> TracebackType | None:
    """What a factory's error went through before it came to us."""
    while not FULL_TRACEBACKS and trace is not None and trace.tb_next is not None:
        if not trace.tb_frame.f_globals.get("__name__", _OURS).startswith(_OURS):
            break
        trace = trace.tb_next
    return trace


_NO_VALUES: Final = frozenset((CoroutineType, asyncio.Task, asyncio.Future))
"""What a factory returns that should have been awaited."""


def _wrong(value: Any, step: Compute | None) -> CacheValueTypeError:
    """The error of a factory that returned something to be awaited, where nobody can."""
    if isinstance(value, CoroutineType):
        value.close()
    key = "" if step is None else step.parts[0][1].key
    what = "a coroutine" if isinstance(value, CoroutineType) else f"a {type(value).__name__}"
    message = (
        f"The factory of {shown_key(key)} returned {what}, which cannot be awaited here. Await "
        "aget_or_set instead of calling get_or_set, or decorate a coroutine function."
    )
    return CacheValueTypeError(message, key=key)


class AsyncComputation(_Driven[T]):
    """A plan that is run in this task; cancelling it reaches the plan; see `_Driven`."""

    __slots__ = ()

    async def start(self) -> None:
        """Go on until a computation is due, or to the end."""
        await self._go(None, None)

    async def done(self, value: Any) -> T:
        """Go on with what was computed, to the end."""
        self._over()
        await self._go(value, None)
        return self.value if self.pending is None else await self.rest()

    async def failed(self, error: BaseException) -> bool:
        """Go on with what was raised instead, to the end.

        Returns:
            Whether that is to be raised, as it was; else `value` stands in for it.
        """
        as_it_was = _marks(error)
        self._over()
        if isinstance(error, GeneratorExit):
            self._plan.close()
            return True
        try:
            failure = StoppedFactory(error) if isinstance(error, StopIteration) else error
            await self._go(None, failure)
        except BaseException as raised:
            if raised is not error:
                raise
            _restore(error, as_it_was)
            return True
        if self.pending is not None:
            await self.rest()
        return False

    async def rest(self) -> T:
        """Do what is to be computed here, to the end."""
        while self.pending is not None:
            try:
                value = self.pending.call()
                if inspect.isawaitable(value):
                    value = await value
            except BaseException as error:
                if await self.failed(error):
                    raise
            else:
                await self.done(value)
        found: T = self.value
        return found

    async def _go(self, outcome: Any, failure: BaseException | None) -> None:
        while (step := self._step_after(outcome, failure)) is not None:
            outcome = failure = None
            try:
                outcome = await _acarry_out(step, self._loading)
            except GeneratorExit:
                self._plan.close()
                raise
            except BaseException as error:  # noqa: BLE001 - the plan decides what to do about it
                failure = error


async def arun(plan: Plan[T], loading: Loading) -> T:
    """Same as `run`, asynchronously, in this task."""
    computation = AsyncComputation(plan, loading)
    await computation.start()
    return await computation.rest()


async def _acarry_out(step: Action, loading: Loading) -> Any:
    if isinstance(step, Ask):
        if step.within is None:
            return await step.acall(*step.arguments)
        return await step.acall(*step.arguments, within=step.within)
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
