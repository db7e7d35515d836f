"""The owner of a key's slot in a cluster.

The map from slots to primaries is read from any node that answers, and read again when a node says
that a slot has moved or cannot be reached. `MOVED` corrects the one slot at once; `ASK` points to
another node for this one request, which is announced there by `ASKING`.
"""

import random
from collections.abc import Callable
from time import monotonic
from typing import Any

import attrs
from redis.crc import key_slot

from jinpy_cache_redis.protocol.failures import (
    CONNECTION_CODES,
    Failure,
    Refused,
    ServerError,
    Unreachable,
)
from jinpy_cache_redis.protocol.handshake import Greeting
from jinpy_cache_redis.protocol.nodes import Node
from jinpy_cache_redis.protocol.requests import Request, pack
from jinpy_cache_redis.routing.topology import (
    Discovery,
    Exchange,
    decoded,
    in_two_sweeps,
    refusal,
)

CLUSTER_SLOTS = Request(pack(b"CLUSTER", b"SLOTS"))
"""Which primary owns which slots; understood by every version that has a cluster."""

ASKING = pack(b"ASKING")
"""Lets the next command be served by a node that is about to own its slot."""


CLUSTER_DISABLED = "cluster support disabled"
"""What a server says that belongs to no cluster."""


@attrs.define
class ClusterTopology:
    """Knows the owner of every slot.

    Attributes:
        seeds: The configured nodes; the others are learnt from them.
    """

    seeds: list[Node]
    sharded: bool = attrs.field(default=True, init=False)
    greeting: Greeting | None = attrs.field(default=None, init=False)
    _owners: dict[int, Node] = attrs.field(factory=dict[int, Node], init=False)
    _known: list[Node] = attrs.field(factory=list[Node], init=False)
    _suspect: Node | None = attrs.field(default=None, init=False)
    _monotonic: Callable[[], float] = attrs.field(default=monotonic)
    _stale: bool = attrs.field(default=True, init=False)

    def node_for(self, key: bytes | None) -> Node | None:
        """See `Topology`."""
        if self._stale:
            return None
        if key is None:
            return random.choice(self._known)  # noqa: S311 - spreads load, protects nothing
        return self._owners.get(key_slot(key))

    def primaries(self) -> list[Node] | None:
        """See `Topology`."""
        return None if self._stale else sorted(set(self._owners.values()))

    def owns(self, node: Node, key: bytes) -> bool:
        """See `Topology`."""
        return self._owners.get(key_slot(key)) == node

    def discover(self, until: float) -> Discovery:
        """See `Topology`."""
        reasons: dict[Node, str] = {}
        refused: Failure | None = None
        nodes = dict.fromkeys([*random.sample(self._known, len(self._known)), *self.seeds])
        order = sorted(nodes, key=lambda node: node == self._suspect)
        for node, by in in_two_sweeps(order, until, self._monotonic):
            if node in reasons and (refused or self._monotonic() >= until):
                break
            try:
                reply = refusal((yield Exchange(node, CLUSTER_SLOTS, by)))
            except ServerError as failure:
                if failure.code in CONNECTION_CODES and not failure.passing:
                    raise
                if CLUSTER_DISABLED in failure.reason:
                    raise _no_cluster(node) from failure
                reasons[node] = f"{node} answered: {failure.reason}"
            except Failure as failure:
                refused = failure if failure.final else refused
                reasons[node] = failure.reason
            else:
                owners = _owners_told(reply, asked=node)
                if owners is None:
                    reasons[node] = f"{node} answered CLUSTER SLOTS as no server does."
                    continue
                if owners:
                    self._owners = owners
                    self._known = sorted(set(owners.values()))
                    self._stale = False
                    self._suspect = None
                    return
                reasons[node] = f"{node} knows of no slots."
        if refused is not None:
            raise refused
        message = f"No node of the cluster told who owns what. {' '.join(reasons.values())}"
        raise Unreachable(message)

    def learn(self, node: Node, failure: Failure, key: bytes | None) -> Node | None:
        """See `Topology`."""
        if isinstance(failure, ServerError):
            if failure.code == "ASK":
                return _target(failure, node)
            if failure.code == "MOVED":
                target = _target(failure, node)
                slot = int(failure.reason.split()[1])
                self._owners = {**self._owners, slot: target}
                self._stale = key is None or self._stale or target not in self._known
            elif failure.passing:
                self._stale = True
        elif not failure.final:
            self._suspect = node
            self._stale = True
        return None


def _no_cluster(node: Node) -> Refused:
    message = f"Redis at {node} is no node of a cluster: write redis://{node} instead."
    return Refused(message, node)


def _target(failure: ServerError, node: Node) -> Node:
    """The node in `MOVED 3999 host:port`; without a host it is the one that answered."""
    host, _, port = failure.reason.split()[2].rpartition(":")
    return Node(host or node.host, int(port))


def _owners_told(reply: Any, *, asked: Node) -> dict[int, Node] | None:
    """Who owns which slot; `None` if that is no map."""
    try:
        return _owners(reply, asked=asked)
    except (TypeError, ValueError, IndexError):
        return None


def _owners(reply: list[list[object]], *, asked: Node) -> dict[int, Node]:
    owners: dict[int, Node] = {}
    for first, last, primary, *_replicas in reply:
        host, port = list(primary)[:2]  # type: ignore[call-overload]
        name = decoded(host) if host else asked.host
        node = Node(asked.host if name == "?" else name, int(decoded(port)))
        for slot in range(int(decoded(first)), int(decoded(last)) + 1):
            owners[slot] = node
    return owners
