"""Integers: the arithmetic of counters, and the one text in which every store can count.

Counters are signed 64-bit on every backend, so that Redis can hold them too. The text is
canonical decimal: `-?(0|[1-9][0-9]*)`, no `-0`, at most 4,300 digits. The limit is Python's own
for converting text, but fixed here: what one interpreter stored, another can read, whatever its
settings.
"""

import re
from typing import Final

from jinpy_cache_core.exceptions import (
    CacheSerializationError,
    CacheValueError,
    CacheValueTypeError,
    with_article,
)

INT64_MIN = -(2**63)
INT64_MAX = 2**63 - 1


def check_amount(amount: object) -> int:
    """The amount itself, once it is known to be a signed 64-bit `int`.

    Raises:
        CacheValueTypeError: It is a bool or not an `int`.
        CacheValueError: It does not fit in 64 bits.
    """
    if type(amount) is int and INT64_MIN <= amount <= INT64_MAX:
        return amount
    if not isinstance(amount, int) or isinstance(amount, bool):
        message = (
            f"amount={amount!r} is {with_article(type(amount).__name__)}; counters count in int."
        )
        raise CacheValueTypeError(message)
    return check_int64(int(amount), what="amount")


def check_int64(number: int, *, what: str) -> int:
    """The number itself, once it is known to fit in signed 64 bits.

    Raises:
        CacheValueError: It does not.
    """
    if INT64_MIN <= number <= INT64_MAX:
        return number
    size = f"{number.bit_length()} bits" if number.bit_length() > 256 else str(number)
    message = (
        f"The {what} of {size} does not fit in a signed 64-bit integer; the stored value was "
        "left as it is."
    )
    raise CacheValueError(message)


def add_int64(current: int, amount: int) -> int:
    """The sum, once it and both its parts are known to fit in signed 64 bits.

    Raises:
        CacheValueError: One of them does not.
    """
    check_int64(current, what="stored counter")
    return check_int64(current + amount, what="counter's new value")


def negated(amount: object) -> int:
    """The amount that `incr` must add for `decr(amount)`; same errors as `check_amount`.

    The most negative 64-bit integer has no counterpart, so its decrement is refused too.
    """
    return check_int64(-check_amount(amount), what="negated amount")


def not_a_counter() -> CacheValueError:
    """The error for a counter operation on an entry that holds something else."""
    message = (
        "The stored value is not an int, so it cannot be counted; it was left as it is. "
        "Delete the key first, or count under another one."
    )
    return CacheValueError(message)


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
