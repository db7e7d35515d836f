"""A third party's backend, registered under `"shelf"`, and a clean process-wide manager."""

import contextlib
import threading
from collections.abc import Iterator
from typing import Any, ClassVar

import attrs
import pytest

from jinpy_cache_core import (
    UNCHANGED,
    BaseBackend,
    BaseCacheBackendConfig,
    Record,
    Secret,
    register_backend,
    unregister_backend,
)
from jinpy_cache_core.configuration.manager import declared
from jinpy_cache_core.manager import manager
from jinpy_cache_core.settings.validation import switch, to_secret, whole_number


@attrs.frozen(kw_only=True)
class ShelfConfig(BaseCacheBackendConfig):
    """The settings of `ShelfBackend`, of every kind that a configuration can hold."""

    backend_type: ClassVar[str] = "shelf"

    size: int = attrs.field(default=10, validator=whole_number())
    ratio: float = 0.5
    locked: bool = attrs.field(default=False, validator=switch)
    password: Secret | None = attrs.field(default=None, converter=to_secret)
    broken: bool = False
    stuck: bool = False


class ShelfBackend(BaseBackend):
    """A dict with a lock; `broken` ones cannot be made, `stuck` ones cannot be closed."""

    config_class = ShelfConfig
    made: ClassVar[list["ShelfBackend"]] = []

    def __init__(self, config: Any = None, **dependencies: Any) -> None:
        super().__init__(config, **dependencies)
        if self.config.broken:
            message = "no shelf"
            raise RuntimeError(message)
        self.lock = threading.Lock()
        self.records: dict[str, Record] = {}
        self.made.append(self)

    def _read(self, key: str) -> Record | None:
        return self.records.get(key)

    def _update(self, key: str, decide: Any) -> Any:
        with self.lock:
            change, result = decide(self.records.get(key), self._now())
            if change is None:
                self.records.pop(key, None)
            elif change is not UNCHANGED:
                self.records[key] = change
            return result

    def _scan(self, prefix: str) -> Iterator[str]:
        return iter([key for key in list(self.records) if key.startswith(prefix)])

    def _clear(self) -> None:
        with self.lock:
            self.records.clear()

    def _release(self) -> None:
        if self.config.stuck:
            message = f"{self.name} is stuck"
            raise OSError(message)


@pytest.fixture(autouse=True)
def shelf(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[ShelfBackend]]:
    """The backend class, registered; each test has a process-wide manager of its own."""
    register_backend("shelf", ShelfBackend)
    ShelfBackend.made.clear()
    monkeypatch.setattr(manager, "_process_wide", None)
    declared.set(None)
    yield ShelfBackend
    for backend in ShelfBackend.made:
        with contextlib.suppress(OSError):
            backend.close()
    declared.set(None)
    unregister_backend("shelf")


@pytest.fixture
def shelf_config() -> type[ShelfConfig]:
    """The configuration class of the backend."""
    return ShelfConfig
