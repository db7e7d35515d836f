"""What a key is: any `str` of 1 to 1,024 UTF-8 bytes, taken verbatim.

Keys are never stripped, folded or normalised: two different keys must never meet (CVE-2026-25480
was such a meeting). A namespace holds no colon and is joined to the key by one, which makes the
pair injective: the first colon of a storage key always ends the namespace.
"""

from collections.abc import Iterable
from typing import Any, cast

from jinpy_cache_core.exceptions import (
    CacheConfigurationError,
    CacheKeyError,
    CacheKeyTypeError,
    shown_key,
)

MAX_KEY_BYTES = 1024
"""The longest key in UTF-8 bytes, the same on every backend."""

_ALWAYS_SHORT = MAX_KEY_BYTES // 4
"""A `str` of so many characters fits whatever they are: UTF-8 needs four bytes for one at most."""


def check_key(key: object) -> str:
    """The key itself, once it is known to be one.

    Raises:
        CacheKeyTypeError: It is not a `str`.
        CacheKeyError: It is empty, longer than 1,024 UTF-8 bytes, or holds a lone surrogate.
    """
    if type(key) is str:
        if key.isascii():
            if 0 < len(key) <= MAX_KEY_BYTES:
                return key
        elif len(key) <= MAX_KEY_BYTES:
            try:
                if len(key.encode()) <= MAX_KEY_BYTES:
                    return key
            except UnicodeEncodeError:
                pass
    elif isinstance(key, str):
        # A subclass may lie about its hash, equality or length: its characters are what counts.
        return check_key(str.__str__(key))
    raise _key_error(key)


def _key_error(key: object) -> CacheKeyError:
    if not isinstance(key, str):
        message = (
            f"A cache key is a str, not {type(key).__name__}: {shown_key(key)}. "
            "Build a str from it, for example f'user:{user_id}'."
        )
        return CacheKeyTypeError(message, key=key)
    if not key:
        return CacheKeyError("A cache key must not be empty.", key=key)
    try:
        size = len(key.encode())
    except UnicodeEncodeError as error:
        message = (
            f"The cache key {shown_key(key)} holds a lone surrogate at index {error.start} "
            "and cannot be encoded as UTF-8."
        )
        return CacheKeyError(message, key=key)
    message = (
        f"The cache key {shown_key(key)} is {size:,} UTF-8 bytes long; the limit is "
        f"{MAX_KEY_BYTES:,}. Hash the long part, for example with hashlib.sha256."
    )
    return CacheKeyError(message, key=key)


def check_prefix(prefix: object) -> str:
    """The prefix itself, once it is known to be empty or what a key could begin with.

    Raises:
        CacheKeyTypeError: It is not a `str`.
        CacheKeyError: It is longer than a key may be, or holds a lone surrogate.
    """
    return "" if isinstance(prefix, str) and str.__len__(prefix) == 0 else check_key(prefix)


def check_keys(keys: Iterable[str]) -> list[str]:
    """Every distinct key once, in the order of first appearance.

    Raises:
        CacheKeyTypeError: `keys` is one str or bytes rather than an iterable of keys, or is not
            iterable, or one of its items is not a `str`.
        CacheKeyError: One of the keys is not a legal key.
    """
    return list(dict.fromkeys(map(check_key, _each(keys))))


def _each(keys: Any) -> Iterable[object]:
    if isinstance(keys, (str, bytes, bytearray)) or not isinstance(keys, Iterable):
        message = (
            f"Several keys are an iterable of str, not one {type(keys).__name__}: "
            f"{shown_key(keys)}. Put a single key into a list."
        )
        raise CacheKeyTypeError(message, key=keys)
    return cast("Iterable[object]", keys)


def check_namespace(namespace: object, *, where: str = "namespace") -> str:
    """The namespace itself, once it is known to be joinable to any key.

    Raises:
        CacheConfigurationError: It is not a `str`, is empty, holds a colon, or is longer than
            256 UTF-8 bytes or not encodable.
    """
    if isinstance(namespace, str) and namespace and ":" not in namespace:
        try:
            if len(namespace.encode()) <= _ALWAYS_SHORT:
                return str.__str__(namespace)
        except UnicodeEncodeError:
            pass
    message = (
        f"{where}={shown_key(namespace)} is not a namespace: it must be a non-empty str without "
        f"':' of at most {_ALWAYS_SHORT} UTF-8 bytes, so that no two caches can share an entry."
    )
    raise CacheConfigurationError(message)


def join(namespace: str, key: str) -> str:
    """The storage key of `key` in `namespace`."""
    return f"{namespace}:{key}"


def split(namespace: str, storage_key: str) -> str:
    """Undo `join` for a storage key that is known to be of this namespace."""
    return storage_key[len(namespace) + 1 :]
