"""The asynchronous driver: runs the same plans over pools of one event loop."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from jinpy_cache_core import CacheException
from jinpy_cache_redis.connections.async_pool import AsyncPool
from jinpy_cache_redis.drivers.lanes import Lane
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


async def together(trips: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Await all at once; when one is cancelled or fails, none is left running."""
    if len(trips) == 1:
        return [await trips[0]]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(trip) for trip in trips]
    return [task.result() for task in tasks]


class AsyncDriver(PoolRegistry[AsyncPool]):
    """Runs plans, one step after the other.

    Args:
        router: Decides what happens when the first attempt fails.
        make_pool: Makes the pool for a server that is met for the first time.
        width: How many requests to one server are under way before others wait for one trip.
        sleep: Waits between attempts.
        pulse: Is told of every answer.
    """

    def __init__(
        self,
        router: Router,
        make_pool: MakePool[AsyncPool],
        width: int = 1,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        pulse: Pulse | None = None,
    ) -> None:
        super().__init__(router, make_pool, pulse)
        self._width = width
        self._sleep = sleep
        self._lanes: dict[Node, Lane] = {}
        self._finding: asyncio.Task[Any] | None = None
        self._seekers = 0

    def _lane(self, node: Node, pool: AsyncPool) -> Lane:
        lane = self._lanes[node] = Lane(node, pool, self._width, self._monotonic)
        return lane

    async def run(self, plan: Plan[T], within: float = FOREVER) -> T:
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
                        answer = await self._perform(step, until)
                    elif isinstance(step, Hold):
                        answer = await self._transact(plan, step, until)
                    else:
                        answer = await self._answer(step, until)
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

    async def _answer(self, step: Step, until: float) -> Any:
        if isinstance(step, Several):
            return await self._several(step.requests, until)
        if isinstance(step, Servers):
            return await self._follow(self._router.servers(until, fresh=step.fresh))
        message = f"No driver can take the step {step!r} here."
        raise TypeError(message)

    async def _perform(self, request: Request, until: float) -> Any:
        """Send a request: straight to the server that is known, by the router when that fails."""
        node = request.node or self._topology.node_for(request.key)
        failure: Failure | None = None
        if node is not None:
            try:
                pool = self._pools.get(node) or self._pool(node)
                lane = self._lanes.get(node) or self._lane(node, pool)
                reply = checked(await lane.exchange(request, until), request)
                self._pulse.beat = until
                return reply
            except Failure as raised:
                self._distrust(node, raised)
                failure = raised
        return await self._follow(self._router.send(request, until, failure, node))

    async def _several(self, requests: list[Request], until: float) -> list[Any]:
        """Send requests of any keys: one round trip to each server, then what has to be redone."""
        groups = grouped(requests, self._topology)
        if None in groups:
            await self._follow(self._router.servers(until))
            groups = grouped(requests, self._topology)
        answers: list[Any] = [None] * len(requests)
        trips = [
            self._shared_trip(node, joined(requests, positions), until)
            for node, positions in groups.items()
        ]
        for positions, came in zip(groups.values(), await together(trips), strict=True):
            for position, answer in zip(positions, parted(came, requests, positions), strict=True):
                answers[position] = answer
        for position in to_redo(answers):
            failure = answers[position]
            route = self._router.send(requests[position], until, failure, failure.node)
            answers[position] = await self._follow(route)
        return answers

    async def _shared_trip(
        self, node: Node | None, request: Request, until: float
    ) -> list[Any] | Failure:
        """The replies of one server to a joined request, or the failure that they all share."""
        if node is None:
            return unserved()
        try:
            pool = self._pools.get(node) or self._pool(node)
            answer: Any = await pool.exchange(request, until)
        except Failure as failure:
            self._distrust(node, failure)
            return failure
        self._pulse.beat = until
        return located([answer] if request.replies == 1 else answer, node)

    async def _transact(self, plan: Plan[Any], hold: Hold, until: float) -> Any:
        """Ask, let the plan decide, and finish, all on one link that nobody else uses meanwhile."""
        pool, link, replies, ask = await self._held(hold.request, until)
        clean = False
        try:
            finish = finishing(plan.send(replies))
            try:
                asked = asking(finish) if ask else finish
                answer = await link.ask(asked, self._router.timing.attempting(until))
            except Failure as failure:
                raise failure.told(explained(failure, finish, 1)) from failure
            clean = True
            self._pulse.beat = until
        finally:
            await pool.put_back(link, clean=clean)
        try:
            return checked(answered(answer, finish) if ask else answer, finish)
        except ServerError as error:
            return self._undone(link.node, error, finish)

    async def _held(self, request: Request, until: float) -> tuple[AsyncPool, Any, Any, bool]:
        """Ask over a link that stays ours; heal by the router when that fails.

        Returns:
            The pool, the link, the replies, and whether what follows must be announced.
        """
        asked: Node | None = None
        timing = self._router.timing
        for _ in range(MOST_REDIRECTS):
            node = asked or self._topology.node_for(request.key)
            failure: Failure | None = None
            if node is not None:
                pool = self._pools.get(node) or self._pool(node)
                link: Any = None
                try:
                    link = await pool.take(until)
                    if asked is None:
                        replies = await link.ask(request, timing.attempting(until))
                    else:
                        came = await link.ask(asking(request), timing.attempting(until))
                        replies = answered(came, request)
                    return pool, link, checked(replies, request), asked is not None
                except Failure as raised:
                    self._distrust(node, raised)
                    failure = raised
                    if link is not None:
                        await pool.put_back(link, clean=False)
                except BaseException:
                    if link is not None:
                        await pool.put_back(link, clean=False)
                    raise
                asked = self._pointed_to(node, failure, request)
                if asked is not None:
                    continue
            await self._follow(self._router.send(healing(request), until, failure, node))
        raise undecided(asked).told()

    async def _follow(self, route: Route) -> Any:
        """Run a generator of effects to its end."""
        try:
            effect = next(route)
            while True:
                try:
                    answer = await self._apply(effect)
                except Failure as failure:
                    effect = route.throw(failure)
                else:
                    effect = route.send(answer)
        except StopIteration as stop:
            return stop.value

    async def _apply(self, effect: Effect) -> Any:
        if isinstance(effect, Discover):
            return await self._discover(effect.until)
        if not isinstance(effect, Exchange):
            return await self._sleep(effect.seconds)
        node = effect.node
        pool = self._pool(node, guide=effect.guide)
        try:
            if effect.guide:
                return await pool.exchange(effect.request, effect.until)
            lane = self._lanes.get(node) or self._lane(node, pool)
            return await lane.exchange(effect.request, effect.until)
        except Failure as failure:
            if failure.executed:
                pool.drop_idle()
            raise

    async def _discover(self, until: float) -> None:
        """Find out about servers; one asks for everyone who wants to know meanwhile.

        It goes on as long as anybody waits for it, and has the whole budget of an operation.
        """
        finding = self._finding
        if finding is None or finding.done():
            asking_for_all = self._follow(self._topology.discover(self._monotonic() + self._budget))
            finding = self._finding = asyncio.get_running_loop().create_task(asking_for_all)
        self._seekers += 1
        try:
            await asyncio.wait([finding], timeout=max(0.0, until - self._monotonic()))
        finally:
            self._seekers -= 1
            if not self._seekers:
                finding.cancel()
        if not finding.done() or finding.cancelled():
            raise untold()
        failure = finding.exception()
        if failure is not None:
            raise failure.with_traceback(None)

    async def wait_closed(self) -> None:
        """Wait until the sockets of what was idle are closed."""
        for pool in self._every_pool():
            await pool.wait_closed()
