"""Walking through a namespace: `scan`, `clear` and the probe of every server.

`SCAN` may return a key twice, and its cursors mean nothing to another server process. So the keys
that were seen are remembered, and when a connection is lost between two pages, the walk begins
again.
"""

import re
from collections.abc import Callable
from typing import NamedTuple, cast

from jinpy_cache_core import (
    CacheBackendError,
    CacheConfigurationError,
    CacheConnectionError,
    CacheException,
    CacheTimeoutError,
)
from jinpy_cache_redis.commands.leases import head_of, shows
from jinpy_cache_redis.commands.replies import (
    all_done,
    count,
    head,
    listed,
    not_believed,
    raise_refusals,
)
from jinpy_cache_redis.protocol.nodes import Node
from jinpy_cache_redis.protocol.requests import Plan, Request, Servers, Several, pack
from jinpy_cache_redis.routing.topology import Topology

PAGE = b"1000"
"""How many keys the server looks at for one page, during which it serves nobody else."""

SLOTS = 16_384
"""How many slots a cluster has."""

MOST_ROUNDS = 10
"""How many times a walk goes round a cluster whose slots keep moving."""

MOST_RESTARTS = 5
"""How many times a walk begins again before it gives up."""

HEALTH_KEY = b"jinpy-cache:health"
"""The key of the probe's write, which is discarded, never executed."""

_GLOB = re.compile(rb"([*?\[\]^\\-])")


def glob_of(literal: bytes) -> bytes:
    """The pattern of all keys that begin with a literal."""
    return _GLOB.sub(rb"\\\1", literal) + b"*"


class View(NamedTuple):
    """What the primaries of a cluster say of themselves at one moment.

    Attributes:
        nodes: They, and those that slots are on their way to.
        owners: Who has which slot, by the names that nodes have for each other.
        moving: The slots that are on their way.
    """

    nodes: list[Node]
    owners: dict[int, str]
    moving: frozenset[int]


class Walk:
    """One walk over the keys that begin with a prefix, on every server, page by page.

    In a cluster slots move while we walk. So the primaries are asked what they have before and
    after each round, and there is another round until no key can have slipped by: see `_complete`.

    Args:
        prefix: The beginning of the storage keys.
        sharded: Whether this is a cluster.
    """

    def __init__(self, prefix: bytes, *, sharded: bool = False) -> None:
        self._pattern = glob_of(prefix)
        self._sharded = sharded
        self._views: list[View] = []
        self._nodes: list[Node] | None = None
        self._cursor = b"0"
        self._seen: set[bytes] = set()
        self._restarts = 0
        self._advanced = False
        self.done = False

    def page(self) -> Plan[list[bytes]]:
        """The keys of the next page that were not on an earlier one; sets `done` after the last."""
        try:
            if self._nodes is None:
                yield from self._begin()
            keys: list[bytes] = yield from self._next_keys()
        except (CacheConnectionError, CacheTimeoutError):
            self._restarts += 1
            if not self._advanced or self._restarts > MOST_RESTARTS:
                raise
            self._advanced = False
            self._nodes, self._cursor = None, b"0"
            self._views.clear()
            return []
        self._advanced = True
        fresh = [key for key in dict.fromkeys(keys) if key not in self._seen]
        self._seen.update(fresh)
        return fresh

    def _begin(self) -> Plan[None]:
        if not self._sharded:
            self._nodes = list((yield Servers()))
            return
        if not self._views:
            self._views.append((yield from view()))
        self._nodes = list(self._views[-1].nodes)

    def _next_keys(self) -> Plan[list[bytes]]:
        nodes = self._nodes or []
        command = pack(b"SCAN", self._cursor, b"MATCH", self._pattern, b"COUNT", PAGE)
        first = self._cursor == b"0"
        request = Request(command, node=nodes[-1], repeatable=first, renewed=True)
        cursor, keys = _page_of((yield request))
        if cursor == b"0" and len(nodes) == 1 and self._sharded:
            yield from self._end_round()
        elif cursor == b"0":
            nodes.pop()
            self.done = not nodes
        self._cursor = cursor
        return keys

    def _end_round(self) -> Plan[None]:
        self._views.append((yield from view()))
        self._nodes = None
        self.done = _complete(self._views)
        if not self.done and len(self._views) > MOST_ROUNDS:
            message = (
                "The slots of the cluster moved all the time, so that keys may have been missed."
            )
            raise CacheBackendError(message)


def _page_of(reply: object) -> tuple[bytes, list[bytes]]:
    cursor, keys = listed("SCAN", reply, 2)
    if not (isinstance(cursor, bytes) and cursor.isdigit() and isinstance(keys, list)):
        raise not_believed(reply, "SCAN")
    found = cast("list[object]", keys)
    if not all(isinstance(key, bytes) for key in found):
        raise not_believed(reply, "SCAN")
    return cursor, cast("list[bytes]", found)


