"""What a store holds for a key, and what may be done to it."""

from collections.abc import Callable
from enum import Enum
from typing import Final, Literal, TypeAlias, TypeVar

import attrs

from jinpy_cache_core.entries.ttl import NEVER

T = TypeVar("T")


@attrs.frozen(slots=True)
class Record:
    """One stored entry: its encoded value and when it expires.

    Attributes:
        payload: The encoded value, as `jinpy_cache_core.codec` produced it, perhaps in the layers
            of `jinpy_cache_core.entries.state`.
        deadline: When the entry expires, on the backend's clock; `math.inf` for never.
    """

    payload: bytes = attrs.field(repr=False)
    deadline: float = NEVER


class Unchanged(Enum):
    """The type of `UNCHANGED`."""

    UNCHANGED = "unchanged"


UNCHANGED: Final = Unchanged.UNCHANGED
"""The entry stays as it is."""

Change: TypeAlias = Record | Literal[Unchanged.UNCHANGED] | None
"""A record to store, `None` to remove the entry, or `UNCHANGED`."""

Decision: TypeAlias = Callable[[Record | None, float], tuple[Change, T]]
"""From the stored record and the time to the change to make and the caller's result."""
