"""What a plan asks its driver to do; a plan itself neither blocks nor awaits.

The loading layer is written once, as generators that yield these steps and are sent the outcomes;
`drivers` holds the two small functions that carry them out, one blocking, one awaiting.
"""

from collections.abc import Awaitable, Callable, Generator
from typing import Any, NamedTuple, TypeAlias, TypeVar

from jinpy_cache_core.loading.context import FactoryContext
from jinpy_cache_core.loading.flights import Flight, Flights, Landing

T = TypeVar("T")


class Ask(NamedTuple):
    """Ask the store.

    Attributes:
        call: A method of the backend.
        acall: Its asynchronous twin.
        arguments: For either.
        within: Seconds that the store may take; `None` for what asks no store.
    """

    call: Callable[..., Any]
    acall: Callable[..., Awaitable[Any]]
    arguments: tuple[Any, ...]
    within: float | None = None


class Wait(NamedTuple):
    """Wait for a flight; the outcome is whether it landed, `None` if waiting would block it.

    Attributes:
        flight: What is waited for.
        seconds: The longest wait.
    """

    flight: Landing
    seconds: float


class Pause(NamedTuple):
    """Do nothing for a while.

    Attributes:
        seconds: How long.
    """

    seconds: float


class Breathe(NamedTuple):
    """Let whoever else wants the event loop have it; nothing for a thread."""


class Compute(NamedTuple):
    """Run the factory as part of a flight; the outcome is its value.

    Attributes:
        call: The factory, with what it takes; it may return an awaitable in an async caller.
        parts: What is computed, each with the flights it belongs to and the factory's context.
    """

    call: Callable[[], Any]
    parts: tuple[tuple[Flights, Flight, FactoryContext], ...]


class Spawn(NamedTuple):
    """Run a plan in the background; the outcome is whether there was room for it.

    Attributes:
        plan: What to run; it is closed if there is no room.
        ended: Called when it is over, even if it never ran because its loop was closed.
        flight: What it computes, if that is under way already.
    """

    plan: "Plan[Any]"
    ended: Callable[[], None]
    flight: Flight | None = None


class StoppedFactory(Exception):  # noqa: N818 - it carries an error, and is none
    """Carries a `StopIteration` of a factory through the plan, which is a generator.

    Python turns one that leaves a generator into a `RuntimeError`; the drivers take it out again.
    """

    def __init__(self, error: StopIteration) -> None:
        super().__init__(error)
        self.error = error


def original(error: BaseException) -> BaseException:
    """What a factory raised."""
    return error.error if isinstance(error, StoppedFactory) else error


def carried(error: Exception) -> Exception:
    """An error of a factory as a plan may raise it."""
    return StoppedFactory(error) if isinstance(error, StopIteration) else error


Action: TypeAlias = Ask | Wait | Pause | Breathe | Spawn
"""What a driver does itself."""

Step: TypeAlias = Action | Compute

Plan: TypeAlias = Generator[Step, Any, T]
"""Yields steps, is sent their outcomes, returns its result."""
