"""The owner of a key's slot in a cluster.

The map from slots to primaries is read from any node that answers, and read again when a node says
that a slot has moved or cannot be reached. `MOVED` corrects the one slot at once; `ASK` points to
another node for this one request, which is announced there by `ASKING`.
"""

import random

import attrs
from redis.crc import key_slot

from jinpy_cache_redis.protocol.failures import CONNECTION_CODES, Failure, ServerError, Unreachable
from jinpy_cache_redis.protocol.handshake import Greeting
from jinpy_cache_redis.protocol.nodes import Node
from jinpy_cache_redis.protocol.requests import Request, pack
from jinpy_cache_redis.routing.topology import Discovery, Exchange, decoded, refusal

CLUSTER_SLOTS = Request(pack(b"CLUSTER", b"SLOTS"))
"""Which primary owns which slots; understood by every version that has a cluster."""

ASKING = pack(b"ASKING")
"""Lets the next command be served by a node that is about to own its slot."""


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
        reasons: list[str] = []
        for node in dict.fromkeys([*random.sample(self._known, len(self._known)), *self.seeds]):
            try:
                reply = refusal((yield Exchange(node, CLUSTER_SLOTS, until)))
            except ServerError as failure:
                if failure.code in CONNECTION_CODES and not failure.passing:
                    raise
                reasons.append(f"{node} answered: {failure.reason}")
            except Failure as failure:
                if failure.final:
                    raise
                reasons.append(failure.reason)
            else:
                owners = _owners(reply, asked=node)
                if owners:
                    self._owners = owners
                    self._known = sorted(set(owners.values()))
                    self._stale = False
                    return
                reasons.append(f"{node} knows of no slots.")
        message = f"No node of the cluster told who owns what. {' '.join(reasons)}"
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
            self._stale = True
        return None


def _target(failure: ServerError, node: Node) -> Node:
    """The node in `MOVED 3999 host:port`; without a host it is the one that answered."""
    host, _, port = failure.reason.split()[2].rpartition(":")
    return Node(host or node.host, int(port))


def _owners(reply: list[list[object]], *, asked: Node) -> dict[int, Node]:
    owners: dict[int, Node] = {}
    for first, last, primary, *_replicas in reply:
        host, port = list(primary)[:2]  # type: ignore[call-overload]
        name = decoded(host) if host else asked.host
        node = Node(asked.host if name == "?" else name, int(decoded(port)))
        for slot in range(int(decoded(first)), int(decoded(last)) + 1):
            owners[slot] = node
    return owners
