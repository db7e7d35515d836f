"""The typed sentinel for a miss: `None` is a legal cached value."""

from enum import Enum
from typing import Final, Literal


class Missing(Enum):
    """The type of `MISSING`; an enum so that type checkers narrow on `is MISSING`."""

    MISSING = "missing"

    def __bool__(self) -> Literal[False]:
        return False

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = Missing.MISSING
"""What a read returns for a miss when it is passed as the default: falsy, and never a value."""
