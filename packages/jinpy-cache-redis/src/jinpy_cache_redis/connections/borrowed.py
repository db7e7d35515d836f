"""Using connections of a redis-py client or pool that the application already has.

They are lent for one exchange at a time and never closed by us, except when an exchange was cut
short and its reply would reach the next borrower. Only public methods of redis-py are used here.
"""

import asyncio
from typing import Any, cast

import redis
import redis.asyncio
import redis.exceptions as errors

from jinpy_cache_core import CacheConfigurationError
from jinpy_cache_redis.protocol.failures import (
    Exhausted,
    Failure,
    Lost,
    Refused,
    ServerError,
    Silent,
    Unreachable,
)
from jinpy_cache_redis.protocol.nodes import Node
from jinpy_cache_redis.protocol.requests import Request

CODES: dict[type[Exception], str] = {
    errors.BusyLoadingError: "LOADING",
    errors.ReadOnlyError: "READONLY",
    errors.OutOfMemoryError: "OOM",
    errors.NoPermissionError: "NOPERM",
    errors.ExecAbortError: "EXECABORT",
    errors.AuthenticationError: "NOAUTH",
    errors.MasterDownError: "MASTERDOWN",
    errors.ClusterDownError: "CLUSTERDOWN",
    errors.TryAgainError: "TRYAGAIN",
    errors.MovedError: "MOVED",
    errors.AskError: "ASK",
}
"""The codes that redis-py takes off the messages of its exceptions."""


def check_given(client: object, name: str) -> None:
    """Check that something is a client or pool that can lend connections.

    Raises:
        CacheConfigurationError: It is not.
    """
    if client is None:
        return
    kinds: tuple[type[Any], ...]
    if name == "client":
        kinds, words = (redis.Redis, redis.ConnectionPool), "a redis.Redis or redis.ConnectionPool"
    else:
        kinds = (redis.asyncio.Redis, redis.asyncio.ConnectionPool)
        words = "a redis.asyncio.Redis or redis.asyncio.ConnectionPool"
    if not isinstance(client, kinds):
        message = (
            f"{name}= takes {words}, not {type(client).__module__}.{type(client).__name__}. "
            "For a cluster give its URL, redis+cluster://host:port, instead of a client."
        )
        raise CacheConfigurationError(message)


def pool_of(client: Any) -> Any:
    """The pool of a client, or the pool itself."""
    return getattr(client, "connection_pool", client)


class BorrowedPool:
    """A `Pool` over a redis-py one."""

    def __init__(self, pool: Any, node: Node) -> None:
        self._pool = pool
        self._node = node

    def exchange(self, request: Request, until: float, *, hurried: bool = False) -> Any:
        """See `Pool`."""
        link = self.take(until)
        sound = False
        try:
            reply = link.ask(request, until, hurried=hurried)
            sound = True
        finally:
            if sound:
                self.give_back(link)
            else:
                self.discard(link)
        return reply

    def take(self, until: float) -> "BorrowedLink":
        """See `Pool`."""
        try:
            return BorrowedLink(self._pool.get_connection(), self._node)
        except Exception as error:
            raise failure_of(error, self._node, sent=False) from error

    def give_back(self, link: "BorrowedLink") -> None:
        """See `Pool`."""
        self._pool.release(link.connection)

    def discard(self, link: "BorrowedLink") -> None:
        """See `Pool`."""
        link.connection.disconnect()
        self._pool.release(link.connection)

    def drop_idle(self) -> None:
        """See `Pool`."""

    def close(self) -> None:
        """See `Pool`."""

    def forsake(self) -> None:
        """See `Pool`."""

    def abandon(self) -> None:
        """See `Pool`."""


