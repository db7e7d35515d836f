"""How long things may take, and the clock that tells."""

from collections.abc import Callable
from math import inf
from time import monotonic

import attrs

SHORTEST = 0.001
"""Seconds that an attempt gets at least, so that a budget spent to the end is not a timeout of
zero, which would mean something else to a socket."""


@attrs.frozen(kw_only=True)
class Timing:
    """The time limits of an operation, in seconds.

    Attributes:
        connect_timeout: For making a connection.
        command_timeout: For one attempt, from sending the request to reading its last reply.
        pool_timeout: For waiting until a connection is free.
        operation_timeout: For all of it, retries and waiting included.
        check_after: After how long without use a connection is asked whether it still stands.
        monotonic: Tells the time.
    """

    connect_timeout: float
    command_timeout: float
    pool_timeout: float
    operation_timeout: float
    check_after: float = inf
    monotonic: Callable[[], float] = monotonic

    def connecting(self, until: float) -> float:
        """The timeout for a connection that must stand by a deadline."""
        return max(SHORTEST, min(self.connect_timeout, until - self.monotonic()))

    def attempting(self, until: float) -> float:
        """The timeout for one attempt of an operation that must end by a deadline."""
        return max(SHORTEST, min(self.command_timeout, until - self.monotonic()))
