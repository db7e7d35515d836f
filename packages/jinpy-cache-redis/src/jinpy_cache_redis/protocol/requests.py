"""What goes over the wire: packed commands with what a driver must know of them."""

from collections.abc import Callable, Generator, Iterable
from typing import Any, NamedTuple, TypeAlias, TypeVar, cast

import hiredis

from jinpy_cache_redis.protocol.nodes import Node

T = TypeVar("T")

_pack_command: Callable[[tuple[bytes, ...]], bytes] = cast("Any", hiredis).pack_command


class Request(NamedTuple):
    """Commands that are written at once, to one server, and answered one by one.

    Attributes:
        data: The commands, packed.
        key: A storage key among them, which decides the server in a cluster; `None` for any server.
        replies: How many replies come back: the result of one is the reply itself, that of several
            is a list.
        repeatable: Whether the request may be sent again when it is unknown whether the server
            executed it.
        node: The server to ask, when it is not for the key to decide.
        tolerant: Whether an entry of a foreign type is an answer like any other, not an error.
        renewed: Whether the operation's time budget starts anew, as for each page of a scan.
        once: Whether the caller can do without the answer, so that it is not worth waiting for a
            second attempt; only a connection that was idle, and turns out to be closed, is.
    """

    data: bytes
    key: bytes | None = None
    replies: int = 1
    repeatable: bool = True
    node: Node | None = None
    tolerant: bool = False
    renewed: bool = False
    once: bool = False


class Several(NamedTuple):
    """Requests of any keys, each with one reply; one round trip for each server concerned."""

    requests: list[Request]


class Hold(NamedTuple):
    """A request whose connection is kept for the plan's next step, a `Finish`.

    Answered with the replies. `WATCH` needs it: what it guards is the transaction that follows on
    the same connection.
    """

    request: Request


class Finish(NamedTuple):
    """The request that ends a `Hold`; it is sent once, and then its connection is free."""

    request: Request


class Servers(NamedTuple):
    """Asks for the nodes that hold the data: one, or every primary of a cluster.

    Attributes:
        fresh: Whether to find out anew what is known already.
    """

    fresh: bool = False


Step: TypeAlias = Request | Several | Servers | Hold | Finish

Plan: TypeAlias = Generator[Step, Any, T]
"""An operation, written once: it yields what to ask, is sent what was answered, returns its result.

A plan does no I/O of its own, so the same one serves the synchronous and the asynchronous driver.
"""


def pack(*parts: bytes) -> bytes:
    """One command in the protocol's form, length-prefixed throughout: nothing can be injected."""
    return _pack_command(parts)


def pack_transaction(commands: Iterable[tuple[bytes, ...]]) -> tuple[bytes, int]:
    """Commands between `MULTI` and `EXEC`, and how many replies that makes."""
    packed = [MULTI, *(pack(*command) for command in commands), _EXEC]
    return b"".join(packed), len(packed)


MULTI = pack(b"MULTI")
"""How a transaction begins."""

_EXEC = pack(b"EXEC")


def split_commands(data: bytes) -> list[bytes]:
    """The commands that were packed, each packed by itself."""
    commands: list[bytes] = []
    at = 0
    while at < len(data):
        end = data.index(b"\r\n", at)
        parts, reached = int(data[at + 1 : end]), end + 2
        for _ in range(parts):
            end = data.index(b"\r\n", reached)
            reached = end + 2 + int(data[reached + 1 : end]) + 2
        commands.append(data[at:reached])
        at = reached
    return commands
