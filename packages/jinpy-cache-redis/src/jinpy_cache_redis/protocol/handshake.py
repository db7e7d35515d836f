"""What a new connection is asked before it is used."""

from collections.abc import Callable
from typing import Any

import attrs

from jinpy_cache_redis.protocol.failures import ServerError, Unreachable
from jinpy_cache_redis.protocol.nodes import Node
from jinpy_cache_redis.protocol.requests import Request, pack


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
