"""One cache API, sync and async, over memory, disk and Redis: see `jinpy_utils.cache`."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinpy_utils import cache

__all__ = ["cache"]


def __getattr__(name: str) -> Any:
    if name == "cache":
        return import_module("jinpy_utils.cache")
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415 - only who asks pays for it

        return version("jinpy-utils")
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
