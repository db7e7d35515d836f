"""One connection, synchronously: write a request, read exactly its replies, by a deadline.

A link is used by one caller at a time. It is either clean (every reply read) or broken; a caller
that leaves `ask` by any exception has broken it, so that no reply can ever reach the next caller.
"""

import select
import socket
from collections.abc import Callable
from typing import Any, Final, Protocol

import hiredis

from jinpy_cache_redis.protocol.failures import Garbled, Lost, ServerError, Silent
from jinpy_cache_redis.protocol.nodes import Node
from jinpy_cache_redis.protocol.requests import Request

PARTIAL: Final = object()
"""What the reader returns while a reply is not complete."""

CLOSED = "the server closed the connection"
"""The reason when a socket ends instead of answering."""

READ_BYTES = 65_536
"""How much is read from a socket at once."""


SAID_BYTES = 80
"""How much of what is no reply is looked at and repeated."""

MOST = {b"$": 1 << 33, b"*": 1 << 24, b"%": 1 << 24, b"~": 1 << 24}
"""The most bytes of a string, and elements of the others, that a reply may announce."""


def new_reader() -> hiredis.Reader:
    """A parser of replies that returns errors as values and decodes nothing."""
    return hiredis.Reader(replyError=ServerError, notEnoughData=PARTIAL, errors="replace")


def refuse_forged(said: bytes) -> None:
    """Look at a reply that is not complete: memory is not set aside for what no server sends.

    Raises:
        hiredis.ProtocolError: Its length is forged.
    """
    kind, head = said[:1], said[1:].partition(b"\r\n")[0]
    if kind in MOST and head.isdigit() and int(head[:20]) > MOST[kind]:
        message = f"a reply of length {head[:20].decode()} was announced"
        raise hiredis.ProtocolError(message)


def garbled(node: Node, said: bytes, error: Exception) -> Garbled:
    """The failure of a connection on which came what is no reply."""
    reason = "the reply does not fit into memory" if isinstance(error, MemoryError) else error
    return Garbled(f"The connection to Redis at {node} was lost: {reason}", node, said)


class Link(Protocol):
    """What a pool keeps."""

    def ask(self, request: Request, until: float, *, hurried: bool = False) -> Any:
        """Send a request and return its reply, or the list of them; error replies are values.

        Args:
            request: What to ask.
            until: When to give up, on the monotonic clock.
            hurried: Whether that is sooner than the usual timeout.

        Raises:
            Failure: The replies did not come; the link is broken.
        """
        raise NotImplementedError

    def idle_and_sound(self) -> bool:
        """Whether the server has neither closed the idle connection nor said anything on it."""
        raise NotImplementedError

    def close(self) -> None:
        """Break the link."""
        raise NotImplementedError


class SocketLink:
    """A link over a socket of our own.

    Args:
        node: Whom the socket is connected to.
        sock: The socket, after the handshake.
        timeout: Seconds that a request may take when it is not in a hurry.
        monotonic: Tells the time.

    Attributes:
        used: When its last request would have been given up.
    """

    def __init__(
        self, node: Node, sock: socket.socket, timeout: float, monotonic: Callable[[], float]
    ) -> None:
        self.node = node
        self._socket = sock
        self._timeout = timeout
        self._monotonic = monotonic
        self._reader = new_reader()
        self._buffer = bytearray(READ_BYTES)
        self._heard: list[Any] = []
        self.used = 0.0
        sock.settimeout(timeout)

    def ask(self, request: Request, until: float, *, hurried: bool = False) -> Any:
        """See `Link`."""
        sock, reader = self._socket, self._reader
        try:
            if hurried:
                sock.settimeout(max(0.001, min(until - self._monotonic(), self._timeout)))
            sock.sendall(request.data)
            size = sock.recv_into(self._buffer)
            if not size:
                raise ConnectionResetError(CLOSED)
            reader.feed(self._buffer, 0, size)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
            reply = reader.gets(False)
            if request.replies == 1 and reply is not PARTIAL:
                result = reply
            else:
                result = self._rest(reply, request.replies, until)
            if hurried:
                sock.settimeout(self._timeout)
        except TimeoutError as error:
            message = f"Redis at {self.node} did not answer in time."
            raise Silent(message, self.node) from error
        except OSError as error:
            message = f"The connection to Redis at {self.node} was lost: {error}"
            raise Lost(message, self.node, self._heard) from error
        except (hiredis.HiredisError, MemoryError) as error:
            raise garbled(self.node, bytes(self._buffer[:SAID_BYTES]), error) from error
        return result

    def _rest(self, reply: Any, count: int, until: float) -> Any:
        """The replies of which only the beginning has come; reading on must not outlive `until`."""
        replies: list[Any] = []
        self._heard = replies
        until = min(until, self._monotonic() + self._timeout)
        if reply is PARTIAL:
            refuse_forged(bytes(self._buffer[:SAID_BYTES]))
        while True:
            if reply is PARTIAL:
                self._more(until)
            else:
                replies.append(reply)
                if len(replies) == count:
                    break
            reply = self._reader.gets(False)
        self._socket.settimeout(self._timeout)
        return replies[0] if count == 1 else replies

    def _more(self, until: float) -> None:
        left = until - self._monotonic()
        if left <= 0:
            raise TimeoutError
        self._socket.settimeout(min(left, self._timeout))
        size = self._socket.recv_into(self._buffer)
        if not size:
            raise ConnectionResetError(CLOSED)
        self._reader.feed(self._buffer, 0, size)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]

    def idle_and_sound(self) -> bool:
        """See `Link`."""
        poller = select.poll()
        poller.register(self._socket, select.POLLIN)
        return not poller.poll(0)

    def close(self) -> None:
        """See `Link`.

        The socket is closed, not shut down: after a fork the other process may go on using it.
        """
        self._socket.close()
