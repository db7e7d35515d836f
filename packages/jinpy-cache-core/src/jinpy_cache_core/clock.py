"""The clocks that backends read: injected, so that no test waits."""

import time
from collections.abc import Callable
from typing import TypeAlias

Clock: TypeAlias = Callable[[], float]
"""Returns the present in seconds; its origin is the clock's own affair."""

MONOTONIC: Clock = time.monotonic
"""Never jumps, but means nothing in another process: for entries that die with this one."""

WALL: Clock = time.time
"""Unix time: for entries that other processes and later ones read."""
