"""A clock that stands still until it is told otherwise."""

EPOCH = 1_000_000.0
"""Where a fake clock starts, in seconds: late enough for every offset, early enough that a float
still tells nanoseconds apart."""


class FakeClock:
    """The present in seconds, as the test says it is.

    Args:
        now: Where it starts.
    """

    def __init__(self, now: float = EPOCH) -> None:
        self.now = now

    def __call__(self) -> float:
        """Tell the present."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Move on, or back when `seconds` is negative."""
        self.now += seconds

    def __repr__(self) -> str:
        return f"<FakeClock {self.now!r}>"
