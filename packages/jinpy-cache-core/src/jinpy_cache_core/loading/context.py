"""What a factory may know and say about the value that it computes."""

from collections.abc import Callable
from typing import Any

from jinpy_cache_core.entries.ttl import TTL, ttl_seconds
from jinpy_cache_core.exceptions import CacheValueError
from jinpy_cache_core.loading.flights import current_flights
from jinpy_cache_core.sentinels import MISSING


class FactoryContext:
    """Handed to a factory that has a required parameter; others find it by `factory_context()`.

    Args:
        key: What is computed.
        seconds: The ttl that the value will have.
        stale: Reads the stale value.

    Attributes:
        key: What is computed.
        skipped: Whether the value will not be stored.
        unmodified: Whether the stale value will be stored again.
    """

    def __init__(self, key: str, seconds: float, stale: Callable[[], Any]) -> None:
        self.key = key
        self.skipped = False
        self.unmodified = False
        self._seconds = seconds
        self._stale = stale

    @property
    def ttl(self) -> float:
        """Seconds that the value will be fresh; assign any ttl to change it for this value."""
        return self._seconds

    @ttl.setter
    def ttl(self, ttl: TTL) -> None:
        self._seconds = ttl_seconds(ttl, self._seconds)

    @property
    def stale(self) -> Any:
        """The value that is being replaced, or `MISSING`."""
        return self._stale()

    def not_modified(self) -> Any:
        """Keep the value that is being replaced, for another ttl: `return ctx.not_modified()`.

        Raises:
            CacheValueError: There is none; look at `stale` first.
        """
        value = self.stale
        if value is MISSING:
            message = (
                f"There is no older value of {self.key!r} to keep: not_modified() is for when "
                "`stale` is not MISSING."
            )
            raise CacheValueError(message, key=self.key)
        self.unmodified = True
        return value

    def skip(self) -> None:
        """Return the value to those who wait for it, but do not store it."""
        self.skipped = True

    def __repr__(self) -> str:
        return f"<FactoryContext {self.key!r} ttl={self._seconds}>"


def factory_context() -> FactoryContext | None:
    """The context of the innermost computation that the running code is part of."""
    chain = current_flights.get()
    return chain[-1][2] if chain else None
