"""The memory backend keeps the contract of every backend, with each of its serializers."""

from typing import Any

from jinpy_cache_memory import MemoryCacheBackend, MemoryCacheConfig
from jinpy_cache_testing import BackendContract, FakeClock


class TestMemoryContract(BackendContract):
    """The contract, in this process."""

    serializers = ("native", None, "msgpack", "json", "pickle", "str", "bytes")

    def make_backend(self, clock: FakeClock, **settings: Any) -> MemoryCacheBackend:
        """Build one that lives in this process alone."""
        return MemoryCacheBackend(MemoryCacheConfig(**settings), clock=clock)
