"""Walking through a namespace: `scan`, `clear` and the probe of every server.

`SCAN` may return a key twice, and its cursors mean nothing to another server process. So the keys
that were seen are remembered, and when a connection is lost between two pages, the walk begins
again.
"""

import re
from collections.abc import Callable

from jinpy_cache_core import CacheConfigurationError, CacheConnectionError, CacheTimeoutError
from jinpy_cache_redis.commands.leases import head_of, shows
from jinpy_cache_redis.commands.operations import raise_refusals
from jinpy_cache_redis.protocol.nodes import Node
from jinpy_cache_redis.protocol.requests import Plan, Request, Servers, Several, pack
from jinpy_cache_redis.routing.topology import Topology

PAGE = b"1000"
"""How many keys the server looks at for one page, during which it serves nobody else."""

MOST_RESTARTS = 5
"""How many times a walk begins again before it gives up."""

HEALTH_KEY = b"jinpy-cache:health"
"""The key of the probe's write, which is discarded, never executed."""

_GLOB = re.compile(rb"([*?\[\]^\\-])")


def glob_of(literal: bytes) -> bytes:
    """The pattern of all keys that begin with a literal."""
    return _GLOB.sub(rb"\\\1", literal) + b"*"


class Walk:
    """One walk over the keys that begin with a prefix, on every server, page by page.

    Args:
        prefix: The beginning of the storage keys.
    """

    def __init__(self, prefix: bytes) -> None:
        self._pattern = glob_of(prefix)
        self._nodes: list[Node] | None = None
        self._cursor = b"0"
        self._seen: set[bytes] = set()
        self._restarts = 0
        self.done = False

    def page(self) -> Plan[list[bytes]]:
        """The keys of the next page that were not on an earlier one; sets `done` after the last."""
        if self._nodes is None:
            self._nodes = list((yield Servers()))
        command = pack(b"SCAN", self._cursor, b"MATCH", self._pattern, b"COUNT", PAGE)
        first = self._cursor == b"0"
        request = Request(command, node=self._nodes[-1], repeatable=first, renewed=True)
        try:
            self._cursor, keys = yield request
        except (CacheConnectionError, CacheTimeoutError):
            self._restarts += 1
            if self._restarts > MOST_RESTARTS:
                raise
            self._nodes, self._cursor = None, b"0"
            return []
        if self._cursor == b"0":
            self._nodes.pop()
            self.done = not self._nodes
        fresh = [key for key in dict.fromkeys(keys) if key not in self._seen]
        self._seen.update(fresh)
        return fresh


def visible_page(walk: Walk, now: Callable[[], float]) -> Plan[list[bytes]]:
    """The keys of one page that have a value; a mark of a computation is none."""
    keys = yield from walk.page()
    if not keys:
        return keys
    heads = yield Several([Request(pack(*head_of(key)), key) for key in keys])
    present = now()
    return [key for key, head in zip(keys, heads, strict=True) if shows(head, present)]


def clearing_page(walk: Walk, *, sharded: bool) -> Plan[None]:
    """Remove the keys of one page."""
    keys = yield from walk.page()
    if not keys:
        return
    if not sharded:
        yield Request(pack(b"UNLINK", *keys), keys[0], renewed=True)
        return
    raise_refusals((yield Several([Request(pack(b"UNLINK", key), key) for key in keys])))


def probe(prefix: bytes, topology: Topology) -> Plan[bool]:
    """Ask every server whether it would take a write now, without writing.

    A queued command is checked for everything that would refuse it (memory, role, disk, rights),
    and then thrown away.
    """
    nodes: list[Node] = yield Servers()
    for node in nodes:
        key = _key_on(node, prefix + HEALTH_KEY, topology)
        data = pack(b"MULTI") + pack(b"SET", key, b"") + pack(b"DISCARD")
        yield Request(data, key, 3, node=node)
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
