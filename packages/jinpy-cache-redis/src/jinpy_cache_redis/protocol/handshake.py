"""What is said on a new connection before it is used.

All of it is written at once and answered in one round trip. Nothing of it is a request of anybody,
so a failure here never leaves an outcome unknown.
"""

from collections.abc import Callable
from typing import Any

import attrs

from jinpy_cache_redis.protocol.failures import (
    Failure,
    Garbled,
    Lost,
    Refused,
    ServerError,
    Silent,
    SlowConnect,
    Unreachable,
    with_way_out,
)
from jinpy_cache_redis.protocol.nodes import Node
from jinpy_cache_redis.protocol.requests import Request, pack

LIBRARY = b"jinpy-cache"
"""What the server's `CLIENT LIST` shows as the library."""

TLS_ALERT = b"\x15\x03"
"""How an answer begins that a TLS port gives to plain text."""


class Handshake:
    """Introduces us: user, database, names.

    A server that does not know `CLIENT SETINFO`, or does not let us use it, is asked once.

    Args:
        username: The user, if it is not the default one.
        password: Its password.
        db: The database.
        client_name: What `CLIENT LIST` is to show.
    """

    def __init__(
        self,
        *,
        username: str | None = None,
        password: bytes | None = None,
        db: int = 0,
        client_name: str | None = None,
    ) -> None:
        self._secrets = [one.decode(errors="replace") for one in (password,) if one]
        self._introduces = True
        self._needed: list[bytes] = []
        if password is not None:
            user = [] if username is None else [username.encode()]
            self._needed.append(pack(b"AUTH", *user, password))
        if db:
            self._needed.append(pack(b"SELECT", b"%d" % db))
        if client_name is not None:
            self._needed.append(pack(b"CLIENT", b"SETNAME", client_name.encode()))

    def request(self) -> Request | None:
        """What to send; `None` when there is nothing to say."""
        commands = list(self._needed)
        if self._introduces:
            commands.append(pack(b"CLIENT", b"SETINFO", b"LIB-NAME", LIBRARY))
        return Request(b"".join(commands), replies=len(commands)) if commands else None

    def check(self, request: Request, answer: Any, node: Node) -> None:
        """Look at the replies.

        Raises:
            Failure: The server does not take us.
        """
        replies = [answer] if request.replies == 1 else answer
        for position, reply in enumerate(replies):
            if not isinstance(reply, ServerError):
                continue
            if position >= len(self._needed) and not reply.refuses:
                self._introduces = False
                continue
            raise self._refused(reply, node)

    def failed(self, failure: Failure, node: Node) -> Failure:
        """What a failure to get replies amounts to, here where nobody's request was sent."""
        if isinstance(failure, Lost):
            for reply in failure.heard:
                if isinstance(reply, ServerError):
                    return self._refused(reply, node)
        if isinstance(failure, Garbled):
            return self._foreign(failure, node)
        if isinstance(failure, Silent):
            return SlowConnect(f"Redis at {node} did not answer the handshake in time.", node)
        if isinstance(failure, Lost):
            message = f"{failure.reason.rstrip('.')}, before it had answered anything."
            return Unreachable(message, node)
        return failure

    def _refused(self, reply: ServerError, node: Node) -> Failure:
        text = reply.reason
        for secret in self._secrets:
            text = text.replace(secret, "***")
        if reply.passing:
            return ServerError(text, node)
        return Refused(with_way_out(f"Redis at {node} refused the connection: ", text), node)

    def _foreign(self, failure: Garbled, node: Node) -> Failure:
        said = failure.said
        if said.startswith(TLS_ALERT):
            message = f"The port {node} speaks TLS. Write rediss:// instead of redis://."
            return Refused(message, node)
        head = said.split(b"\r\n")[0][:60].decode(errors="replace")
        message = (
            f"What listens at {node} is not Redis: it answered {head!r}. Correct the host or the "
            "port in the URL."
        )
        return Refused(message, node)


@attrs.frozen
class Greeting:
    """A request for each new link, and what its reply must be.

    Attributes:
        request: Sent right after the handshake.
        check: Called with the reply and the node; raises a `Failure` if the link is no good.
    """

    request: Request
    check: Callable[[Any, Node], None]


def _check_role(reply: Any, node: Node) -> None:
    if isinstance(reply, ServerError):
        raise reply
    if not (isinstance(reply, list) and reply and reply[0] == b"master"):
        message = f"Redis at {node} is not the primary any more; the sentinels are asked again."
        raise Unreachable(message, node)


PRIMARY_ONLY = Greeting(Request(pack(b"ROLE")), _check_role)
"""Refuses a server that sentinels named but that has been demoted since."""
