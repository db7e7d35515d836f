"""A bounded pool of synchronous links to one server.

Taking an idle link and giving it back are single operations on a deque, atomic without a lock. The
lock is for what is rare: opening a link, losing one. A waiter hangs up its bell before it looks for
an idle link, and who gives one back looks for bells after it has done so; one of the two therefore
sees the other.

A handler of a signal may raise between any two steps. So nothing is counted up and down: the links
and the permissions to open one are counted by looking at which of them are alive, and one that an
exception has carried away dies with its frames. The lock is a plain one, which `with` takes in one
step, and a wait for a bell is cut into slices, so that a ring that was lost costs one of them.
"""

import contextlib
import threading
from collections import deque
from typing import Any, Protocol
from weakref import WeakSet

from jinpy_cache_redis.connections.connection import SocketLink
from jinpy_cache_redis.connections.dialing import Dialer
from jinpy_cache_redis.connections.managed import ManagedPool
from jinpy_cache_redis.protocol.failures import Exhausted, Failure, Refused
from jinpy_cache_redis.protocol.handshake import Greeting
from jinpy_cache_redis.protocol.nodes import Node
from jinpy_cache_redis.protocol.requests import Request, pack
from jinpy_cache_redis.protocol.timing import Timing

SLICE = 0.05
"""Seconds after which who waits for a link looks for one without being told."""

PING = Request(pack(b"PING"))
"""Asked on a link that was idle for long; any answer will do."""


class _Permit:
    """The permission to open a link, in force as long as whoever opens it lives."""


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
        self._permits: WeakSet[_Permit] = WeakSet()
        self._bells: deque[threading.Lock] = deque()
        self._check_after = timing.check_after
        self._closed = False
        self._lock = threading.Lock()

    def exchange(self, request: Request, until: float, *, hurried: bool = False) -> Any:
        """See `Pool`."""
        try:
            link = self._idle.pop()
        except IndexError:
            link = None
        if link is not None and (
            until - link.used > self._check_after
            or not (request.repeatable or link.idle_and_sound())
        ):
            link = self._examined(link, until)
        if link is None:
            link, hurried = self.take(until), True
        sound = False
        try:
            reply = link.ask(request, until, hurried=hurried)
            sound = True
        finally:
            if sound:
                link.used = until
                self._idle.append(link)
                if self._bells or self._closed:
                    self._tell()
            else:
                self.discard(link)
        return reply

    def _examined(self, link: SocketLink, until: float) -> SocketLink | None:
        """The idle link, if the server answers on it; else it and its like are closed."""
        with contextlib.suppress(Failure):
            if link.idle_and_sound():
                if until - link.used > self._check_after:
                    link.ask(PING, until, hurried=True)
                return link
        self.discard(link)
        self.drop_idle()
        return None

    def take(self, until: float) -> SocketLink:
        """See `Pool`."""
        give_up = min(until, self._timing.monotonic() + self._timing.pool_timeout)
        permit = _Permit()
        while True:
            link = self._free(until)
            if link is not None:
                return link
            with self._lock:
                if self._closed:
                    raise closed(self._node)
                if len(self._links) + len(self._permits) < self._size:
                    self._permits.add(permit)
                    break
            left = give_up - self._timing.monotonic()
            if left <= 0:
                raise exhausted(self._node, self._size)
            self._wait(min(left, SLICE))
        try:
            return self._open(until)
        finally:
            with self._lock:
                self._permits.discard(permit)
            if self._bells:
                self._tell()

    def _free(self, until: float) -> SocketLink | None:
        """An idle link, if there is one that may be used at once."""
        try:
            link = self._idle.pop()
        except IndexError:
            return None
        return link if until - link.used <= self._check_after else self._examined(link, until)

    def _wait(self, seconds: float) -> None:
        bell = threading.Lock()
        bell.acquire(blocking=False)
        self._bells.append(bell)
        try:
            if not self._idle:
                bell.acquire(timeout=seconds)
        finally:
            with contextlib.suppress(ValueError):
                self._bells.remove(bell)

    def _open(self, until: float) -> SocketLink:
        timing = self._timing
        allowed = timing.connecting(until)
        by = timing.monotonic() + allowed
        sock = self._dialer.open(self._node, allowed)
        link = SocketLink(self._node, sock, timing.command_timeout, timing.monotonic)
        try:
            self._greet(link, by)
        except BaseException:
            link.close()
            raise
        link.used = until
        with self._lock:
            self._links.add(link)
        return link

    def _greet(self, link: SocketLink, until: float) -> None:
        handshake = self._dialer.handshake
        request = handshake.request()
        try:
            if request is not None:
                answer = link.ask(request, until, hurried=True)
                handshake.check(request, answer, self._node)
            if self._greeting is not None:
                answer = link.ask(self._greeting.request, until, hurried=True)
                self._greeting.check(answer, self._node)
        except Failure as failure:
            seen = handshake.failed(failure, self._node)
            if seen is failure:
                raise
            raise seen from failure

    def give_back(self, link: SocketLink) -> None:
        """See `Pool`."""
        self._idle.append(link)
        if self._bells or self._closed:
            self._tell()

    def _tell(self) -> None:
        if self._closed:
            self.drop_idle()
            return
        with contextlib.suppress(IndexError):  # all waiters have just gone
            self._bells.popleft().release()

    def discard(self, link: SocketLink) -> None:
        """See `Pool`."""
        link.close()
        with self._lock:
            self._links.discard(link)
        if self._bells:
            self._tell()

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
        with self._lock:
            self._closed = True
        self.drop_idle()
        while self._bells:
            with contextlib.suppress(IndexError):
                self._bells.popleft().release()

    def forsake(self) -> None:
        """See `Pool`."""
        for link in list(self._links):
            link.close()

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
