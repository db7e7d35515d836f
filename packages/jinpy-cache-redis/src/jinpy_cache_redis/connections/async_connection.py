"""One connection, asynchronously: the protocol that a transport feeds.

The same rules as in `links`: one caller at a time, and whoever leaves `ask` by an exception, be it
a cancellation, has broken the link. What arrives when nobody waits breaks it too.
"""

import asyncio
import os
import select
import socket
from typing import Any, cast

import hiredis

from jinpy_cache_redis.connections.connection import (
    CLOSED,
    PARTIAL,
    SAID_BYTES,
    garbled,
    new_reader,
    refuse_forged,
)
from jinpy_cache_redis.protocol.failures import Failure, Lost, ServerError, Silent
from jinpy_cache_redis.protocol.nodes import Node
from jinpy_cache_redis.protocol.requests import Request


class StreamLink(asyncio.Protocol):
    """A link over a transport, used on the event loop that it belongs to.

    It is the transport's protocol from the first byte on: a server that does not want us says so
    and hangs up, without being asked.

    Args:
        node: Whom the transport is connected to.
        sock: The socket under the transport.

    Attributes:
        used: When its last request would have been given up.
    """

    def __init__(self, node: Node, sock: socket.socket) -> None:
        self.node = node
        self.broken = False
        self.used = 0.0
        self._loop = asyncio.get_running_loop()
        self._socket = sock
        self._transport: asyncio.Transport | None = None
        self._reader = new_reader()
        self._waiter: asyncio.Future[Any] | None = None
        self._wanted = 0
        self._begun = False
        self._replies: list[Any] = []
        self._gone = self._loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop, once."""
        self._transport = cast("asyncio.Transport", transport)

    async def ask(self, request: Request, seconds: float) -> Any:
        """Send a request and return its reply, or the list of them; error replies are values.

        Args:
            request: What to ask.
            seconds: Time until the last reply.

        Raises:
            Failure: The replies did not come; the link is broken.
        """
        transport = self._transport
        if self.broken or transport is None:
            raise self._lost(None)
        self._waiter = waiter = self._loop.create_future()
        self._wanted = request.replies
        self._begun = False
        timer = self._loop.call_later(seconds, self._expire)
        try:
            transport.write(request.data)
            return await waiter
        except BaseException:
            self.close()
            raise
        finally:
            self._waiter = None
            timer.cancel()

    def data_received(self, data: bytes) -> None:
        """Called by the transport: hand complete replies to the caller."""
        reader = self._reader
        try:
            reader.feed(data)
            while (reply := reader.gets(False)) is not PARTIAL:
                self._take(reply)
            waiter = self._waiter
            if waiter is not None and not waiter.done() and not self._begun:
                self._begun = True
                refuse_forged(data[:SAID_BYTES])
        except (hiredis.HiredisError, MemoryError) as error:
            self._fail(garbled(self.node, data[:SAID_BYTES], error))

    def _take(self, reply: Any) -> None:
        waiter = self._waiter
        if waiter is None or waiter.done():
            if isinstance(reply, ServerError):
                self._replies.append(reply)
            self._fail(self._lost(None))
        elif self._wanted == 1:
            waiter.set_result(reply)
        else:
            self._replies.append(reply)
            if len(self._replies) == self._wanted:
                replies, self._replies = self._replies, []
                waiter.set_result(replies)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the transport, once, when the connection is closed by whomever."""
        self._fail(self._lost(exc))
        if not self._gone.done():
            self._gone.set_result(None)

    def _expire(self) -> None:
        self._fail(Silent(f"Redis at {self.node} did not answer in time.", self.node))

    def _fail(self, failure: Failure) -> None:
        waiter = self._waiter
        self.close()
        if waiter is not None and not waiter.done():
            waiter.set_exception(failure)

    def _lost(self, error: Exception | None) -> Lost:
        reason = error or CLOSED
        message = f"The connection to Redis at {self.node} was lost: {reason}"
        lost = Lost(message, self.node, self._replies)
        lost.__cause__ = error
        return lost

    def idle_and_sound(self) -> bool:
        """Whether the server has neither closed the idle connection nor said anything on it.

        The loop may not have looked at the socket since, so this does.
        """
        if self.broken:
            return False
        poller = select.poll()
        poller.register(self._socket, select.POLLIN)
        return not poller.poll(0)

    def close(self) -> None:
        """Break the link; what was sent may or may not have arrived."""
        if not self.broken:
            self.broken = True
            if self._loop.is_closed():
                self._socket.close()  # nobody will ever close the transport
            elif self._transport is not None:
                self._transport.abort()

    async def wait_closed(self) -> None:
        """Wait until the socket is closed, which takes the loop one more turn."""
        if not self._gone.done():
            await self._gone

    def abandon(self) -> None:
        """Let go of the connection in a forked child, where it belongs to the parent's loop.

        The descriptor's number stays taken, by the null device, so that whatever still knows it
        does no harm.
        """
        self.broken = True
        null = os.open(os.devnull, os.O_RDWR)
        try:
            os.dup2(null, self._socket.fileno())
        finally:
            os.close(null)
