"""Checks for the fields of configuration classes: attrs validators and converters.

Each refuses with a sentence that names the setting, the value and what is allowed.
"""

import math
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

import attrs

from jinpy_cache_core.entries.keys import check_namespace
from jinpy_cache_core.entries.ttl import REMOVED, TTL, ttl_seconds
from jinpy_cache_core.exceptions import CacheConfigurationError, CacheValueError
from jinpy_cache_core.secret import Secret

Validator = Callable[[Any, "attrs.Attribute[Any]", Any], None]


def _refuse(attribute: "attrs.Attribute[Any]", value: object, allowed: str) -> None:
    message = f"{attribute.name}={value!r} is not allowed: it must be {allowed}."
    raise CacheConfigurationError(message)


def whole_number(*, minimum: int = 1, optional: str | None = None) -> Validator:
    """An `int` (never a bool) of at least `minimum`; `optional` says what `None` would mean."""

    def validate(_instance: Any, attribute: "attrs.Attribute[Any]", value: object) -> None:
        if value is None and optional is not None:
            return
        if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
            none = f", or None for {optional}" if optional is not None else ""
            _refuse(attribute, value, f"a whole number of at least {minimum}{none}")

    return validate


def duration(*, zero: bool = False, optional: str | None = None) -> Validator:
    """A finite number of seconds above zero; `optional` says what `None` would mean."""

    def validate(_instance: Any, attribute: "attrs.Attribute[Any]", value: object) -> None:
        if value is None and optional is not None:
            return
        good = (
            isinstance(value, (int, float))
            and not isinstance(value, bool)
            and math.isfinite(value)
            and (value > 0 or (zero and value == 0))
        )
        if not good:
            none = f", or None for {optional}" if optional is not None else ""
            _refuse(attribute, value, f"a finite number of seconds above 0{none}")

    return validate


def lifetime(_instance: Any, attribute: "attrs.Attribute[Any]", value: object) -> None:
    """A ttl above zero, as `default_ttl` is one."""
    allowed = "seconds above 0, a timedelta, or None (or math.inf) for entries that never expire"
    try:
        if ttl_seconds(value) == REMOVED:  # type: ignore[arg-type]
            _refuse(attribute, value, allowed)
    except CacheValueError:
        _refuse(attribute, value, allowed)


def one_of(*choices: object) -> Validator:
    """One of a few values."""

    def validate(_instance: Any, attribute: "attrs.Attribute[Any]", value: object) -> None:
        if value not in choices:
            _refuse(attribute, value, "one of " + ", ".join(map(repr, choices)))

    return validate


def switch(_instance: Any, attribute: "attrs.Attribute[Any]", value: object) -> None:
    """True or False, and nothing that merely looks like it."""
    if not isinstance(value, bool):
        _refuse(attribute, value, "True or False")


def optional_namespace(_instance: Any, attribute: "attrs.Attribute[Any]", value: object) -> None:
    """`None` or what `jinpy_cache_core.entries.keys.check_namespace` takes."""
    if value is not None:
        check_namespace(value, where=attribute.name)


def backend_name(_instance: Any, attribute: "attrs.Attribute[Any]", value: object) -> None:
    """A name that can also be a namespace."""
    check_namespace(value, where=attribute.name)


def to_seconds(value: TTL) -> float | None:
    """Turn a `timedelta` into seconds and leave the rest for the validator to judge."""
    return value.total_seconds() if isinstance(value, timedelta) else value


def to_secret(value: "str | bytes | Secret | None") -> Secret | None:
    """Wrap a credential so that it cannot be printed.

    Raises:
        CacheConfigurationError: It is empty, or neither str nor bytes; it is not repeated.
    """
    if value is None:
        return None
    try:
        return Secret(value)
    except TypeError as error:
        raise CacheConfigurationError(str(error)) from None


def to_secrets(
    value: "str | bytes | Secret | Iterable[str | bytes | Secret] | None",
) -> Secret | tuple[Secret, ...] | None:
    """Wrap a credential, or each of several during a rotation, so that none can be printed.

    Raises:
        CacheConfigurationError: One is empty, or neither str nor bytes, or there is none in the
            list; nothing of it is repeated.
    """
    if value is None or isinstance(value, (str, bytes, Secret)) or not isinstance(value, Iterable):
        return to_secret(value)
    try:
        secrets = tuple(map(Secret, value))
    except TypeError as error:
        raise CacheConfigurationError(str(error)) from None
    if not secrets:
        message = "A list of secrets must not be empty: the first signs, every one verifies."
        raise CacheConfigurationError(message)
    return secrets
