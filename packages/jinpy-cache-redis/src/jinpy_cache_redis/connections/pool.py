"""A bounded pool of synchronous links to one server.

Taking an idle link and giving it back are single operations on a deque, atomic without a lock. The
lock is for what is rare: opening a link, waiting for one, losing one. A waiter counts itself before
it looks for an idle link, and who gives one back looks at that count after it has done so; one of
the two therefore sees the other.
"""

import threading
from collections import deque
from typing import Any, Protocol
from weakref import WeakSet

from jinpy_cache_redis.connections.connection import SocketLink
from jinpy_cache_redis.connections.dialing import Dialer
from jinpy_cache_redis.connections.managed import ManagedPool
from jinpy_cache_redis.protocol.failures import Exhausted, Refused
from jinpy_cache_redis.protocol.handshake import Greeting
from jinpy_cache_redis.protocol.nodes import Node
from jinpy_cache_redis.protocol.requests import Request
from jinpy_cache_redis.protocol.timing import Timing


class Pool(ManagedPool, Protocol):
    """Where a driver sends a request to one server."""

    def exchange(self, request: Request, until: float, *, hurried: bool = False) -> Any:
        """Ask over any free link."""
        raise NotImplementedError

    def take(self, until: float) -> Any:
        """A clean link, for the caller alone."""
        raise NotImplementedError

    def give_back(self, link: Any) -> None:
        """Return a clean link."""
        raise NotImplementedError

    def discard(self, link: Any) -> None:
        """Close a link that is not clean, or not known to be."""
        raise NotImplementedError


class LinkPool:
    """The links to one server that this process keeps.

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
        self._idle: deque[SocketLink] = deque()
        self._links: WeakSet[SocketLink] = WeakSet()
        self._opening = 0
        self._waiting = 0
        self._closed = False
        self._changed = threading.Condition(threading.Lock())

    def exchange(self, request: Request, until: float, *, hurried: bool = False) -> Any:
        """See `Pool`."""
        try:
            link = self._idle.pop()
        except IndexError:
            link = None
        if link is not None and not (request.repeatable or link.idle_and_sound()):
            self.discard(link)
            self.drop_idle()
            link = None
        if link is None:
            link, hurried = self.take(until), True
        sound = False
        try:
            reply = link.ask(request, until, hurried=hurried)
            sound = True
        finally:
            if sound:
                self._idle.append(link)
                if self._waiting or self._closed:
                    self._tell()
            else:
                self.discard(link)
        return reply

    def take(self, until: float) -> SocketLink:
        """See `Pool`."""
        give_up = min(until, self._timing.monotonic() + self._timing.pool_timeout)
        with self._changed:
            self._waiting += 1
            try:
                while True:
                    if self._closed:
                        raise closed(self._node)
                    try:
                        return self._idle.pop()
                    except IndexError:
                        pass
                    if len(self._links) + self._opening < self._size:
                        self._opening += 1
                        break
                    left = give_up - self._timing.monotonic()
                    if left <= 0:
                        raise exhausted(self._node, self._size)
                    self._changed.wait(left)
            finally:
                self._waiting -= 1
        return self._open(until)

    def _open(self, until: float) -> SocketLink:
        opened: SocketLink | None = None
        try:
            timing = self._timing
            sock = self._dialer.open(self._node, timing.connecting(until))
            link = SocketLink(self._node, sock, timing.command_timeout, timing.monotonic)
            if self._greeting is not None:
                try:
                    self._greeting.check(
                        link.ask(self._greeting.request, until, hurried=True), self._node
                    )
                except BaseException:
                    link.close()
                    raise
            opened = link
        finally:
            with self._changed:
                self._opening -= 1
                if opened is not None:
                    self._links.add(opened)
                else:
                    self._changed.notify()
        return link

    def give_back(self, link: SocketLink) -> None:
        """See `Pool`."""
        self._idle.append(link)
        if self._waiting or self._closed:
            self._tell()

    def _tell(self) -> None:
        if self._closed:
            self.drop_idle()
        else:
            with self._changed:
                self._changed.notify()

    def discard(self, link: SocketLink) -> None:
        """See `Pool`."""
        link.close()
        with self._changed:
            self._links.discard(link)
            self._changed.notify()

    def drop_idle(self) -> None:
        """See `Pool`."""
        while True:
            try:
                link = self._idle.pop()
            except IndexError:
                return
            self.discard(link)

    def close(self) -> None:
        """See `Pool`."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self.drop_idle()

    def abandon(self) -> None:
        """See `Pool`."""
        for link in list(self._links):
            link.close()


def exhausted(node: Node, size: int) -> Exhausted:
    """The failure of a pool whose links are all in use."""
    message = (
        f"All {size} connections to Redis at {node} are in use and none became free in time. "
        "Raise pool_size, or pool_timeout."
    )
    return Exhausted(message, node)


def closed(node: Node) -> Refused:
    """The failure of a pool that was closed, before or while somebody waited for a link."""
    message = "The cache was closed."
    return Refused(message, node)
