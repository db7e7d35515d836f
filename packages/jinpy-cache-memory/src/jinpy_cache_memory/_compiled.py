"""Whether the engine runs compiled."""

from typing import Final

from jinpy_cache_memory import engine

compiled: Final = not engine.__file__.endswith(".py")
"""True if the engine is machine code, from a wheel built with mypyc; the behaviour is the same."""
