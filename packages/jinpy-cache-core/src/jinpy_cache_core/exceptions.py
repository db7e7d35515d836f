"""One root, `CacheException`; each child also inherits the closest builtin.

`except ValueError` therefore catches a bad key or ttl, `except ConnectionError` a Redis that went
away, and `except CacheException` everything this library raises on purpose.
"""

import os
from typing import Any, ClassVar, Final, Self, TypeVar

from jinpy_cache_core.enums import CacheErrorType, CacheOperation

__all__ = [
    "SHOWN_KEY_LENGTH",
    "UNREADABLE",
    "CacheBackendError",
    "CacheClosedError",
    "CacheConfigurationError",
    "CacheConfigurationTypeError",
    "CacheConnectionError",
    "CacheException",
    "CacheKeyError",
    "CacheKeyTypeError",
    "CacheReentryError",
    "CacheSerializationError",
    "CacheTimeoutError",
    "CacheValueError",
    "CacheValueTypeError",
    "shown_key",
    "with_article",
    "without_frames",
]

FULL_TRACEBACKS: Final = bool(os.environ.get("JINPY_CACHE_FULL_TRACEBACKS"))
"""Whether errors keep every frame of ours, for who works on a backend."""

SHOWN_KEY_LENGTH = 80
"""How many characters of a key an error shows; the rest is cut, as keys may hold personal data."""


def shown_key(key: object) -> str:
    """How a key appears in messages and `to_dict`: quoted, on one line, cut after 80 characters."""
    text = repr(key)
    return text if len(text) <= SHOWN_KEY_LENGTH else f"{text[:SHOWN_KEY_LENGTH]}...({len(text)})"


def with_article(name: str) -> str:
    """A type's name as a sentence needs it: `"an int"`, `"a str"`."""
    return f"{'an' if name[0] in 'aeiouAEIO' else 'a'} {name}"


E = TypeVar("E", bound="CacheException")


def without_frames(error: E) -> E:
    """The error without the frames that it came through, which are ours, to be raised again."""
    return error if FULL_TRACEBACKS else error.with_traceback(None)


class CacheException(Exception):  # noqa: N818 - the published name
    """The root of everything this library raises on purpose.

    Attributes:
        message: The sentence, without the context.
        operation: What was being done, if it is known.
        backend: The configured name of the backend, if there is one.
        backend_type: `"memory"`, `"file"`, `"redis"`, or a third party's word.
        key: The key concerned, verbatim, if there is one.
        code: The machine-readable kind of error.
        server_code: The word a server put before its error (`"READONLY"`), if one did.
        errno: The operating system's error number, if there is one.
        began: When the operation began, on the monotonic clock, if a store noted it.
        partial: What `get_many` could read, where `key` could not be: every other key that was
            asked for, with its value or the default; `None` for all other errors.
    """

    default_code: ClassVar[CacheErrorType] = CacheErrorType.UNKNOWN

    def __init__(
        self,
        message: str,
        *,
        key: object = None,
        operation: CacheOperation | None = None,
        backend: str | None = None,
        backend_type: str | None = None,
        code: CacheErrorType | None = None,
        server_code: str | None = None,
        errno: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.key = key
        self.operation = operation
        self.backend = backend
        self.backend_type = backend_type
        self.code = code or self.default_code
        self.server_code = server_code
        self.errno = errno
        self.began: float | None = None
        self.partial: dict[str, Any] | None = None

    def in_context(
        self,
        *,
        operation: CacheOperation | None = None,
        backend: str | None = None,
        backend_type: str | None = None,
        key: object = None,
    ) -> Self:
        """Fill in what is not known yet, and return the same error."""
        self.operation = self.operation or operation
        self.backend = self.backend or backend
        self.backend_type = self.backend_type or backend_type
        if self.key is None:
            self.key = key
        return self

    def to_dict(self) -> dict[str, str | int | None]:
        """The error as plain data for a log record; never a cached value, never a secret."""
        return {
            "error": type(self).__name__,
            "code": str(self.code),
            "message": self.message,
            "operation": None if self.operation is None else str(self.operation),
            "backend": self.backend,
            "backend_type": self.backend_type,
            "key": None if self.key is None else shown_key(self.key),
            "server_code": self.server_code,
            "errno": self.errno,
        }

    def __str__(self) -> str:
        context = [
            f"{name}={value}"
            for name, value in (
                ("operation", self.operation),
                ("backend", None if self.backend is None else repr(self.backend)),
                ("key", None if self.key is None else shown_key(self.key)),
            )
            if value is not None
        ]
        return f"{self.message} [{', '.join(context)}]" if context else self.message

    def __reduce__(self) -> tuple[object, ...]:
        # Where OSError is a parent, errno is kept by it and not in the dict.
        return (_rebuilt, (type(self), self.message, {**self.__dict__, "errno": self.errno}))


def _rebuilt(kind: type[CacheException], message: str, state: dict[str, object]) -> CacheException:
    """Undo `CacheException.__reduce__`, so that errors cross process boundaries whole."""
    error = kind(message)
    for name, value in state.items():
        setattr(error, name, value)
    return error


class CacheConfigurationError(CacheException, ValueError):
    """A setting is wrong, a backend is unknown or not installed."""

    default_code = CacheErrorType.CONFIGURATION


class CacheConfigurationTypeError(CacheConfigurationError, TypeError):
    """There is no setting of that name; also a `TypeError`, as any unknown keyword is."""


class CacheConnectionError(CacheException, ConnectionError):
    """The store cannot be reached, or went away; for a counter the outcome may be unknown."""

    default_code = CacheErrorType.CONNECTION


class CacheTimeoutError(CacheException, TimeoutError):
    """The operation did not end within its budget."""

    default_code = CacheErrorType.TIMEOUT


class CacheSerializationError(CacheException):
    """A value cannot be stored exactly, or stored bytes cannot be read as a value."""

    default_code = CacheErrorType.SERIALIZATION


class CacheKeyError(CacheException, ValueError):
    """A key is empty, too long, not encodable or not a `str`."""

    default_code = CacheErrorType.KEY


class CacheKeyTypeError(CacheKeyError, TypeError):
    """A key is not a `str`; also a `TypeError`, as any wrong argument type is."""


class CacheValueError(CacheException, ValueError):
    """A ttl, an amount or a stored number is out of range, or a value is too large."""

    default_code = CacheErrorType.VALUE


class CacheValueTypeError(CacheValueError, TypeError):
    """A ttl or an amount is of the wrong type; also a `TypeError`."""


class CacheBackendError(CacheException):
    """The store answered with an error; `errno` or `server_code` says which."""

    default_code = CacheErrorType.BACKEND


class CacheReentryError(CacheException, RuntimeError):
    """A factory asked for the very key that it is computing; it would have waited for itself."""

    default_code = CacheErrorType.REENTRY


class CacheClosedError(CacheException):
    """The backend or manager was closed; nothing is reopened silently."""

    default_code = CacheErrorType.CLOSED


UNREADABLE: Final = (CacheSerializationError, CacheValueError)
"""What reading raises where the store answered, but not with a value of this cache."""
