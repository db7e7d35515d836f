"""What an operation answers when the server cannot be used: the error, or a miss.

Consulted only in the branch where an error was caught, so that neither policy costs the others.
"""

import logging
import threading
from typing import Any, Protocol, TypeVar

from jinpy_cache_core import (
    CacheBackendError,
    CacheConnectionError,
    CacheException,
    CacheTimeoutError,
)

T = TypeVar("T")

LOGGER = logging.getLogger("jinpy_cache_redis")

DEGRADABLE = (CacheConnectionError, CacheTimeoutError, CacheBackendError)
"""Errors of the server; those of the caller and of stored values are never hidden."""

REFUSES: Any = object()
"""Stands for the answer of an operation that has none to give but the error."""


class ErrorPolicy(Protocol):
    """Decides between an error and a substitute."""

    degraded: int
    """How many operations were answered by a substitute."""

    def answer(self, error: CacheException, substitute: T) -> T:
        """The substitute, or the error, raised."""
        raise NotImplementedError


class Raising:
    """`on_error="raise"`."""

    degraded = 0

    def answer(self, error: CacheException, substitute: T) -> T:
        """See `ErrorPolicy`."""
        raise error


class Missing:
    """`on_error="miss"`: reads are misses, writes do nothing; both are counted and logged."""

    def __init__(self) -> None:
        self.degraded = 0
        self._lock = threading.Lock()

    def answer(self, error: CacheException, substitute: T) -> T:
        """See `ErrorPolicy`."""
        if substitute is REFUSES or not isinstance(error, DEGRADABLE):
            raise error
        with self._lock:
            self.degraded += 1
        LOGGER.warning("The cache went without Redis: %s", error)
        return substitute
