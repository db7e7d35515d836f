"""`Call`: what one public call may still ask of its store, and how long it has waited."""

import math

from jinpy_cache_core.loading.options import Policy


class Call:
    """The state of one call, carried through its plan.

    Args:
        policy: How to go about it.
        left: Seconds that the store may take of this call, all steps together.
        degraded: Whether its first step failed already.

    Attributes:
        insists: Whether a failure of the store is raised.
        left: Seconds that the store may still take.
        degraded: Whether a step has failed: then the store is not asked again.
        began: When it began at the latest, on the monotonic clock: computations that began later
            know of everything that it knows of. `math.inf` if that is not known.
        waited: Seconds that the caller has waited for factories, which is what timeouts bound.
    """

    __slots__ = ("began", "degraded", "insists", "left", "waited")

    def __init__(self, policy: Policy, left: float = math.inf, *, degraded: bool = False) -> None:
        self.insists = policy.on_error == "raise"
        self.left = left
        self.degraded = degraded
        self.began = math.inf
        self.waited = 0.0
