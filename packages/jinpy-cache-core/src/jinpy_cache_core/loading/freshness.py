"""When a value that is still fresh should be computed anew: pure functions, chance injected.

Two rules, either of which is enough:

* `refresh_ahead`: a fixed fraction of the value's ttl is over.
* XFetch: the later and the costlier to compute, the likelier. Each reader draws
  `cost * beta * -ln(chance)` seconds and renews if the value becomes stale within them, which makes
  the expected number of early computations small and independent of the number of readers
  (Vattani, Chierichetti, Lowenstein: "Optimal Probabilistic Cache Stampede Prevention", VLDB 2015).
"""

import math
from collections.abc import Callable

from jinpy_cache_core.entries.state import CachedValue
from jinpy_cache_core.loading.options import Policy

Chance = Callable[[], float]
"""Returns a number from 0 up to, but not including, 1."""


def is_due(cached: CachedValue, now: float, policy: Policy, chance: Chance) -> bool:
    """Whether a fresh value should be computed anew by now.

    Args:
        cached: The value, with its start time and cost.
        now: The time, on the backend's clock.
        policy: Says how early.
        chance: Drawn from only if `beta` is above 0.
    """
    if cached.soft_deadline == math.inf or cached.start is None or cached.cost is None:
        return False
    return _is_ahead(cached, cached.start + cached.cost, now, policy.refresh_ahead) or (
        policy.beta > 0 and now + early_by(cached.cost, policy.beta, chance) >= cached.soft_deadline
    )


def _is_ahead(cached: CachedValue, created: float, now: float, fraction: float) -> bool:
    return fraction < 1 and now >= created + fraction * (cached.soft_deadline - created)


def early_by(cost: float, beta: float, chance: Chance) -> float:
    """Seconds before a value's soft deadline from which one reader would renew it: XFetch.

    Args:
        cost: Seconds that computing it took.
        beta: How eager.
        chance: A number from 0 up to 1; its complement is drawn from, as there is no log of 0.
    """
    return cost * beta * -math.log(1.0 - chance())


def shortened(seconds: float, jitter: float, chance: Chance) -> float:
    """A ttl, shortened by up to a fraction of it, by chance."""
    if jitter == 0 or seconds == math.inf:
        return seconds
    return seconds * (1.0 - jitter * chance())
