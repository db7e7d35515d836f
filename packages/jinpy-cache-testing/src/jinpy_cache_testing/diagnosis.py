"""What a call costs in Python frames, and what its error looks like on a terminal."""

import sys
import traceback
from collections.abc import Awaitable, Callable
from types import FrameType

OURS = ("jinpy_cache_core", "jinpy_cache_memory", "jinpy_cache_file", "jinpy_cache_redis")
"""The packages whose frames are counted."""


def frames_of(call: Callable[[], object]) -> list[str]:
    """The functions of ours that one call enters, in their order; generators once a step.

    Args:
        call: What is looked at; it is called twice before, so that what is made once is made.
    """
    entered: list[str] = []

    def note(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call" and frame.f_globals.get("__name__", "").startswith(OURS):
            entered.append(frame.f_code.co_qualname)

    call()
    call()
    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(None)
    return entered


def shown(call: Callable[..., object], *arguments: object) -> list[str]:
    """The lines that a user sees when a call fails: their own, ours, and its cause.

    Raises:
        AssertionError: The call did not fail.
    """
    try:
        call(*arguments)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is shown
        return _lines(error)
    raise AssertionError


async def ashown(call: Callable[..., Awaitable[object]], *arguments: object) -> list[str]:
    """Same as `shown`, asynchronously."""
    try:
        await call(*arguments)
    except Exception as error:  # noqa: BLE001 - see above
        return _lines(error)
    raise AssertionError


def _lines(error: Exception) -> list[str]:
    """The traceback from the line that called on, without this module's own frame."""
    trace = error.__traceback__
    printed = traceback.format_exception(error.with_traceback(trace and trace.tb_next))
    return "".join(printed).rstrip("\n").split("\n")
