"""The contract suite: whoever writes a backend subclasses `BackendContract` and runs pytest.

Needs pytest and hypothesis: `pip install 'jinpy-cache-core[testing]'`.
"""

try:
    import hypothesis as _hypothesis
    import pytest as _pytest
except ImportError as error:
    message = (
        f"jinpy_cache_core.testing needs {error.name}: pip install 'jinpy-cache-core[testing]'"
    )
    raise ImportError(message, name=error.name) from error

del _hypothesis
_pytest.register_assert_rewrite(
    "jinpy_cache_core.testing.rows",
    "jinpy_cache_core.testing.stateful",
    "jinpy_cache_core.testing.threads",
)

from jinpy_cache_core.testing.clock import FakeClock  # noqa: E402
from jinpy_cache_core.testing.contract import BackendContract, LockstepContract  # noqa: E402
from jinpy_cache_core.testing.halves import Awaited, Half  # noqa: E402
from jinpy_cache_core.testing.threads import bounded, restless, together  # noqa: E402

__all__ = [
    "Awaited",
    "BackendContract",
    "FakeClock",
    "Half",
    "LockstepContract",
    "bounded",
    "restless",
    "together",
]
