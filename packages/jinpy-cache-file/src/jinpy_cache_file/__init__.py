"""The file backend of jinpy-cache: a directory on disk, shared by processes, on LMDB."""

from jinpy_cache_file.backend import FileCacheBackend
from jinpy_cache_file.config import FileCacheConfig
from jinpy_cache_file.fsck import CheckReport
from jinpy_cache_file.maintenance import Counters

__all__ = ["CheckReport", "Counters", "FileCacheBackend", "FileCacheConfig"]


def __getattr__(name: str) -> str:
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415 - only who asks pays for it

        return version("jinpy-cache-file")
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
