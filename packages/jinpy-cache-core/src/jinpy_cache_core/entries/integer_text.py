"""Integers as canonical decimal text: the one form in which every store can count.

Canonical means `-?(0|[1-9][0-9]*)`, no `-0`, at most 4,300 digits. The limit is Python's own for
converting text, but fixed here: what one interpreter stored, another can read, whatever its
settings.
"""

import re
from typing import Final

from jinpy_cache_core.exceptions import CacheSerializationError

MAX_DIGITS: Final = 4300
"""Integers of more digits are not stored."""

_BOUND: Final = 10**MAX_DIGITS
_CHUNK_DIGITS: Final = 600
_CHUNK: Final = 10**_CHUNK_DIGITS
_ZERO: Final = 0x30
_MINUS: Final = 0x2D
_CANONICAL: Final = re.compile(rb"0|-?[1-9][0-9]{0,%d}" % (MAX_DIGITS - 1)).fullmatch


def integer_text(number: int) -> bytes:
    """The number's canonical text.

    Raises:
        CacheSerializationError: It has more than 4,300 digits.
    """
    if -_CHUNK < number < _CHUNK:
        return b"%d" % number
    if not -_BOUND < number < _BOUND:
        message = (
            f"An int of more than {MAX_DIGITS:,} digits cannot be stored. Store its text, or its "
            "bytes from int.to_bytes."
        )
        raise CacheSerializationError(message)
    # In chunks, because an interpreter may be set to convert no more than 640 digits at once.
    rest = abs(number)
    chunks: list[bytes] = []
    while rest >= _CHUNK:
        rest, chunk = divmod(rest, _CHUNK)
        chunks.append(b"%0*d" % (_CHUNK_DIGITS, chunk))
    chunks.append(b"%d" % rest)
    return (b"-" if number < 0 else b"") + b"".join(reversed(chunks))


def parse_integer(payload: bytes) -> int | None:
    """The integer whose canonical text a payload is, or `None` if it is anything else.

    Args:
        payload: What a store holds under a key; an envelope is never an integer.
    """
    if payload.isdigit() and payload[0] != _ZERO and len(payload) <= _CHUNK_DIGITS:
        return int(payload)
    if _CANONICAL(payload) is None:
        return None
    if len(payload) <= _CHUNK_DIGITS:
        return int(payload)
    sign, digits = (-1, payload[1:]) if payload[0] == _MINUS else (1, payload)
    head = len(digits) % _CHUNK_DIGITS
    number = int(digits[:head] or b"0")
    for start in range(head, len(digits), _CHUNK_DIGITS):
        number = number * _CHUNK + int(digits[start : start + _CHUNK_DIGITS])
    return sign * number
