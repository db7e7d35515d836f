"""The synchronous driver: runs plans over pools of blocking links, from any thread."""

import threading
import time
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from jinpy_cache_core import CacheException
from jinpy_cache_redis.connections.pool import Pool
from jinpy_cache_redis.drivers.pool_registry import FOREVER, MakePool, PoolRegistry, Pulse
from jinpy_cache_redis.protocol.failures import Failure, ServerError
from jinpy_cache_redis.protocol.nodes import Node
from jinpy_cache_redis.protocol.requests import Hold, Plan, Request, Servers, Several, Step
from jinpy_cache_redis.routing.retries import explained
from jinpy_cache_redis.routing.router import (
    MOST_REDIRECTS,
    Route,
    Router,
    answered,
    asking,
    checked,
    finishing,
    grouped,
    healing,
    joined,
    located,
    parted,
    to_redo,
    undecided,
    unserved,
)
from jinpy_cache_redis.routing.topology import Discover, Effect, Exchange, untold

T = TypeVar("T")


class RunsPlans(Protocol):
    """A driver, or what stands in its place before the first use."""

    def run(self, plan: Plan[T], within: float = FOREVER) -> T:
        """Run a plan to its end and return its result, within so many seconds."""
        ...


class FirstUse:
    """Stands in the place of a driver that is not made yet, so that no call asks whether it is.

    Args:
        make: Makes the driver and puts it here, or raises.
    """

    def __init__(self, make: "Callable[[], Driver]") -> None:
        self._make = make

    def run(self, plan: Plan[T], within: float = FOREVER) -> T:
        """Have the driver made, and run the plan on it."""
        return self._make().run(plan, within)


