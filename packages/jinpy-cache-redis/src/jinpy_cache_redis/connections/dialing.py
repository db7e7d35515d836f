"""Connections are made by redis-py, and taken over once they stand.

Addresses, TCP options, TLS, AUTH, SELECT and the rest of the handshake are redis-py's business. The
exchange of commands and replies has its own rules here (a total deadline, no hidden retry, nothing
left unread), so the socket is taken from the connection that redis-py has made.

This is the only module that touches what is private to redis-py's connections: `_sock` of the
synchronous one, `_reader` and `_writer` of the asynchronous one, the same since version 4.
"""

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import Callable
from typing import Any, cast

import attrs
import redis
import redis.asyncio
import redis.exceptions as errors
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from jinpy_cache_redis.protocol.failures import Refused, SlowConnect, Unreachable
from jinpy_cache_redis.protocol.nodes import Node

REFUSALS = (
    errors.AuthenticationError,
    errors.AuthorizationError,
    errors.AuthenticationWrongNumberOfArgsError,
    errors.NoPermissionError,
)
"""What redis-py raises when the server does not accept the user."""


@attrs.frozen
class Dialer:
    """Makes connections to one kind of server.

    Attributes:
        options: What redis-py's connection classes take besides the address and the timeouts.
        tls: Whether connections are encrypted.
    """

    options: dict[str, Any] = attrs.field(repr=False)
    tls: bool = False

    def open(self, node: Node, timeout: float) -> socket.socket:
        """Connect and take the socket.

        Args:
            node: The server.
            timeout: Seconds for connecting, and again for each step of the handshake.

        Raises:
            Unreachable: It did not work; nothing was sent but the handshake.
        """
        connection = self._class_for(node, redis)(
            **self._arguments(node, timeout, Retry(NoBackoff(), 0))
        )
        try:
            connection.connect()
            taken: socket.socket | None = connection._sock
            connection._sock = None
        except Exception as error:
            connection.disconnect()
            raise _unreachable(node, error, tls=self.tls) from error
        except BaseException:
            connection.disconnect()
            raise
        if taken is None:
            message = f"redis-py gave no socket for {node}."
            raise Unreachable(message, node)
        return taken

    async def open_async(
        self, node: Node, seconds: float
    ) -> tuple[asyncio.Transport, asyncio.StreamWriter]:
        """Same as `open`, asynchronously.

        Returns:
            The transport, whose protocol is to be replaced, and the writer that must live as long.
        """
        connection = self._class_for(node, redis.asyncio)(
            **self._arguments(node, seconds, AsyncRetry(NoBackoff(), 0))
        )
        try:
            async with asyncio.timeout(seconds):
                await connection.connect()
            writer: asyncio.StreamWriter = connection._writer
            connection._reader = connection._writer = None
        except Exception as error:
            await _hang_up(connection)
            raise _unreachable(node, error, tls=self.tls) from error
        except BaseException:
            await _hang_up(connection)
            raise
        return cast("asyncio.Transport", writer.transport), writer

    def _class_for(self, node: Node, package: Any) -> Callable[..., Any]:
        kind = "Connection" if node.port else "UnixDomainSocketConnection"
        found: Callable[..., Any] = getattr(
            package, "SSLConnection" if node.port and self.tls else kind
        )
        return found

    def _arguments(self, node: Node, timeout: float, retry: object) -> dict[str, Any]:
        address = {"host": node.host, "port": node.port} if node.port else {"path": node.host}
        return {
            **self.options,
            **address,
            "protocol": 2,
            "retry": retry,
            "socket_connect_timeout": timeout,
            "socket_timeout": timeout,
        }


async def _hang_up(connection: Any) -> None:
    with contextlib.suppress(Exception):
        await connection.disconnect(nowait=True)


def _unreachable(node: Node, error: Exception, *, tls: bool) -> Unreachable:
    """The failure that an exception of connecting amounts to."""
    if isinstance(error, REFUSALS):
        code = getattr(error, "status_code", None)
        return Refused(
            f"Redis at {node} refused the connection: {code or type(error).__name__}.", node
        )
    if _distrusts(error):
        return Refused(f"The certificate of Redis at {node} cannot be trusted: {error}", node)
    if isinstance(error, (TimeoutError, redis.TimeoutError)):
        if tls:
            message = f"Redis at {node} did not complete a TLS handshake in time. Is it a TLS port?"
            return Unreachable(message, node)
        return SlowConnect(f"Redis at {node} did not accept a connection in time.", node)
    reason = _reason(error)
    message = f"Redis at {node} cannot be reached: {reason}. Start the server, or correct the URL."
    return Unreachable(message, node)


def _reason(error: Exception) -> str:
    """The operating system's own words, which redis-py repeats within longer ones."""
    link: BaseException | None = error
    for _ in range(8):
        if link is None or isinstance(link, ssl.SSLError):
            break
        if isinstance(link, OSError) and link.strerror:
            # asyncio puts the address in place of the words for a positive number.
            number = link.errno or 0
            return os.strerror(number) if number > 0 else link.strerror
        link = link.__cause__ or link.__context__
    return str(error).rstrip(".")


def _distrusts(error: BaseException | None) -> bool:
    for _ in range(8):
        if error is None:
            return False
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False
