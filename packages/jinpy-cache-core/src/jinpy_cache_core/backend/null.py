"""A cache that keeps nothing: every read is a miss, every function is computed."""

from collections.abc import Iterator
from typing import ClassVar, TypeVar

import attrs

from jinpy_cache_core.backend.base import BaseBackend
from jinpy_cache_core.config import BaseCacheBackendConfig
from jinpy_cache_core.entries.records import Decision, Record

T = TypeVar("T")


@attrs.frozen(kw_only=True)
class NullCacheConfig(BaseCacheBackendConfig):
    """The settings of a cache that keeps nothing; those of others are taken and have no effect."""

    backend_type: ClassVar[str] = "null"


class NullCacheBackend(BaseBackend):
    """Keeps nothing, and refuses what every cache refuses: keys, lifetimes, unstorable values.

    What was never stored is absent for each operation: `add` stores, and the next `add` too;
    `incr` counts from nothing each time.
    """

    config_class = NullCacheConfig

    def _read(self, key: str) -> Record | None:
        return None

    def _update(self, key: str, decide: Decision[T]) -> T:
        _change, result = decide(None, self._now())
        return result

    def _scan(self, prefix: str) -> Iterator[str]:
        return iter(())

    def _clear(self) -> None:
        """Nothing is there."""

    def _release(self) -> None:
        """Nothing is held."""