def _complete(views: list[View]) -> bool:
    """Whether the rounds between these moments have met every key that was there all the time.

    One round has if nothing moved. Two rounds have if no slot moved more than once: a key that went
    from one node to the other during the first is met on the other in the second.
    """
    before, after = views[-2:]
    if before.owners == after.owners and not before.moving and not after.moving:
        return before.nodes == after.nodes
    if len(views) < 3:
        return False
    first, second, third = views[-3:]
    for slot in first.owners.keys() | second.owners.keys() | third.owners.keys():
        one, two, three = (seen.owners.get(slot) for seen in (first, second, third))
        if two not in {one, three}:
            return False
        called_off = slot not in third.moving and slot in first.moving | second.moving
        if one == three and (two != one or called_off):
            return False
    return True


def view() -> Plan[View]:
    """Ask the primaries of a cluster what they have."""
    seen = View([], {}, frozenset())
    for _ in range(MOST_RESTARTS):
        nodes: list[Node] = yield Servers(fresh=True)
        said: list[bytes] = []
        for node in nodes:
            request = Request(pack(b"CLUSTER", b"NODES"), node=node, renewed=True)
            try:
                told = yield request
                if not isinstance(told, bytes):
                    raise not_believed(told, "CLUSTER NODES")
                said.append(told)
            except CacheException as error:
                if error.server_code != "NOPERM":
                    raise
                return View(nodes, {}, frozenset())  # then the list of nodes must do
        seen = read_views(nodes, [one.decode(errors="replace") for one in said])
        if len(seen.owners) == SLOTS:
            break
    return seen


def read_views(nodes: list[Node], said: list[str]) -> View:
    """What nodes say of themselves in their replies to `CLUSTER NODES`."""
    owners: dict[int, str] = {}
    moving: set[int] = set()
    more: list[Node] = []
    for node, text in zip(nodes, said, strict=True):
        lines = [line.split() for line in text.splitlines() if line]
        places = {line[0]: _place(line[1], node) for line in lines}
        for line in lines:
            if "myself" not in line[2]:
                continue
            for part in line[8:]:
                if part.startswith("["):
                    slot, _, other = part.strip("[]").partition("-")
                    moving.add(int(slot))
                    more += [places[one] for one in [other[2:]] if one in places]
                else:
                    low, _, high = part.partition("-")
                    owners.update(dict.fromkeys(range(int(low), int(high or low) + 1), line[0]))
    return View(sorted({*nodes, *more}), owners, frozenset(moving))


def _place(text: str, asked: Node) -> Node:
    """The address in `host:port@bus,name`; without a host it is that of the node which says so."""
    host, _, port = text.partition("@")[0].rpartition(":")
    return Node(host or asked.host, int(port))


def visible_page(walk: Walk, now: Callable[[], float]) -> Plan[list[bytes]]:
    """The keys of one page that have a value; a mark of a computation is none."""
    keys = yield from walk.page()
    if not keys:
        return keys
    heads = yield Several([Request(pack(*head_of(key)), key) for key in keys])
    present = now()
    return [key for key, one in zip(keys, heads, strict=True) if shows(head(one), present)]


def clearing_page(walk: Walk, *, sharded: bool) -> Plan[None]:
    """Remove the keys of one page."""
    keys = yield from walk.page()
    if not keys:
        return
    if not sharded:
        count("UNLINK", (yield Request(pack(b"UNLINK", *keys), keys[0], renewed=True)))
        return
    answers = yield Several([Request(pack(b"UNLINK", key), key) for key in keys])
    raise_refusals(answers)
    for answer in answers:
        count("UNLINK", answer)


def probe(prefix: bytes, topology: Topology) -> Plan[bool]:
    """Ask every server whether it would take a write now, without writing.

    A queued command is checked for everything that would refuse it (memory, role, disk, rights),
    and then thrown away.
    """
    nodes: list[Node] = yield Servers()
    for node in nodes:
        key = _key_on(node, prefix + HEALTH_KEY, topology)
        data = pack(b"MULTI") + pack(b"SET", key, b"") + pack(b"DISCARD")
        begun, _, discarded = yield Request(data, key, 3)
        all_done("MULTI", begun, 1)
        all_done("DISCARD", discarded, 1)
    return True


def _key_on(node: Node, key: bytes, topology: Topology) -> bytes:
    candidates = (key if not number else b"%b:%d" % (key, number) for number in range(16_384))
    return next((one for one in candidates if topology.owns(node, one)), key)


def refuse_raw_clear(name: str) -> CacheConfigurationError:
    """The error of `clear` where keys have no namespace to tell them from those of others."""
    message = (
        f"The cache {name!r} has namespace=None: its keys cannot be told from those of other "
        "programs, so clear() would remove everything in the database. Give it a namespace, or "
        "remove keys by delete_many(scan(prefix))."
    )
    return CacheConfigurationError(message)
