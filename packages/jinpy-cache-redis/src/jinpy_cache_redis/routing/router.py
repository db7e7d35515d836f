"""How a request reaches the right server in spite of failures: written once, for both drivers."""

from collections.abc import Generator
from typing import Any, TypeAlias

import attrs

from jinpy_cache_redis.protocol.failures import Failure, ServerError, Unreachable, first_error
from jinpy_cache_redis.protocol.nodes import Node
from jinpy_cache_redis.protocol.requests import MULTI, Finish, Request, Step, pack, split_commands
from jinpy_cache_redis.protocol.timing import Timing
from jinpy_cache_redis.routing.cluster import ASKING
from jinpy_cache_redis.routing.retries import RetryPolicy, explained
from jinpy_cache_redis.routing.topology import Discover, Effect, Exchange, Pause, Topology

MOST_REDIRECTS = 8
"""How many times one request follows a cluster's directions before that counts as a failure."""

Route: TypeAlias = Generator[Effect, Any, Any]
"""Yields what the driver has to do, returns the reply; raises a `CacheException`."""


@attrs.frozen
class Router:
    """Finds the server, retries, follows redirections, and reports when all was in vain."""

    topology: Topology
    policy: RetryPolicy
    timing: Timing

    def send(
        self, request: Request, until: float, failure: Failure | None = None, at: Node | None = None
    ) -> Route:
        """Send a request until it is answered.

        Args:
            request: What to ask.
            until: The end of the operation's budget, on the monotonic clock.
            failure: What came of a first attempt that the driver made by itself.
            at: Where it made it.
        """
        failures = redirects = 0
        asked: Node | None = None
        node = at
        while True:
            if failure is not None:
                try:
                    asked = self.topology.learn(node, failure, request.key) if node else None
                except Failure as meant:
                    raise meant.told() from meant
                if points_elsewhere(failure) and redirects < MOST_REDIRECTS:
                    redirects += 1
                else:
                    failures += 1
                    asked = None
                    delay = self.policy.delay(failure, request, failures)
                    if delay is None or self.timing.monotonic() + delay >= until:
                        raise failure.told(explained(failure, request, failures)) from failure
                    yield Pause(delay)
            try:
                node = asked or request.node or self.topology.node_for(request.key)
                if node is None:
                    yield Discover(until)
                    node = self.topology.node_for(request.key)
                if node is None:
                    raise unserved()
                if asked is None:
                    return checked((yield Exchange(node, request, until)), request)
                replies = yield Exchange(node, asking(request), until)
                return checked(answered(replies, request), request)
            except Failure as raised:
                failure = raised

    def servers(self, until: float, *, fresh: bool = False) -> Route:
        """Find out which servers hold the data.

        Args:
            until: The end of the operation's budget, on the monotonic clock.
            fresh: Whether to ask even if that is known already.
        """
        failures = 0
        while True:
            nodes = None if fresh else self.topology.primaries()
            if nodes is not None:
                return nodes
            try:
                if fresh:
                    fresh = False
                    yield from self.topology.discover(until)
                else:
                    yield Discover(until)
            except Failure as failure:
                failures += 1
                delay = self.policy.delay(failure, _ANY, failures)
                if delay is None or self.timing.monotonic() + delay >= until:
                    raise failure.told(explained(failure, _ANY, failures)) from failure
                yield Pause(delay)


_ANY = Request(b"")


def checked(reply: Any, request: Request) -> Any:
    """The reply, unless it is an error: for several replies, unless the first error among them."""
    if request.replies == 1:
        error = reply if isinstance(reply, ServerError) else None
    else:
        error = first_error(reply, tolerant=request.tolerant)
    if error is not None:
        raise error
    return reply


def points_elsewhere(failure: Failure) -> bool:
    """Whether a node of a cluster named another one for the key."""
    return isinstance(failure, ServerError) and failure.code in {"MOVED", "ASK"}


def asking(request: Request) -> Request:
    """The request, announced to a server that its slot is on its way to.

    Each command is announced by itself; of a transaction only its beginning can be, and that is for
    all of it.
    """
    commands = split_commands(request.data)
    if commands[0] == MULTI:
        return request._replace(data=ASKING + request.data, replies=request.replies + 1)
    data = b"".join([ASKING + command for command in commands])
    return request._replace(data=data, replies=2 * len(commands))


def answered(replies: list[Any], request: Request) -> Any:
    """The replies to a request, from those to `asking(request)`."""
    own = replies[1:] if request.data.startswith(MULTI) else replies[1::2]
    return own[0] if request.replies == 1 else own


def grouped(requests: list[Request], topology: Topology) -> dict[Node | None, list[int]]:
    """The positions of requests by the server that each is for, `None` for those not known."""
    groups: dict[Node | None, list[int]] = {}
    for position, request in enumerate(requests):
        groups.setdefault(topology.node_for(request.key), []).append(position)
    return groups


def joined(requests: list[Request], positions: list[int]) -> Request:
    """Several requests as one that is written at once."""
    chosen = [requests[position] for position in positions]
    return Request(
        b"".join([request.data for request in chosen]),
        replies=sum([request.replies for request in chosen]),
        repeatable=all(request.repeatable for request in chosen),
        once=all(request.once for request in chosen),
    )


def located(replies: list[Any], node: Node) -> list[Any]:
    """The replies, each error among them knowing who gave it."""
    for reply in replies:
        if isinstance(reply, ServerError):
            reply.node = node
    return replies


def parted(came: list[Any] | Failure, requests: list[Request], positions: list[int]) -> list[Any]:
    """The answers to requests that were joined, from the replies to the joined request.

    A failure of the connection is everyone's; an error reply is that of its request, as a value.
    """
    if isinstance(came, Failure):
        return [came] * len(positions)
    answers: list[Any] = []
    at = 0
    for position in positions:
        count = requests[position].replies
        part = came[at : at + count]
        at += count
        error = first_error(part, tolerant=requests[position].tolerant)
        answers.append(error or (part[0] if count == 1 else part))
    return answers


def finishing(step: Step) -> Request:
    """The request of the step that ends a `Hold`."""
    if isinstance(step, Finish):
        return step.request
    message = f"A plan must end what it holds, not go on with {step!r}."
    raise TypeError(message)


def to_redo(answers: list[Any]) -> list[int]:
    """The positions of answers that are failures by which a request is not yet lost."""
    return [
        position
        for position, answer in enumerate(answers)
        if isinstance(answer, Failure)
        and not (isinstance(answer, ServerError) and not answer.passing)
    ]


def unserved() -> Unreachable:
    """The failure for a key whose slot has no owner."""
    return Unreachable("No node of the cluster serves the key's slot at the moment.")


def undecided(node: Node | None) -> Unreachable:
    """The failure for a key that is sent from node to node."""
    return Unreachable("The nodes of the cluster do not agree on who serves the key.", node)


def healing(request: Request) -> Request:
    """A harmless question about the same key; once answered, the way to the server is free."""
    return Request(pack(b"EXISTS", request.key or b""), request.key, once=request.once)
