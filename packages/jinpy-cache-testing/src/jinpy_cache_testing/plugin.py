"""What pytest finds where this distribution is installed: fixtures for tests of applications."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from jinpy_cache_core import CacheManager


@pytest.fixture
def isolated_caches() -> "Iterator[CacheManager]":
    """Fresh process-wide caches in memory for one test; see `jinpy_cache_core.isolated_caches`."""
    from jinpy_cache_core import isolated_caches

    with isolated_caches() as manager:
        yield manager
