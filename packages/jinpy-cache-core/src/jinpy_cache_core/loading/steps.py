"""What a plan asks its driver to do; a plan itself neither blocks nor awaits.

The loading layer is written once, as generators that yield these steps and are sent the outcomes;
`drivers` holds the two small functions that carry them out, one blocking, one awaiting.
"""

from collections.abc import Awaitable, Callable, Generator
from typing import Any, NamedTuple, TypeAlias, TypeVar

from jinpy_cache_core.loading.context import FactoryContext
from jinpy_cache_core.loading.flights import Flight, Flights

T = TypeVar("T")


class Ask(NamedTuple):
    """Ask the store.

    Attributes:
        call: A method of the backend.
        acall: Its asynchronous twin.
        arguments: For either.
    """

    call: Callable[..., Any]
    acall: Callable[..., Awaitable[Any]]
    arguments: tuple[Any, ...]


class Wait(NamedTuple):
    """Wait for a flight; the outcome is whether it landed, `None` if waiting would block it.

    Attributes:
        flight: What is waited for.
        seconds: The longest wait.
    """

    flight: Flight
    seconds: float


class Pause(NamedTuple):
    """Do nothing for a while.

    Attributes:
        seconds: How long.
    """

    seconds: float


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


Step: TypeAlias = Ask | Wait | Pause | Compute | Spawn

Plan: TypeAlias = Generator[Step, Any, T]
"""Yields steps, is sent their outcomes, returns its result."""
