"""Changes that leave everything but one record alone: neither an index nor the ledger sees them.

Most writes are such: an overwrite by a value of the same size that lives as long or longer, and a
counter that keeps its number of digits. They are the short ways of `Store.store` and `Store.count`,
as pure functions; each returns `None` for what has to go the long way through `Index.change`.
"""

import math
from typing import Final
from zlib import crc32

from jinpy_cache_core.backend import parse_integer
from jinpy_cache_file.layout import (
    CHECKED_FROM,
    HEAD,
    HEAD_SIZE,
    INLINE,
    LONG_ENTRY,
    LOOK,
    SEAL,
    pack_record,
)

_LONG: Final = LONG_ENTRY[0]

_look: Final = LOOK.unpack_from
_seal: Final = SEAL.pack

_SURELY_IN_RANGE: Final = HEAD_SIZE + 18
"""The size of a record whose number, and any other as long as it, fits in 64 bits."""


def overwritten(
    tree_key: bytes, stored: bytes, now: float, payload: bytes, seconds: float
) -> tuple[bytes, None] | None:
    """Store a payload in place of another one.

    Args:
        tree_key: Where the record is.
        stored: The record.
        now: Unix time in seconds.
        payload: What to store.
        seconds: How long; zero removes.

    Returns:
        The new record.
    """
    if len(stored) == HEAD_SIZE + len(payload) and seconds and tree_key[0] != _LONG:
        _used, checksum, kind, _deadline, indexed, sequence = HEAD.unpack_from(stored)
        deadline = now + seconds
        if (
            kind == INLINE
            and (indexed <= deadline < math.inf or indexed == deadline)
            and checksum == crc32(stored[CHECKED_FROM:], crc32(tree_key))
        ):
            return pack_record(tree_key, payload, 1, kind, deadline, indexed, sequence), None
    return None


def counted(
    tree_key: bytes, stored: bytes, now: float, amount: int, _seconds: float
) -> tuple[bytes, int] | None:
    """Count a live counter up.

    Args:
        tree_key: Where the record is.
        stored: The record.
        now: Unix time in seconds.
        amount: A signed 64-bit integer.

    Returns:
        The new record and the new number.
    """
    if HEAD_SIZE < len(stored) <= _SURELY_IN_RANGE:
        _used, checksum, kind, deadline = _look(stored)
        seed = crc32(tree_key)
        if (
            kind == INLINE
            and now < deadline
            and checksum == crc32(stored[CHECKED_FROM:], seed)
            and (number := parse_integer(stored[HEAD_SIZE:])) is not None
        ):
            total = number + amount
            checked = stored[CHECKED_FROM:HEAD_SIZE] + b"%d" % total
            if len(checked) == len(stored) - CHECKED_FROM:
                return _seal(1, crc32(checked, seed)) + checked, total
    return None
