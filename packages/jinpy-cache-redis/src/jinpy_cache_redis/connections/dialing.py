"""Making connections: addresses, TCP, TLS. What is then said on them is the handshake's business.

Both forms share one deadline among all addresses of a name, so that a dead one does not use up the
time of the next. A cancellation or an exception of a signal handler that falls into a connection
being made goes on to the caller, and leaves no socket.
"""

import asyncio
import os
import socket
import ssl
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any, TypeVar

import attrs

from jinpy_cache_redis.connections.plaintext import (
    PATIENCE,
    SILENCE,
    Doubt,
    answers_plainly,
    no_tls,
)
from jinpy_cache_redis.protocol.failures import Failure, Refused, SlowConnect, Unreachable
from jinpy_cache_redis.protocol.handshake import Handshake
from jinpy_cache_redis.protocol.nodes import Node

P = TypeVar("P", bound=asyncio.Protocol)

PLAIN = "it answers in plain text"


@attrs.frozen
class Dialer:
    """Makes connections to one kind of server.

    Attributes:
        handshake: What is said first on each of them.
        context: How they are encrypted, if they are; one for all of them.
        addresses: Where to go instead of what servers say of themselves and of each other.
    """

    handshake: Handshake = attrs.field(factory=Handshake)
    context: ssl.SSLContext | None = attrs.field(default=None, repr=False)
    addresses: Mapping[Node, Node] = attrs.field(factory=dict[Node, Node])
    _secure: set[Node] = attrs.field(factory=set[Node], init=False, repr=False)
    """Where a TLS handshake has succeeded, so that there is no doubt any more."""

    def open(self, node: Node, timeout: float) -> socket.socket:
        """Connect.

        Args:
            node: The server.
            timeout: Seconds for all of it.

        Raises:
            Unreachable: It did not work; nothing was sent.
        """
        until = monotonic() + timeout
        target = self._target(node)
        try:
            sock = self._connected(target, until)
            try:
                if self.context is not None and target.port:
                    sock = self._secured(self.context, sock, target, until)
            except BaseException:
                sock.close()
                raise
        except Failure:
            raise
        except Exception as error:
            raise self._failed(node, error) from error
        return sock

    def _secured(
        self, context: ssl.SSLContext, plain: socket.socket, target: Node, until: float
    ) -> socket.socket:
        sock = context.wrap_socket(
            plain, server_hostname=target.host, do_handshake_on_connect=False
        )
        try:
            if target not in self._secure:
                sock.settimeout(max(0.001, min(SILENCE, until - monotonic())))
                try:
                    sock.do_handshake()
                except TimeoutError:
                    if answers_plainly(lambda: self._connected(target, monotonic() + PATIENCE)):
                        raise no_tls(target, PLAIN) from None
                else:
                    self._secure.add(target)
                    return sock
            sock.settimeout(max(0.001, until - monotonic()))
            sock.do_handshake()
            self._secure.add(target)
        except BaseException:
            sock.close()
            raise
        return sock

    def _connected(self, target: Node, until: float) -> socket.socket:
        found = _addresses(target) or _resolved(target)
        errors: list[OSError] = []
        for position, (family, address) in enumerate(found):
            sock = socket.socket(family, socket.SOCK_STREAM)
            try:
                _tune(sock, family)
                sock.settimeout(_share(until, len(found) - position))
                sock.connect(address)
            except OSError as error:
                sock.close()
                errors.append(error)
            except BaseException:
                sock.close()
                raise
            else:
                return sock
        raise _worst(errors)

    async def open_async(
        self, node: Node, seconds: float, protocol: Callable[[socket.socket], P]
    ) -> P:
        """Same as `open`, asynchronously.

        Args:
            node: The server.
            seconds: For all of it.
            protocol: Makes what the transport feeds from the first byte on.
        """
        try:
            async with asyncio.timeout(seconds):
                return await self._open_async(self._target(node), monotonic() + seconds, protocol)
        except Failure:
            raise
        except Exception as error:
            raise self._failed(node, error) from error

    async def _open_async(
        self, target: Node, until: float, protocol: Callable[[socket.socket], P]
    ) -> P:
        loop = asyncio.get_running_loop()
        found = _addresses(target)
        if not found:
            answers = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
            found = [(int(family), address) for family, _, _, _, address in answers]
        sock = await self._connected_async(loop, found, until)
        secured: dict[str, Any] = {}
        doubt: Doubt | None = None
        if self.context is not None and target.port:
            secured = {"ssl": self.context, "server_hostname": target.host}
            if target not in self._secure:
                doubt = Doubt(sock, lambda: self._connected_async(loop, found, until))
        try:
            _, made = await loop.create_connection(lambda: protocol(sock), sock=sock, **secured)
        except BaseException as error:
            sock.close()  # asyncio has let go of it, and would close it only on its next turn
            if doubt is not None and doubt.confirmed and isinstance(error, OSError):
                raise no_tls(target, PLAIN) from error
            raise
        finally:
            if doubt is not None:
                doubt.end()
        if secured:
            self._secure.add(target)
        return made

    async def _connected_async(
        self, loop: asyncio.AbstractEventLoop, found: list[tuple[int, Any]], until: float
    ) -> socket.socket:
        errors: list[OSError] = []
        for position, (family, address) in enumerate(found):
            sock = socket.socket(family, socket.SOCK_STREAM)
            try:
                _tune(sock, family)
                sock.setblocking(False)
                async with asyncio.timeout(_share(until, len(found) - position)):
                    await loop.sock_connect(sock, address)
            except OSError as error:
                sock.close()
                errors.append(error)
            except BaseException:
                sock.close()
                raise
            else:
                return sock
        raise _worst(errors)

    def _target(self, node: Node) -> Node:
        if not self.addresses or not node.port:
            return node
        host_only = self.addresses.get(Node(node.host, 0))
        other = Node(host_only.host, node.port) if host_only else node
        return self.addresses.get(node, other)

    def _failed(self, node: Node, error: Exception) -> Failure:
        """The failure that an exception of connecting amounts to."""
        if isinstance(error, ssl.SSLCertVerificationError):
            return Refused(f"The certificate of Redis at {node} cannot be trusted: {error}", node)
        tls = self.context is not None
        if isinstance(error, TimeoutError) and error.errno is None:
            if tls:
                message = (
                    f"Redis at {node} did not complete a TLS handshake in time. Is it a TLS port?"
                )
                return Unreachable(message, node)
            return SlowConnect(f"Redis at {node} did not accept a connection in time.", node)
        if isinstance(error, ssl.SSLError):
            return _not_secured(node, error)
        if isinstance(error, (ssl.CertificateError, UnicodeError)):
            return Refused(f"The host of Redis at {node} cannot be used: {error}.", node)
        message = (
            f"Redis at {node} cannot be reached: {_reason(error)}. Start the server, or correct "
            "the URL."
        )
        return Unreachable(message, node)


