"""What tests of caches are made of: the contract suite, and a clock that tests move.

Whoever writes a backend subclasses `BackendContract` and runs pytest. `FakeClock` needs neither
pytest nor hypothesis: what does is imported when it is first named.
"""

import importlib
from typing import TYPE_CHECKING, Any

from jinpy_cache_testing.clock import FakeClock

if TYPE_CHECKING:
    from jinpy_cache_testing.contract import BackendContract, StatefulContract
    from jinpy_cache_testing.sync_view import Half, SyncView
    from jinpy_cache_testing.threads import bounded, restless, together

__all__ = [
    "BackendContract",
    "FakeClock",
    "Half",
    "StatefulContract",
    "SyncView",
    "bounded",
    "restless",
    "together",
]

_MODULES = {
    "BackendContract": "contract",
    "Half": "sync_view",
    "StatefulContract": "contract",
    "SyncView": "sync_view",
    "bounded": "threads",
    "restless": "threads",
    "together": "threads",
}

_ASSERTING = ("suite", "stateful", "threads")
"""What pytest explains failed assertions of."""


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("jinpy-cache-testing")
    if name not in _MODULES:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    import pytest

    pytest.register_assert_rewrite(*(f"{__name__}.{module}" for module in _ASSERTING))
    found = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = found
    return found
