"""Which server to ask: one fixed server, the primary that sentinels name, or the owner of a slot.

A topology is shared by every thread and loop of a backend. Its knowledge is replaced as a whole,
never changed, so no lock is needed; finding it out twice at once does no harm, but where many want
to know at once one asks for all (see the drivers). Finding out is a generator of exchanges, like an
operation's plan, so it too is written once for both drivers.
"""

from collections.abc import Callable, Generator, Iterator
from typing import Any, NamedTuple, Protocol, TypeAlias

import attrs

from jinpy_cache_redis.protocol.failures import Failure, Refused, ServerError, SlowConnect
from jinpy_cache_redis.protocol.handshake import Greeting
from jinpy_cache_redis.protocol.nodes import Node
from jinpy_cache_redis.protocol.requests import Request


class Exchange(NamedTuple):
    """Asks the driver to send a request to a server; answered with the reply or a raised `Failure`.

    Attributes:
        node: The server.
        request: What to send.
        until: When to give up, on the monotonic clock.
        guide: Whether the server is asked about others (a sentinel) rather than for data.
    """

    node: Node
    request: Request
    until: float
    guide: bool = False


class Pause(NamedTuple):
    """Asks the driver to wait.

    Attributes:
        seconds: How long.
    """

    seconds: float


class Discover(NamedTuple):
    """Asks the driver to find out about servers, together with whoever else wants to know.

    Attributes:
        until: When to give up, on the monotonic clock.
    """

    until: float


Effect: TypeAlias = Exchange | Pause | Discover

Discovery: TypeAlias = Generator[Effect, Any, None]
"""Finding out about servers; raises a `Failure` when no one tells."""


class Topology(Protocol):
    """Knows the servers."""

    sharded: bool
    """Whether keys live on different servers, so that one command cannot name several keys."""

    greeting: Greeting | None
    """What a new connection to a data server is asked."""

    def node_for(self, key: bytes | None) -> Node | None:
        """The server for a storage key, or for anything; `None` when it must be found out."""
        raise NotImplementedError

    def primaries(self) -> list[Node] | None:
        """Every server that holds data; `None` when that must be found out."""
        raise NotImplementedError

    def owns(self, node: Node, key: bytes) -> bool:
        """Whether a storage key may be written on a server."""
        raise NotImplementedError

    def discover(self, until: float) -> Discovery:
        """Find out what `node_for` and `primaries` need."""
        raise NotImplementedError

    def learn(self, node: Node, failure: Failure, key: bytes | None) -> Node | None:
        """Take note of a failure; the server that the reply pointed to for this once, if any.

        Raises:
            Failure: It means something else, for which there is no help.
        """
        raise NotImplementedError


@attrs.define
class OneServer:
    """A fixed address."""

    node: Node
    sharded: bool = attrs.field(default=False, init=False)
    greeting: Greeting | None = attrs.field(default=None, init=False)

    def node_for(self, key: bytes | None) -> Node | None:
        """See `Topology`."""
        return self.node

    def primaries(self) -> list[Node] | None:
        """See `Topology`."""
        return [self.node]

    def owns(self, node: Node, key: bytes) -> bool:
        """See `Topology`."""
        return True

    def discover(self, until: float) -> Discovery:
        """See `Topology`."""
        yield from ()

    def learn(self, node: Node, failure: Failure, key: bytes | None) -> Node | None:
        """See `Topology`; a cluster's directions say that the URL should be another."""
        if isinstance(failure, ServerError) and failure.code in {"MOVED", "ASK"}:
            message = (
                f"Redis at {node} is a node of a cluster: write redis+cluster://{node} instead, "
                "rediss+cluster:// where it speaks TLS."
            )
            raise Refused(message, node) from failure
        return None


FIRST_PATIENCE = 0.3
"""Seconds for each server that is asked about others, until all have been asked once."""


def in_two_sweeps(
    nodes: list[Node], until: float, monotonic: Callable[[], float]
) -> Iterator[tuple[Node, float]]:
    """Whom to ask about others, and until when.

    One that hangs costs little the first time round; whoever needs longer gets it the second time.
    """
    for node in nodes:
        yield node, min(until, monotonic() + FIRST_PATIENCE)
    for node in nodes:
        yield node, until


def untold() -> SlowConnect:
    """The failure of who waited for somebody else to find out about servers."""
    return SlowConnect("No server told in time who holds the data.")


def decoded(reply: Any) -> str:
    """A host or port in a reply, as text."""
    return reply.decode() if isinstance(reply, bytes) else str(reply)


def refusal(reply: Any) -> Any:
    """The reply, unless it is an error, which is raised."""
    if isinstance(reply, ServerError):
        raise reply
    return reply