class Driver(PoolRegistry[Pool]):
    """Runs plans, one step after the other.

    Args:
        router: Decides what happens when the first attempt fails.
        make_pool: Makes the pool for a server that is met for the first time.
        sleep: Waits between attempts.
        pulse: Is told of every answer.
    """

    def __init__(
        self,
        router: Router,
        make_pool: MakePool[Pool],
        sleep: Callable[[float], None] = time.sleep,
        pulse: Pulse | None = None,
    ) -> None:
        super().__init__(router, make_pool, pulse)
        self._sleep = sleep
        self._finding: dict[str, _Finding] = {}

    def run(self, plan: Plan[T], within: float = FOREVER) -> T:
        """Run a plan to its end and return its result.

        Args:
            plan: What to do.
            within: Seconds that it may take, if that is less than what any operation may.

        Raises:
            CacheException: A request failed for good.
        """
        began = self._monotonic()
        until = began + min(within, self._budget)
        try:
            step = next(plan)
            while True:
                try:
                    if type(step) is Request:
                        if step.renewed:
                            until = self._monotonic() + self._budget
                        answer = self._perform(step, until)
                    elif isinstance(step, Hold):
                        answer = self._transact(plan, step, until)
                    else:
                        answer = self._answer(step, until)
                except CacheException as error:
                    step = plan.throw(error)
                else:
                    step = plan.send(answer)
        except StopIteration as stop:
            result: T = stop.value
            return result
        except CacheException as error:
            error.began = began
            raise

    def _answer(self, step: Step, until: float) -> Any:
        if isinstance(step, Several):
            return self._several(step.requests, until)
        if isinstance(step, Servers):
            return self._follow(self._router.servers(until, fresh=step.fresh))
        message = f"No driver can take the step {step!r} here."
        raise TypeError(message)

    def _perform(self, request: Request, until: float) -> Any:
        """Send a request: straight to the server that is known, by the router when that fails."""
        node = request.node or self._topology.node_for(request.key)
        failure: Failure | None = None
        if node is not None:
            try:
                pool = self._pools.get(node) or self._pool(node)
                reply = checked(pool.exchange(request, until), request)
                self._pulse.beat = until
                return reply
            except Failure as raised:
                self._distrust(node, raised)
                failure = raised
        return self._follow(self._router.send(request, until, failure, node))

    def _several(self, requests: list[Request], until: float) -> list[Any]:
        """Send requests of any keys: one round trip to each server, then what has to be redone."""
        groups = grouped(requests, self._topology)
        if None in groups:
            self._follow(self._router.servers(until))
            groups = grouped(requests, self._topology)
        answers: list[Any] = [None] * len(requests)
        for node, positions in groups.items():
            came = self._shared_trip(node, joined(requests, positions), until)
            for position, answer in zip(positions, parted(came, requests, positions), strict=True):
                answers[position] = answer
        for position in to_redo(answers):
            failure = answers[position]
            route = self._router.send(requests[position], until, failure, failure.node)
            answers[position] = self._follow(route)
        return answers

    def _shared_trip(
        self, node: Node | None, request: Request, until: float
    ) -> list[Any] | Failure:
        """The replies of one server to a joined request, or the failure that they all share."""
        if node is None:
            return unserved()
        try:
            pool = self._pools.get(node) or self._pool(node)
            answer: Any = pool.exchange(request, until)
        except Failure as failure:
            self._distrust(node, failure)
            return failure
        self._pulse.beat = until
        return located([answer] if request.replies == 1 else answer, node)

    def _transact(self, plan: Plan[Any], hold: Hold, until: float) -> Any:
        """Ask, let the plan decide, and finish, all on one link that nobody else uses meanwhile."""
        pool, link, replies, ask = self._held(hold.request, until)
        clean = False
        try:
            finish = finishing(plan.send(replies))
            try:
                asked = asking(finish) if ask else finish
                answer = link.ask(asked, until, hurried=True)
            except Failure as failure:
                raise failure.told(explained(failure, finish, 1)) from failure
            clean = True
            self._pulse.beat = until
        finally:
            if clean:
                pool.give_back(link)
            else:
                pool.discard(link)
        try:
            return checked(answered(answer, finish) if ask else answer, finish)
        except ServerError as error:
            return self._undone(link.node, error, finish)

    def _held(self, request: Request, until: float) -> tuple[Pool, Any, Any, bool]:
        """Ask over a link that stays ours; heal by the router when that fails.

        Returns:
            The pool, the link, the replies, and whether what follows must be announced.
        """
        asked: Node | None = None
        for _ in range(MOST_REDIRECTS):
            node = asked or self._topology.node_for(request.key)
            failure: Failure | None = None
            if node is not None:
                pool = self._pools.get(node) or self._pool(node)
                link: Any = None
                try:
                    link = pool.take(until)
                    if asked is None:
                        replies = link.ask(request, until, hurried=True)
                    else:
                        replies = answered(link.ask(asking(request), until, hurried=True), request)
                    return pool, link, checked(replies, request), asked is not None
                except Failure as raised:
                    self._distrust(node, raised)
                    failure = raised
                    if link is not None:
                        pool.discard(link)
                except BaseException:
                    if link is not None:
                        pool.discard(link)
                    raise
                asked = self._pointed_to(node, failure, request)
                if asked is not None:
                    continue
            self._follow(self._router.send(healing(request), until, failure, node))
        raise undecided(asked).told()

    def _follow(self, route: Route) -> Any:
        """Run a generator of effects to its end."""
        try:
            effect = next(route)
            while True:
                try:
                    answer = self._apply(effect)
                except Failure as failure:
                    effect = route.throw(failure)
                else:
                    effect = route.send(answer)
        except StopIteration as stop:
            return stop.value

    def _apply(self, effect: Effect) -> Any:
        if isinstance(effect, Discover):
            return self._discover(effect.until)
        if not isinstance(effect, Exchange):
            return self._sleep(effect.seconds)
        node = effect.node
        pool = self._pool(node, guide=effect.guide)
        try:
            return pool.exchange(effect.request, effect.until, hurried=True)
        except Failure as failure:
            if failure.executed:
                pool.drop_idle()
            raise

    def _discover(self, until: float) -> None:
        """Find out about servers; one thread asks for all that want to know meanwhile."""
        mine = _Finding()
        try:
            finding = self._finding.setdefault(_ALL, mine)  # inside, should an interrupt come now
            if finding is mine:
                self._follow(self._topology.discover(until))
                return
        except Failure as failure:
            mine.failure = failure
            raise
        finally:
            if self._finding.get(_ALL) is mine:
                del self._finding[_ALL]
            mine.set()
        if not finding.wait(max(0.0, until - self._monotonic())):
            raise untold()
        if finding.failure is not None:
            raise finding.failure.with_traceback(None)


class _Finding(threading.Event):
    """Set once a thread has found out about servers, or failed to.

    Attributes:
        failure: Why it failed, if it did.
    """

    def __init__(self) -> None:
        super().__init__()
        self.failure: Failure | None = None


_ALL = "all"
"""The one thing that there is to be found out: a dictionary takes the first who comes in a step."""
