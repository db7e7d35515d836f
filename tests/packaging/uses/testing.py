"""The test kit alone: its clock needs no test tools, and its suite is there."""

import sys

from jinpy_cache_testing import FakeClock

assert not {"pytest", "hypothesis"} & set(sys.modules)
clock = FakeClock(10.0)
clock.advance(5)
assert clock() == 15.0

from jinpy_cache_testing import BackendContract  # noqa: E402

assert {"pytest", "hypothesis"} <= set(sys.modules)
assert any(name.startswith("test_") for name in dir(BackendContract))
print("testing works")
