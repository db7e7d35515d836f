"""What an operation answers when the server cannot be used: the error, or a miss.

Consulted only in the branch where an error was caught, so that neither policy costs the others.
"""

import logging
import threading
from typing import Protocol

from jinpy_cache_core import (
    CacheBackendError,
    CacheConnectionError,
    CacheException,
    CacheTimeoutError,
)

LOGGER = logging.getLogger("jinpy_cache.redis")

DEGRADABLE = (CacheConnectionError, CacheTimeoutError, CacheBackendError)
"""Errors of the server; those of the caller and of stored values are never hidden."""


class ErrorPolicy(Protocol):
    """Decides whether an operation may go on without the server."""

    degraded: int
    """How many operations went on without it."""

    def goes_without(self, error: CacheException) -> bool:
        """Whether the operation answers its substitute after this error."""
        raise NotImplementedError


class RaiseOnError:
    """`on_error="raise"`."""

    degraded = 0

    def goes_without(self, error: CacheException) -> bool:
        """See `ErrorPolicy`."""
        return False


class MissOnError:
    """`on_error="miss"`: reads are misses, writes do nothing; both are counted and logged."""

    def __init__(self) -> None:
        self.degraded = 0
        self._lock = threading.Lock()

    def goes_without(self, error: CacheException) -> bool:
        """See `ErrorPolicy`."""
        if not isinstance(error, DEGRADABLE):
            return False
        with self._lock:
            self.degraded += 1
        LOGGER.warning("The cache went without Redis: %s", error)
        return True
