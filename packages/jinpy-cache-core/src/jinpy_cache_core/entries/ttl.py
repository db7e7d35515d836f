"""What a ttl is, and the arithmetic of deadlines: pure functions of the numbers given.

Seconds as `int` or `float`, or a `timedelta`. `None` means the backend's default, `math.inf` never,
zero or less that the entry is removed. An entry is expired at `now >= deadline`, everywhere.
"""

import math
from datetime import timedelta
from typing import TypeAlias, cast

from jinpy_cache_core.exceptions import CacheValueError, CacheValueTypeError, with_article

TTL: TypeAlias = int | float | timedelta | None
"""Seconds, a `timedelta`, `math.inf` for never, or `None` for the backend's default."""

NEVER = math.inf
"""The deadline, and the seconds left, of an entry that does not expire."""

REMOVED = 0.0
"""The ttl, in seconds, of an entry that must not be there any more."""

LONGEST = 100 * 365.25 * 24 * 3600
"""Seconds in a century: a longer ttl is never."""


def ttl_seconds(ttl: TTL, default: float = NEVER) -> float:
    """Any legal ttl as seconds: `REMOVED`, a positive finite number, or `NEVER`.

    Args:
        ttl: What the caller gave.
        default: The backend's default in seconds, already checked by this function.

    Raises:
        CacheValueTypeError: It is a bool, a str or anything else that is not a duration.
        CacheValueError: It is NaN or minus infinity.
    """
    if ttl is None:
        return default
    kind = type(ttl)
    seconds = cast("float", ttl) if kind is float or kind is int else _unusual_seconds(ttl)
    if 0 < seconds <= LONGEST:
        return float(seconds)
    if seconds > LONGEST:
        return NEVER
    if -math.inf < seconds <= 0:
        return REMOVED
    message = (
        f"ttl={ttl!r} is not a duration: give seconds as a finite number, a timedelta, "
        "math.inf for never, or None for the backend's default_ttl."
    )
    raise CacheValueError(message)


def _unusual_seconds(ttl: object) -> float:
    if isinstance(ttl, timedelta):
        return ttl.total_seconds()
    if isinstance(ttl, (int, float)) and not isinstance(ttl, bool):
        return ttl
    message = (
        f"ttl={ttl!r} is {with_article(type(ttl).__name__)}, not a duration: give seconds as int "
        "or float, a timedelta, math.inf for never, or None for the backend's default_ttl."
    )
    raise CacheValueTypeError(message)


def deadline_after(seconds: float, now: float) -> float:
    """When an entry that lives `seconds` from `now` expires, on the clock that gave `now`."""
    return now + seconds


def is_expired(deadline: float, now: float) -> bool:
    """Whether an entry is gone: at its deadline it is; an unreadable deadline (NaN) is past."""
    return not now < deadline
