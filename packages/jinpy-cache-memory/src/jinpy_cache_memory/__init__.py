"""The in-process backend of jinpy-cache: bounded, with expiry, thread-safe, fast."""

from typing import Any

from jinpy_cache_memory._compiled import compiled
from jinpy_cache_memory.backend import MemoryCacheBackend
from jinpy_cache_memory.config import MemoryCacheConfig
from jinpy_cache_memory.listeners import EvictionCause, EvictionListener, Weigher

__all__ = [
    "EvictionCause",
    "EvictionListener",
    "MemoryCacheBackend",
    "MemoryCacheConfig",
    "Weigher",
    "compiled",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415 - only when it is asked for

        return version("jinpy-cache-memory")
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
