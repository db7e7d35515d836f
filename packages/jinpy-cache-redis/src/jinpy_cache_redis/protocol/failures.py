"""How an exchange with a server can fail, and what the caller is told in the end.

Foreign exceptions (of sockets, of redis-py, of hiredis) become one of the failures below where they
arise; the failures decide about retries; the last one becomes a `CacheException`. What matters most
about a failure is whether the server may have executed the request all the same.
"""

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

    def told(self) -> CacheException:
        """The error for the caller."""
        return CacheConnectionError(self.reason, errno=errno_of(self))


class Unreachable(Failure):
    """No connection could be made; nothing was sent."""


class SlowConnect(Unreachable):
    """No connection was made in time; nothing was sent."""

    def told(self) -> CacheException:
        """The error for the caller."""
        return CacheTimeoutError(self.reason, errno=errno_of(self))


class Refused(Unreachable):
    """The server does not want us (wrong password, no permission), or cannot be trusted."""

    final = True


class Lost(Failure):
    """The connection broke after the request was sent."""

    executed = True


class Silent(Failure):
    """The reply did not come in time."""

    executed = True

    def told(self) -> CacheException:
        """The error for the caller."""
        return CacheTimeoutError(self.reason, errno=errno_of(self))


class Exhausted(Failure):
    """No connection of the pool became free in time."""

    final = True

    def told(self) -> CacheException:
        """The error for the caller."""
        return PoolBusyError(self.reason)


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
        return self.code in PASSING or self.reason.startswith(TOO_MANY_CLIENTS)

    @property
    def distrusts(self) -> bool:
        """Whether connections to this server should be made anew."""
        return self.code == "READONLY" or self.reason.startswith(HANGS_UP)

    def told(self) -> CacheException:
        """The error for the caller."""
        server = "The Redis server" if self.node is None else f"The Redis server {self.node}"
        message = f"{server} answered: {self.reason}"
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
