"""The one edge of every operation: what escapes it is a `CacheException` that knows its place."""

import functools
from abc import ABCMeta
from collections.abc import Callable
from typing import Concatenate, NoReturn, ParamSpec, Self, TypeVar

from jinpy_cache_core.config import BaseCacheBackendConfig
from jinpy_cache_core.enums import CacheOperation
from jinpy_cache_core.exceptions import (
    CacheBackendError,
    CacheClosedError,
    CacheConnectionError,
    CacheException,
    CacheTimeoutError,
)

P = ParamSpec("P")
R = TypeVar("R", bound="Reporting")
T = TypeVar("T")


def reporting(
    operation: CacheOperation,
) -> Callable[[Callable[Concatenate[R, P], T]], Callable[Concatenate[R, P], T]]:
    """The one edge of an operation: what escapes it is a `CacheException` that knows its place.

    Args:
        operation: What the decorated method does; plain methods only, not coroutines.
    """

    def decorate(method: Callable[Concatenate[R, P], T]) -> Callable[Concatenate[R, P], T]:
        @functools.wraps(method)
        def edge(self: R, /, *args: P.args, **kwargs: P.kwargs) -> T:
            try:
                return method(self, *args, **kwargs)
            except Exception as error:
                if isinstance(error, TypeError) and _is_of_the_call(error):
                    raise
                key = args[0] if args and isinstance(args[0], str) else kwargs.get("key")
                self._raise_mapped(error, operation, key)

        return edge

    return decorate


class Reporting(metaclass=ABCMeta):
    """A cache as errors know it: its name, its kind, whether it is closed."""

    _config: BaseCacheBackendConfig
    _closed: bool

    @property
    def name(self) -> str:
        """The configured name."""
        return self._config.name

    @property
    def backend_type(self) -> str:
        """The kind of store: `"memory"`, `"file"`, `"redis"`, or a third party's word."""
        return self._config.backend_type

    @property
    def config(self) -> BaseCacheBackendConfig:
        """The settings this backend was built from."""
        return self._config

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def _opened(self) -> Self:
        """Return the backend itself, unless it is closed."""
        if self._closed:
            raise self._closed_error()
        return self

    def _closed_error(self) -> CacheClosedError:
        message = f"The cache {self.name!r} is closed. Create a new one, or close it later."
        return CacheClosedError(message, backend=self.name, backend_type=self.backend_type)

    def _mapped(self, error: Exception) -> CacheException:
        """Map a foreign exception of the store to ours; the given one becomes its cause."""
        reason = f"The {self.backend_type} store failed: {type(error).__name__}: {error}"
        if isinstance(error, TimeoutError):
            return CacheTimeoutError(reason, errno=error.errno)
        if isinstance(error, ConnectionError):
            return CacheConnectionError(reason, errno=error.errno)
        return CacheBackendError(reason, errno=getattr(error, "errno", None))

    def _raise_mapped(self, error: Exception, operation: CacheOperation, key: object) -> NoReturn:
        """Raise what escaped an operation, in its context; call it in an `except` clause."""
        if isinstance(error, CacheException):
            raise self._placed(error, operation, key)
        if isinstance(error, MemoryError):
            raise error
        if self._closed:  # the store was released while it was being used
            raise self._placed(self._closed_error(), operation, key) from error
        raise self._placed(self._mapped(error), operation, key) from error

    def _placed(
        self, error: CacheException, operation: CacheOperation, key: object
    ) -> CacheException:
        return error.in_context(
            operation=operation, backend=self.name, backend_type=self.backend_type, key=key
        )


def _is_of_the_call(error: TypeError) -> bool:
    """Whether the arguments did not fit the method, so that it never began."""
    trace = error.__traceback__
    return trace is not None and trace.tb_next is None
