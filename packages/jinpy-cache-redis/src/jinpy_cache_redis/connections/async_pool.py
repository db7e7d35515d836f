"""A bounded pool of asynchronous links to one server, of one event loop.

Everything happens on that loop, so there is no lock. A link that is given back goes to whoever has
waited longest; what a waiter receives is a link, or `None` for the permission to open one.
"""

import asyncio
from collections import deque
from typing import Any, Protocol

from jinpy_cache_redis.connections.async_connection import StreamLink
from jinpy_cache_redis.connections.dialing import Dialer
from jinpy_cache_redis.connections.managed import ManagedPool
from jinpy_cache_redis.connections.pool import PING, closed, exhausted
from jinpy_cache_redis.protocol.failures import Failure
from jinpy_cache_redis.protocol.handshake import Greeting
from jinpy_cache_redis.protocol.nodes import Node
from jinpy_cache_redis.protocol.requests import Request
from jinpy_cache_redis.protocol.timing import SHORTEST, Timing


class AsyncPool(ManagedPool, Protocol):
    """Where a driver sends a request to one server."""

    async def exchange(self, request: Request, until: float) -> Any:
        """Ask over any free link."""
        raise NotImplementedError

    async def take(self, until: float) -> Any:
        """A clean link, for the caller alone."""
        raise NotImplementedError

    async def put_back(self, link: Any, *, clean: bool) -> None:
        """Return a link that was taken; one that is not known to be clean is closed."""
        raise NotImplementedError

    async def wait_closed(self) -> None:
        """Wait until the sockets of what was idle are closed."""
        raise NotImplementedError


class StreamPool:
    """The links to one server that one event loop keeps.

    Args:
        node: The server.
        dialer: Opens connections.
        size: How many at most.
        timing: How long things may take.
        greeting: What to ask each new link before its first use.
    """

    def __init__(
        self,
        node: Node,
        dialer: Dialer,
        size: int,
        timing: Timing,
        greeting: Greeting | None = None,
    ) -> None:
        self._node = node
        self._dialer = dialer
        self._size = size
        self._timing = timing
        self._greeting = greeting
        self._idle: list[StreamLink] = []
        self._links: set[StreamLink] = set()
        self._check_after = timing.check_after
        self._opening = 0
        self._waiters: deque[asyncio.Future[StreamLink | None]] = deque()
        self._closing: list[StreamLink] = []
        self._closed = False

    async def exchange(self, request: Request, until: float) -> Any:
        """See `AsyncPool`."""
        link = self._sound() if self._idle else None
        if link is not None and (
            until - link.used > self._check_after
            or not (request.repeatable or link.idle_and_sound())
        ):
            link = await self._examined(link, until)
        if link is None:
            link = await self.take(until)
        timing = self._timing
        left = until - timing.monotonic()
        timeout = timing.command_timeout
        try:
            reply = await link.ask(request, timeout if left > timeout else max(left, SHORTEST))
        except BaseException:
            self.discard(link)
            raise
        link.used = until
        self.give_back(link)
        return reply

    async def _examined(self, link: StreamLink, until: float) -> StreamLink | None:
        """The idle link, if the server answers on it; else it and its like are closed."""
        try:
            if link.idle_and_sound():
                if until - link.used > self._check_after:
                    await link.ask(PING, self._timing.attempting(until))
                return link
        except Failure:
            pass
        except BaseException:
            self.discard(link)
            raise
        self.discard(link)
        self.drop_idle()
        return None

    def _sound(self) -> StreamLink | None:
        while self._idle:
            link = self._idle.pop()
            if not link.broken:
                return link
            self.discard(link)
        return None

    async def take(self, until: float) -> StreamLink:
        """See `AsyncPool`."""
        link = self._sound()
        if link is not None and until - link.used > self._check_after:
            link = await self._examined(link, until)
        if link is not None:
            return link
        if self._closed:
            raise closed(self._node)
        if len(self._links) + self._opening >= self._size:
            link = await self._wait(until)
            if link is not None and not link.broken:
                return link
            if link is not None:
                self._links.discard(link)
                self._opening += 1
        else:
            self._opening += 1
        return await self._open(until)

    async def _wait(self, until: float) -> StreamLink | None:
        """Wait for a link, or for the permission to open one, which is already counted."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[StreamLink | None] = loop.create_future()
        timeout = min(self._timing.pool_timeout, until - self._timing.monotonic())
        timer = loop.call_later(timeout, self._expire, waiter)
        self._waiters.append(waiter)
        try:
            return await waiter
        except BaseException:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
            elif not waiter.cancelled() and waiter.exception() is None:
                self._pass_on(waiter.result())  # cancelled just after being served
            raise
        finally:
            timer.cancel()

    def _expire(self, waiter: "asyncio.Future[StreamLink | None]") -> None:
        if not waiter.done():
            waiter.set_exception(exhausted(self._node, self._size))

    def _pass_on(self, given: StreamLink | None) -> None:
        if given is not None:
            self.give_back(given)
        else:
            self._opening -= 1
            self._permit()

    async def _open(self, until: float) -> StreamLink:
        """Open a link that `_opening` counts already."""
        opened = False
        made: StreamLink | None = None
        try:
            timing = self._timing
            allowed = timing.connecting(until)
            by = timing.monotonic() + allowed
            made = link = await self._dialer.open_async(
                self._node, allowed, lambda sock: StreamLink(self._node, sock)
            )
            await self._greet(link, by)
            link.used = until
            opened = True
        finally:
            self._opening -= 1
            if made is not None and opened:
                self._links.add(made)
            else:
                if made is not None:
                    made.close()
                self._permit()
        return link

    async def _greet(self, link: StreamLink, until: float) -> None:
        handshake = self._dialer.handshake
        request = handshake.request()
        try:
            if request is not None:
                answer = await link.ask(request, self._timing.attempting(until))
                handshake.check(request, answer, self._node)
            if self._greeting is not None:
                answer = await link.ask(self._greeting.request, self._timing.attempting(until))
                self._greeting.check(answer, self._node)
        except Failure as failure:
            seen = handshake.failed(failure, self._node)
            if seen is failure:
                raise
            raise seen from failure

    def _permit(self) -> None:
        """Let a waiter open a link, if there is room for one."""
        while self._waiters and len(self._links) + self._opening < self._size:
            waiter = self._waiters.popleft()
            if not waiter.done():
                self._opening += 1
                waiter.set_result(None)

    async def put_back(self, link: StreamLink, *, clean: bool) -> None:
        """See `AsyncPool`."""
        if clean:
            self.give_back(link)
        else:
            self.discard(link)

    def give_back(self, link: StreamLink) -> None:
        """Return a clean link, to whoever has waited longest."""
        if self._closed or link.broken:
            self.discard(link)
            return
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(link)
                return
        self._idle.append(link)

    def discard(self, link: StreamLink) -> None:
        """Close a link that is not clean, or not known to be."""
        link.close()
        self._links.discard(link)
        self._permit()

    def drop_idle(self) -> None:
        """See `AsyncPool`."""
        while self._idle:
            self.discard(self._idle.pop())

    def close(self) -> None:
        """See `AsyncPool`."""
        self._closed = True
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_exception(closed(self._node))
        self._closing = [*self._closing, *self._idle]
        self.drop_idle()

    async def wait_closed(self) -> None:
        """See `AsyncPool`."""
        while self._closing:
            await self._closing.pop().wait_closed()

    def forsake(self) -> None:
        """See `AsyncPool`."""
        for link in list(self._links):
            link.close()

    def abandon(self) -> None:
        """See `AsyncPool`."""
        for link in self._links:
            link.abandon()
