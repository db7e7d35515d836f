"""The pools of a driver, one for each server that it has met; the same for both kinds of driver."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from jinpy_cache_redis.connections.managed import ManagedPool
from jinpy_cache_redis.protocol.failures import Failure, ServerError
from jinpy_cache_redis.protocol.nodes import Node
from jinpy_cache_redis.protocol.requests import Request
from jinpy_cache_redis.routing.router import Router, points_elsewhere

K = TypeVar("K", bound=ManagedPool)

FOREVER = float("inf")
"""No limit but that of the operation."""

ON_THE_WAY = frozenset({"MOVED", "ASK", "TRYAGAIN"})
"""What a node of a cluster answers while a slot is being moved."""

MakePool = Callable[[Node, bool], K]
"""Makes the pool for a server; the flag tells that it is one that guides, a sentinel."""


class Pulse:
    """Which operation a server has answered last: all that a hit notes.

    Args:
        budget: Seconds that an operation may take.

    Attributes:
        beat: Until when that operation might have taken, on the monotonic clock.
    """

    __slots__ = ("_budget", "_seen", "beat")

    def __init__(self, budget: float = 0.0) -> None:
        self.beat = self._seen = 0.0
        self._budget = budget

    def take(self) -> bool:
        """Whether there was an answer since this was last asked."""
        beat = self.beat
        new, self._seen = beat != self._seen, beat
        return new

    def since(self, began: float) -> bool:
        """Whether an operation that began after this was answered."""
        return self.beat - self._budget >= began


class PoolRegistry(Generic[K]):
    """Knows the pools.

    Args:
        router: Decides what happens when the first attempt fails.
        make_pool: Makes the pool for a server that is met for the first time.
        pulse: Is told of every answer.
    """

    def __init__(self, router: Router, make_pool: MakePool[K], pulse: Pulse | None = None) -> None:
        self._pulse = Pulse() if pulse is None else pulse
        self._router = router
        self._topology = router.topology
        self._monotonic = router.timing.monotonic
        self._budget = router.timing.operation_timeout
        self._make_pool = make_pool
        self._pools: dict[Node, K] = {}
        self._guides: dict[Node, K] = {}
        self._lock = threading.Lock()
        self._closed = False

    def _pool(self, node: Node, *, guide: bool = False) -> K:
        """The pool for a server, made if it is met for the first time."""
        pools = self._guides if guide else self._pools
        with self._lock:
            pool = pools.get(node)
            if pool is None:
                pool = pools[node] = self._make_pool(node, guide)
                if self._closed:
                    pool.close()
            return pool

    def _distrust(self, node: Node, failure: Failure) -> None:
        """Close what is idle when the server went away or gave up its role."""
        failure.node = node
        if failure.executed or (isinstance(failure, ServerError) and failure.distrusts):
            self._pools[node].drop_idle()

    def _pointed_to(self, node: Node, failure: Failure, request: Request) -> Node | None:
        """Take note of a failure of a held link; the node that serves the key for this once.

        Raises:
            CacheException: It means something for which there is no help.
        """
        if not points_elsewhere(failure):
            return None
        try:
            return self._topology.learn(node, failure, request.key)
        except Failure as meant:
            raise meant.told() from meant

    def _undone(self, node: Node, error: ServerError, finish: Request) -> list[None]:
        """What a plan is told of a transaction that was refused.

        One that the server did not take because the slot was on its way is as one whose key was
        changed by somebody else: nothing was done, and the plan looks again.

        Raises:
            CacheException: It was refused for another reason.
        """
        if finish.replies > 1 and self._topology.sharded and error.code in ON_THE_WAY:
            self._pointed_to(node, error, finish)
            return [None]
        raise error.told() from error

    def _every_pool(self) -> list[K]:
        return [*self._pools.values(), *self._guides.values()]

    def close(self) -> None:
        """Close every connection that is idle, and the others when they are given back."""
        with self._lock:
            self._closed = True
            pools = self._every_pool()
        for pool in pools:
            pool.close()

    def forsake(self) -> None:
        """Close every connection, idle or not: the event loop that used them is closed."""
        self.close()
        for pool in self._every_pool():
            pool.forsake()

    def abandon(self) -> None:
        """Let go of every connection in a forked child."""
        for pool in self._every_pool():
            pool.abandon()
