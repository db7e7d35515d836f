"""The arithmetic of counters: signed 64-bit on every backend, so that Redis can hold them too."""

from jinpy_cache_core.exceptions import CacheValueError, CacheValueTypeError
from jinpy_cache_core.wording import with_article

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
