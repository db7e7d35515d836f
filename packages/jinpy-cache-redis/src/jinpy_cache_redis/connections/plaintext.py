"""Whether a port that is silent in a TLS handshake speaks Redis without TLS.

A server without TLS takes the handshake for the beginning of a command, and waits for the rest of
it. Only on a second connection, without TLS, does it say what it is: it is asked `PING` there,
which gives nothing away. That is done once for each server, and only while the handshake is silent.
"""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable

from jinpy_cache_redis.protocol.failures import Refused
from jinpy_cache_redis.protocol.nodes import Node

SILENCE = 0.08
"""Seconds without an answer to the handshake until the server is asked in plain text."""

PATIENCE = 0.5
"""Seconds that the answer to that may take."""

_PING = b"PING\r\n"

_SIGNS = (b"+PONG", b"-NOAUTH", b"-DENIED", b"-ERR", b"-LOADING")
"""How a server answers that understood the question."""


def answers_plainly(connect: Callable[[], socket.socket]) -> bool:
    """Whether what listens is a Redis without TLS.

    Args:
        connect: Makes a connection, within `PATIENCE`.
    """
    with contextlib.suppress(OSError), connect() as sock:
        sock.settimeout(PATIENCE)
        sock.sendall(_PING)
        return sock.recv(64).startswith(_SIGNS)
    return False


class Doubt:
    """Watches over one TLS handshake on an event loop, and breaks it off if it is in vain.

    Args:
        sock: The socket that the handshake runs on.
        connect: Makes another connection to the same place, within `PATIENCE`.
    """

    def __init__(
        self, sock: socket.socket, connect: Callable[[], Awaitable[socket.socket]]
    ) -> None:
        self._sock = sock
        self._connect = connect
        self._asking: asyncio.Task[None] | None = None
        self._timer = asyncio.get_running_loop().call_later(SILENCE, self._begin)
        self.confirmed = False

    def _begin(self) -> None:
        self._asking = asyncio.get_running_loop().create_task(self._ask())

    async def _ask(self) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            async with asyncio.timeout(PATIENCE):
                with await self._connect() as sock:
                    await loop.sock_sendall(sock, _PING)
                    self.confirmed = (await loop.sock_recv(sock, 64)).startswith(_SIGNS)
            if self.confirmed:
                self._sock.shutdown(socket.SHUT_RDWR)

    def end(self) -> None:
        """The handshake is over, however it ended."""
        self._timer.cancel()
        if self._asking is not None:
            self._asking.cancel()


def no_tls(node: Node, said: str) -> Refused:
    """The failure of a server that does not speak TLS."""
    message = (
        f"Redis at {node} does not speak TLS ({said}). Give the port that does, or write "
        "redis:// where the network is trusted."
    )
    return Refused(message, node)
