"""What the memory backend's tests share: a clock that stands still and backends that get closed."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from jinpy_cache_memory import MemoryCacheBackend, MemoryCacheConfig
from jinpy_cache_testing import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    """The present, which moves only when told to."""
    return FakeClock()


@pytest.fixture
def make(clock: FakeClock) -> Iterator[Callable[..., MemoryCacheBackend]]:
    """Build a backend with these settings; it is closed after the test."""
    made: list[MemoryCacheBackend] = []

    def make(**settings: Any) -> MemoryCacheBackend:
        made.append(MemoryCacheBackend(MemoryCacheConfig(**settings), clock=clock))
        return made[-1]

    yield make
    for backend in made:
        backend.close()


@pytest.fixture
def backend(make: Callable[..., MemoryCacheBackend]) -> MemoryCacheBackend:
    """A backend with the settings that a user gets who gives none."""
    return make()