class BorrowedLink:
    """A connection of redis-py for one exchange."""

    def __init__(self, connection: Any, node: Node) -> None:
        self.connection = connection
        self._node = node

    def ask(self, request: Request, until: float, *, hurried: bool = False) -> Any:
        """See `jinpy_cache_redis.connections.connection.Link`."""
        try:
            self.connection.send_packed_command([request.data], check_health=False)
            replies = [self._reply() for _ in range(request.replies)]
        except Exception as error:
            raise failure_of(error, self._node, sent=True) from error
        return replies[0] if request.replies == 1 else replies

    def _reply(self) -> Any:
        try:
            return plain(self.connection.read_response(disable_decoding=True))
        except redis.ResponseError as error:
            return plain(error)


class BorrowedAsyncPool:
    """An `AsyncPool` over a redis-py one, on the one loop that it belongs to."""

    def __init__(self, pool: Any, node: Node, timeout: float) -> None:
        self._pool = pool
        self._node = node
        self._timeout = timeout

    async def exchange(self, request: Request, until: float) -> Any:
        """See `AsyncPool`."""
        link = await self.take(until)
        try:
            reply = await link.ask(request, self._timeout)
        except BaseException:
            await link.connection.disconnect(nowait=True)
            await self._pool.release(link.connection)
            raise
        await self._pool.release(link.connection)
        return reply

    async def take(self, until: float) -> "BorrowedAsyncLink":
        """See `AsyncPool`."""
        try:
            return BorrowedAsyncLink(await self._pool.get_connection(), self._node)
        except Exception as error:
            raise failure_of(error, self._node, sent=False) from error

    async def put_back(self, link: "BorrowedAsyncLink", *, clean: bool) -> None:
        """See `AsyncPool`."""
        if not clean:
            await link.connection.disconnect(nowait=True)
        await self._pool.release(link.connection)

    def drop_idle(self) -> None:
        """See `AsyncPool`."""

    def close(self) -> None:
        """See `AsyncPool`."""

    async def wait_closed(self) -> None:
        """See `AsyncPool`."""

    def forsake(self) -> None:
        """See `AsyncPool`."""

    def abandon(self) -> None:
        """See `AsyncPool`."""


class BorrowedAsyncLink:
    """A connection of redis-py for one exchange."""

    def __init__(self, connection: Any, node: Node) -> None:
        self.connection = connection
        self._node = node

    async def ask(self, request: Request, seconds: float) -> Any:
        """See `jinpy_cache_redis.connections.async_connection.StreamLink`."""
        try:
            async with asyncio.timeout(seconds):
                await self.connection.send_packed_command([request.data], check_health=False)
                replies = [await self._reply() for _ in range(request.replies)]
        except Exception as error:
            raise failure_of(error, self._node, sent=True) from error
        return replies[0] if request.replies == 1 else replies

    async def _reply(self) -> Any:
        try:
            return plain(await self.connection.read_response(disable_decoding=True))
        except redis.ResponseError as error:
            return plain(error)


def plain(reply: Any) -> Any:
    """A reply as our own links return it: with error replies as `ServerError`, at any depth."""
    if isinstance(reply, list):
        return [plain(one) for one in cast("Any", reply)]
    if isinstance(reply, redis.RedisError):
        code = CODES.get(type(reply))
        return ServerError(f"{code} {reply}" if code else str(reply))
    return reply


def failure_of(error: Exception, node: Node, *, sent: bool) -> Failure:
    """The failure that an exception of redis-py amounts to."""
    if isinstance(error, (errors.AuthenticationError, errors.NoPermissionError)):
        return Refused(f"Redis at {node} refused the connection: {type(error).__name__}.", node)
    if isinstance(error, errors.BusyLoadingError):
        return ServerError(f"LOADING {error}", node)
    if isinstance(error, errors.MaxConnectionsError) or "No connection available" in str(error):
        return Exhausted(f"No connection of the given pool became free: {error}", node)
    if isinstance(error, (redis.TimeoutError, TimeoutError)) and sent:
        return Silent(f"Redis at {node} did not answer in time.", node)
    kind = Lost if sent else Unreachable
    return kind(f"The connection to Redis at {node} failed: {error}", node)
