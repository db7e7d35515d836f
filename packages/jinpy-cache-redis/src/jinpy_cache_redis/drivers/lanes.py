"""A burst of requests to one server: what has to wait for a connection travels together.

A few requests are under way at a time, one connection each. What comes while all of them are busy
waits, and leaves with the next connection that is free, many requests at once. So a thousand
concurrent reads cost a few round trips instead of a queue for connections. Of waiting requests that
are the same, one is sent for all; a request never joins one that has been sent already, which might
have been answered before something that the caller knows of.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from jinpy_cache_redis.connections.async_pool import AsyncPool
from jinpy_cache_redis.protocol.failures import Exhausted, Failure, Silent, Unreachable
from jinpy_cache_redis.protocol.nodes import Node
from jinpy_cache_redis.protocol.requests import Request
from jinpy_cache_redis.routing.router import joined, parted

MOST_TOGETHER = 128
"""How many requests leave at once."""

LARGEST = 64 * 1024
"""Bytes of one request above which it travels alone."""

_Waiter = tuple["asyncio.Future[Any]", float]


class Lane:
    """What is under way to one server, and what waits for it, on one event loop.

    Args:
        node: The server.
        pool: Connections to it.
        width: How many requests are under way at a time.
        monotonic: Tells the time.
    """

    def __init__(
        self, node: Node, pool: AsyncPool, width: int, monotonic: Callable[[], float]
    ) -> None:
        self._node = node
        self._pool = pool
        self._width = width
        self._monotonic = monotonic
        self._busy = 0
        self._under_way: set[bytes] = set()
        self._waiting: dict[bytes, tuple[Request, list[_Waiter]]] = {}
        self._trips: set[asyncio.Task[None]] = set()

    async def exchange(self, request: Request, until: float) -> Any:
        """Send a request and return its reply, alone or with others.

        Raises:
            Failure: It did not come to an answer.
        """
        data = request.data
        if self._busy < self._width and data not in self._under_way:
            self._busy += 1
            self._under_way.add(data)
            try:
                return await self._pool.exchange(request, until)
            except (Silent, Unreachable) as failure:
                self._tell(failure)
                raise
            finally:
                self._busy -= 1
                self._under_way.discard(data)
                if self._waiting:
                    self._depart()
        if not request.repeatable or request.node is not None or len(data) > LARGEST:
            return await self._pool.exchange(request, until)
        return await self._wait(request, until)

    async def _wait(self, request: Request, until: float) -> Any:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        left = until - self._monotonic()
        timer = loop.call_later(max(left, 0.0), self._expire, future)
        waiting = self._waiting.get(request.data)
        if waiting is None:
            self._waiting[request.data] = (request, [(future, until)])
        else:
            waiting[1].append((future, until))
        try:
            return await future
        finally:
            timer.cancel()

    def _expire(self, future: "asyncio.Future[Any]") -> None:
        if not future.done():
            message = f"No connection to Redis at {self._node} became free in time."
            future.set_exception(Exhausted(message, self._node))

    def _tell(self, failure: Failure) -> None:
        """Spare those who can do without an answer the same long wait once more."""
        for data, (request, waiters) in list(self._waiting.items()):
            if request.once:
                del self._waiting[data]
                _fail(waiters, failure)

    def _depart(self) -> None:
        """Send what waits, as much as there are connections for."""
        while self._waiting and self._busy < self._width:
            batch: list[tuple[Request, list[_Waiter]]] = []
            for data in list(self._waiting)[:MOST_TOGETHER]:
                if data in self._under_way:
                    continue
                request, waiters = self._waiting.pop(data)
                wanted = [one for one in waiters if not one[0].done()]
                if wanted:
                    batch.append((request, wanted))
            if not batch:
                return
            self._busy += 1
            self._under_way.update(request.data for request, _ in batch)
            trip = asyncio.get_running_loop().create_task(self._travel(batch))
            self._trips.add(trip)
            trip.add_done_callback(self._trips.discard)

    async def _travel(self, batch: list[tuple[Request, list[_Waiter]]]) -> None:
        requests = [request for request, _ in batch]
        positions = list(range(len(requests)))
        together = joined(requests, positions)
        until = max(end for _, waiters in batch for _, end in waiters)
        came: Any
        try:
            answer = await self._pool.exchange(together, until)
            came = parted([answer] if together.replies == 1 else answer, requests, positions)
        except Failure as failure:
            came = [failure] * len(batch)
            if isinstance(failure, (Silent, Unreachable)):
                self._tell(failure)
        except BaseException:
            for _, waiters in batch:
                for future, _ in waiters:
                    future.cancel()
            raise
        finally:
            self._busy -= 1
            self._under_way.difference_update(request.data for request in requests)
        for (_, waiters), reply in zip(batch, came, strict=True):
            if isinstance(reply, Failure):
                _fail(waiters, reply)
                continue
            for future, _ in waiters:
                if not future.done():
                    future.set_result(reply)
        self._depart()


def _fail(waiters: list[_Waiter], failure: Failure) -> None:
    for future, _ in waiters:
        if not future.done():
            future.set_exception(failure)
            future.exception()  # seen, should the one who waits be cancelled just now
