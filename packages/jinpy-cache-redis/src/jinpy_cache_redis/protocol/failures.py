"""How an exchange with a server can fail, and what the caller is told in the end.

Foreign exceptions (of sockets, of redis-py, of hiredis) become one of the failures below where they
arise; the failures decide about retries; the last one becomes a `CacheException`. What matters most
about a failure is whether the server may have executed the request all the same.
"""

from collections.abc import Sequence
from typing import ClassVar

from jinpy_cache_core import (
    CacheBackendError,
    CacheConnectionError,
    CacheException,
    CacheTimeoutError,
    CacheValueError,
)
from jinpy_cache_redis.protocol.nodes import Node

UNKNOWN_OUTCOME = (
    "It was not sent again, as the server may have executed it: the outcome is unknown."
)


class PoolBusyError(CacheTimeoutError):
    """No connection of our own pool became free in time: says nothing about the server."""


class Failure(Exception):  # noqa: N818 - it is what happened, not yet an error
    """The root of what can go wrong between a request and its reply.

    Attributes:
        executed: Whether the server may have executed the request.
        final: Whether trying again is pointless or harmful.
    """

    executed: ClassVar[bool] = False
    final: ClassVar[bool] = False

    def __init__(self, reason: str, node: Node | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.node = node

    def told(self, reason: str = "") -> CacheException:
        """The error for the caller; one failure may be that of many callers, and is not changed.

        Args:
            reason: What to say instead of the failure's own reason.
        """
        return CacheConnectionError(reason or self.reason, errno=errno_of(self))


class Unreachable(Failure):
    """No connection could be made; nothing was sent."""


class SlowConnect(Unreachable):
    """No connection was made in time; nothing was sent."""

    def told(self, reason: str = "") -> CacheException:
        """See `Failure`."""
        return CacheTimeoutError(reason or self.reason, errno=errno_of(self))


class Refused(Unreachable):
    """The server does not want us (wrong password, no permission), or cannot be trusted."""

    final = True


class Lost(Failure):
    """The connection broke after the request was sent.

    Attributes:
        heard: The replies that had come by then, if several were due.
    """

    executed = True

    def __init__(self, reason: str, node: Node | None = None, heard: Sequence[object] = ()) -> None:
        super().__init__(reason, node)
        self.heard = heard


class Garbled(Lost):
    """What came is no reply: the other side does not speak the protocol, or forged a length.

    Attributes:
        said: The beginning of what came.
    """

    def __init__(self, reason: str, node: Node | None = None, said: bytes = b"") -> None:
        super().__init__(reason, node)
        self.said = said


class Silent(Failure):
    """The reply did not come in time."""

    executed = True

    def told(self, reason: str = "") -> CacheException:
        """See `Failure`."""
        return CacheTimeoutError(reason or self.reason, errno=errno_of(self))


class Exhausted(Failure):
    """No connection of the pool became free in time."""

    final = True

    def told(self, reason: str = "") -> CacheException:
        """See `Failure`."""
        return PoolBusyError(reason or self.reason)


class ServerError(Failure):
    """An error reply. The server did not execute the request.

    Attributes:
        code: The first word of the reply.
    """

    def __init__(self, text: str, node: Node | None = None) -> None:
        super().__init__(text, node)
        self.code = text.partition(" ")[0]

    @property
    def passing(self) -> bool:
        """Whether the server may well answer differently in a moment."""
        return self.code in PASSING

    @property
    def refuses(self) -> bool:
        """Whether the server does not serve this connection at all, whatever it is asked."""
        return (
            self.code in {"NOAUTH", "DENIED"}
            or self.passing
            or self.reason.startswith(TOO_MANY_CLIENTS)
        )

    @property
    def distrusts(self) -> bool:
        """Whether connections to this server should be made anew."""
        return self.code == "READONLY" or self.reason.startswith(HANGS_UP)

    def told(self, reason: str = "") -> CacheException:
        """See `Failure`."""
        server = "The Redis server" if self.node is None else f"The Redis server {self.node}"
        message = with_way_out(f"{server} answered: ", reason or self.reason)
        if self.code == "WRONGTYPE":
            message = (
                "The key holds something that is no value of this cache, such as a list or a hash; "
                "it was left as it is."
            )
            return CacheValueError(message, server_code=self.code)
        if self.code in CONNECTION_CODES or self.reason.startswith(TOO_MANY_CLIENTS):
            return CacheConnectionError(message, server_code=self.code)
        return CacheBackendError(message, server_code=self.code)


PASSING = frozenset(
    {"LOADING", "READONLY", "TRYAGAIN", "CLUSTERDOWN", "MASTERDOWN", "ASK", "MOVED"}
)
"""Codes of states that end by themselves: a restart, a failover, a slot on its way."""

CONNECTION_CODES = frozenset({"LOADING", "READONLY", "NOAUTH", "WRONGPASS", "NOPERM"})
"""Codes that say: this is not the server, or not the user, that can serve the cache."""

HANGS_UP = "ERR Protocol error"
"""How the last reply of a connection begins that the server closes after it."""

TOO_MANY_CLIENTS = "ERR max number of clients"

WAYS_OUT = {
    "NOAUTH": "Give the password, in the URL before the host or by the setting `password`.",
    "WRONGPASS": "Correct `username` and `password`; in a URL they are percent-encoded.",
    "ERR invalid password": "Correct the password; in a URL it is percent-encoded.",
    "NOPERM": "Have the server's administrator allow it to this user (ACL SETUSER), or give "
    "another user.",
    "ERR Client sent AUTH, but no password is set": "Take the password out of the URL and the "
    "settings.",
    "ERR AUTH <password> called without any password": "Take the password out of the URL and the "
    "settings, or name the user that it belongs to.",
    "ERR wrong number of arguments for 'auth'": "This server knows no users: give the password "
    "alone.",
    "ERR DB index is out of range": "Choose a lower `db`, or raise `databases` on the server.",
    "ERR invalid DB index": "Choose a lower `db`, or raise `databases` on the server.",
    "ERR SELECT is not allowed": "A cluster has database 0 only: leave `db` out, and write "
    "redis+cluster://.",
    TOO_MANY_CLIENTS: "Raise `maxclients` on the server, or lower `pool_size` here.",
    "DENIED": "Set a password on the server, or let it listen for this host.",
    "ERR unknown command 'GET'": "If this is a sentinel, write redis+sentinel://host:port/service.",
    "ERR unknown command `GET`": "If this is a sentinel, write redis+sentinel://host:port/service.",
}
"""How the server's words begin, and what to do about them."""


def with_way_out(opening: str, text: str) -> str:
    """The server's words, and what to do about them if that is known."""
    hint = next((hint for head, hint in WAYS_OUT.items() if text.startswith(head)), "")
    if not hint:
        return opening + text
    stop = "" if text.endswith((".", "?", "!")) else "."
    return f"{opening}{text}{stop} {hint}"


def first_error(replies: list[object], *, tolerant: bool = False) -> ServerError | None:
    """The first error among several replies: of a transaction, the one that made it abort.

    Args:
        replies: What came, in order.
        tolerant: Whether an entry of a foreign type is no error.
    """
    for reply in replies:
        if isinstance(reply, ServerError) and not (tolerant and reply.code == "WRONGTYPE"):
            return reply
    return None


def errno_of(error: BaseException | None) -> int | None:
    """The operating system's error number, from the chain of causes."""
    for _ in range(8):
        if error is None:
            break
        if isinstance(error, OSError) and error.errno is not None:
            return error.errno
        error = error.__cause__ or error.__context__
    return None
