"""A cache backend over a dict, as a third party would publish it: four primitives, synchronous."""

import threading
from collections.abc import Iterator
from typing import ClassVar, TypeVar

import attrs

from jinpy_cache_core import UNCHANGED, BaseBackend, BaseCacheBackendConfig, Decision, Record

T = TypeVar("T")


@attrs.frozen(kw_only=True)
class DictConfig(BaseCacheBackendConfig):
    backend_type: ClassVar[str] = "dict"


class DictBackend(BaseBackend):
    config_class = DictConfig

    def __init__(self, config: DictConfig | None = None, **dependencies: object) -> None:
        super().__init__(config, **dependencies)
        self._lock = threading.Lock()
        self._records: dict[str, Record] = {}

    def _read(self, key: str) -> Record | None:
        return self._records.get(key)

    def _update(self, key: str, decide: Decision[T]) -> T:
        with self._lock:
            change, result = decide(self._records.get(key), self._now())
            if change is None:
                self._records.pop(key, None)
            elif change is not UNCHANGED:
                self._records[key] = change
            return result

    def _scan(self, prefix: str) -> Iterator[str]:
        with self._lock:
            return iter([key for key in self._records if key.startswith(prefix)])

    def _clear(self) -> None:
        with self._lock:
            self._records.clear()
