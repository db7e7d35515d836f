"""Entries that are more than a value: marked by whoever computes them, or with grace.

Most entries are what the serializer wrote, and commands such as `EXISTS` tell all about them.
Others begin with an envelope whose first bytes say whether there is a value and until when. `HEAD`
bytes of an entry hold all of these fields, so a large value is never moved just to look at them.
"""

from typing import TypeGuard

from jinpy_cache_core import Record
from jinpy_cache_core.backend import NEVER, is_layered, state_of
from jinpy_cache_redis.protocol.failures import ServerError

LAYERED = b"\xc1"
"""What an entry begins with that is more than the serializer's bytes."""

HEAD = b"255"
"""The last byte of an entry to look at; the layers' fields take less than half of it."""


def head_of(stored: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """The command that reads the beginning of an entry."""
    return (b"GETRANGE", stored, b"0", HEAD)


def has_layers(head: object) -> TypeGuard[bytes]:
    """Whether an entry that begins like this is more than a value."""
    return isinstance(head, bytes) and head[:1] == LAYERED and is_layered(head)


def deadline_of(head: bytes, now: float, deadline: float = NEVER) -> float | None:
    """Until when the value of a layered entry is fresh; `None` if it has none.

    Args:
        head: The beginning of the entry.
        now: The time.
        deadline: When the entry is gone by the server's clock, if that is known.
    """
    held = state_of(Record(head, deadline), now).fresh(now)
    return None if held is None else held.soft_deadline


def shows(head: object, now: float, deadline: float = NEVER) -> bool:
    """Whether an entry that exists, and begins like this, has a value for everyone."""
    if isinstance(head, ServerError):
        return True  # a foreign type, which is not for us to call absent
    return not has_layers(head) or deadline_of(head, now, deadline) is not None
