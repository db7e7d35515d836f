"""The primary that sentinels name."""

from collections.abc import Callable
from time import monotonic
from typing import Any

import attrs

from jinpy_cache_redis.protocol.failures import (
    Failure,
    Refused,
    ServerError,
    Unreachable,
    with_way_out,
)
from jinpy_cache_redis.protocol.handshake import PRIMARY_ONLY, Greeting
from jinpy_cache_redis.protocol.nodes import Node
from jinpy_cache_redis.protocol.requests import Request, pack
from jinpy_cache_redis.routing.topology import Discovery, Exchange, decoded, in_two_sweeps


@attrs.define
class SentinelTopology:
    """Asks the sentinels for the primary, and again after every failure of it.

    Attributes:
        sentinels: Their addresses; one that answered is asked first the next time.
        service: The name they know the primary by.
    """

    sentinels: list[Node]
    service: str
    sharded: bool = attrs.field(default=False, init=False)
    greeting: Greeting | None = attrs.field(default=PRIMARY_ONLY, init=False)
    _monotonic: Callable[[], float] = attrs.field(default=monotonic)
    _primary: Node | None = attrs.field(default=None, init=False)

    def node_for(self, key: bytes | None) -> Node | None:
        """See `Topology`."""
        return self._primary

    def primaries(self) -> list[Node] | None:
        """See `Topology`."""
        return None if self._primary is None else [self._primary]

    def owns(self, node: Node, key: bytes) -> bool:
        """See `Topology`."""
        return True

    def discover(self, until: float) -> Discovery:
        """See `Topology`."""
        command = pack(b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", self.service.encode())
        reasons: dict[Node, str] = {}
        refused: Failure | None = None
        for sentinel, by in in_two_sweeps(list(self.sentinels), until, self._monotonic):
            if sentinel in reasons and (refused or self._monotonic() >= until):
                break
            try:
                reply = yield Exchange(sentinel, Request(command), by, guide=True)
            except Failure as failure:
                refused = failure if failure.final else refused
                reasons[sentinel] = failure.reason
                continue
            if isinstance(reply, ServerError):
                text = with_way_out(f"The sentinel {sentinel} answered: ", reply.reason)
                if "unknown command" in reply.reason.lower():
                    refused = Refused(_no_sentinel(sentinel), sentinel)
                reasons[sentinel] = text
            elif not reply:
                reasons[sentinel] = f"The sentinel {sentinel} knows no primary {self.service!r}."
            elif (primary := _address(reply)) is None:
                reasons[sentinel] = f"The sentinel {sentinel} named a primary as no sentinel does."
            else:
                self._primary = primary
                self.sentinels = [sentinel, *(one for one in self.sentinels if one != sentinel)]
                return
        if refused is not None:
            raise refused
        message = f"No sentinel named a primary. {' '.join(reasons.values())}"
        raise Unreachable(message)

    def learn(self, node: Node, failure: Failure, key: bytes | None) -> Node | None:
        """See `Topology`."""
        if node == self._primary and not (isinstance(failure, ServerError) and not failure.passing):
            self._primary = None
        return None


def _address(reply: Any) -> Node | None:
    """The address in a reply; `None` if it is none."""
    try:
        host, port = reply
        return Node(decoded(host), int(port))
    except (TypeError, ValueError):
        return None


def _no_sentinel(node: Node) -> str:
    return f"Redis at {node} is no sentinel: write redis://{node} for the server itself."