def _addresses(target: Node) -> list[tuple[int, Any]]:
    """The address of a socket's path or of a numeric host, for which nobody need be asked."""
    if not target.port:
        return [(socket.AF_UNIX, target.host)]
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, target.host)
        except (OSError, ValueError):
            continue
        return [(family, (target.host, target.port))]
    return []


def _resolved(target: Node) -> list[tuple[int, Any]]:
    answers = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    return [(family, address) for family, _, _, _, address in answers]


def _tune(sock: socket.socket, family: int) -> None:
    if family != socket.AF_UNIX:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def _share(until: float, addresses: int) -> float:
    """The seconds that the next of so many addresses gets."""
    return max(0.001, (until - monotonic()) / addresses)


def _worst(errors: list[OSError]) -> OSError:
    """The error to tell: one of the system rather than that time ran out."""
    spoken = [error for error in errors if not isinstance(error, TimeoutError)]
    return (spoken or errors or [OSError("the name has no address")])[0]


def _not_secured(node: Node, error: ssl.SSLError) -> Failure:
    """The failure of a TLS handshake that the two sides could not agree on."""
    said = error.reason or str(error)
    if said in {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST"}:
        return no_tls(node, said)
    if "ALERT" in said:
        message = (
            f"Redis at {node} refused the TLS handshake ({said}). If it asks for certificates of "
            "its clients, give ssl_certfile and ssl_keyfile."
        )
        return Refused(message, node)
    return Unreachable(f"The TLS handshake with Redis at {node} failed: {said}.", node)


def _reason(error: Exception) -> str:
    """The operating system's own words; asyncio puts the address in their place."""
    if isinstance(error, OSError) and error.errno is not None:
        number = error.errno
        if number > 0:
            return os.strerror(number)
        return error.strerror or str(error)
    return str(error).rstrip(".") or type(error).__name__
