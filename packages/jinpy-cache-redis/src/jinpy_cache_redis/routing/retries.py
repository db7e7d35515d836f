"""When a request is tried again: a decision without clock, sleep or socket."""

import random
from collections.abc import Callable

import attrs

from jinpy_cache_redis.protocol.failures import UNKNOWN_OUTCOME, Failure, Lost, ServerError
from jinpy_cache_redis.protocol.requests import Request

_DOUBLINGS = 60
"""How often a pause is doubled at most; by then any limit is reached."""


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """How often and how fast to try again.

    Attributes:
        retries: Attempts after the first one.
        backoff: Seconds before the second retry at most; doubled for each further one.
        longest: Seconds of waiting between two attempts at most.
        chance: Returns a number from 0 to 1: waiting is spread, so that many clients of a server
            that comes back do not all come at once.
    """

    retries: int
    backoff: float
    longest: float
    chance: Callable[[], float] = attrs.field(default=random.random, repr=False)

    def delay(self, failure: Failure, request: Request, failures: int) -> float | None:
        """How long to wait before the next attempt.

        A request that is not repeatable is sent again only if the server cannot have executed it.

        Args:
            failure: What just happened.
            request: What was asked.
            failures: How many attempts have failed, this one included.

        Returns:
            Seconds, or `None` to give up.
        """
        if failure.final or failures > self.retries:
            return None
        if isinstance(failure, ServerError) and not failure.passing:
            return None
        if failure.executed and not request.repeatable:
            return None
        if failures == 1 and isinstance(failure, Lost):
            return 0.0  # an idle connection that the server had closed: a fresh one will do
        if request.once:
            return None
        limit = min(self.longest, self.backoff * 2.0 ** min(failures - 1, _DOUBLINGS))
        return limit * (0.5 + 0.5 * self.chance())


def explained(failure: Failure, request: Request, failures: int) -> str:
    """The last failure's reason, with what was done about it."""
    if failure.executed and not request.repeatable:
        return f"{failure.reason} {UNKNOWN_OUTCOME}"
    return f"{failure.reason} ({failures} attempts)" if failures > 1 else failure.reason
