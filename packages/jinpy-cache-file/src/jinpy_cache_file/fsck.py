"""The oracle: is everything in a directory as the engine says it always is?

Records, order, expiry index, ledger and value files say the same things several times over; this
compares them. It is what a stress test ends with, and what to run when a disk is under suspicion.
"""

import math
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import attrs
import lmdb

from jinpy_cache_file import preflight
from jinpy_cache_file.directory import DIRECTORY_MODE, FILE_MODE
from jinpy_cache_file.environment import DATA_NAME
from jinpy_cache_file.layout import (
    ENTRY,
    EXPIRY,
    FILE,
    FORMAT_KEY,
    LONG_ENTRY,
    ORDER,
    Head,
    Space,
    charge,
    is_foreign,
    is_in_file,
    reference_of,
    unpack_head,
)
from jinpy_cache_file.ledger import Ledger
from jinpy_cache_file.value_files import ValueFiles, abandoned


@attrs.frozen(kw_only=True)
class CheckReport:
    """What a check has found.

    Attributes:
        entries: How many entries there are, expired ones included, over all namespaces.
        total_bytes: What they are charged.
        value_files: How many of them have a file.
        problems: A sentence for each thing that is wrong; empty when all is well.
        held_by: The other processes whose reads keep the store from using its space again.
    """

    entries: int
    total_bytes: int
    value_files: int
    problems: tuple[str, ...]
    held_by: tuple[int, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


class Examination:
    """One look at a whole directory; the caller holds the write lock.

    Args:
        path: The cache directory.
        files: Its value files.
    """

    def __init__(self, path: Path, files: ValueFiles) -> None:
        self._path = path
        self._files = files
        self._problems: list[str] = []
        self._entries = 0
        self._bytes = 0
        self._referenced: dict[bytes, bytes] = {}

    def report(self, txn: "lmdb.Transaction[bytes]") -> CheckReport:
        """Examine everything.

        Args:
            txn: A read transaction of the directory's environment.
        """
        problem = preflight.problem_of(self._path / DATA_NAME, thorough=True)
        if problem is not None:
            self._say(f"{DATA_NAME} is damaged: {problem}")
        with txn.cursor() as cursor:
            items = dict(cursor.iternext())
        for name in sorted(_namespaces(items)):
            self._namespace(name, items)
        self._strangers(items)
        self._file_index(items)
        self._value_files()
        self._modes()
        return CheckReport(
            entries=self._entries,
            total_bytes=self._bytes,
            value_files=len(self._referenced),
            problems=tuple(self._problems),
        )

    def _say(self, problem: str) -> None:
        self._problems.append(problem)

    def _namespace(self, name: str, items: dict[bytes, bytes]) -> None:
        space = Space(name)
        counted = Ledger(next_sequence=0)
        order: dict[bytes, bytes] = {}
        expiry: dict[bytes, bytes] = {}
        for tree_key, record in items.items():
            if not tree_key.startswith((space.entries, space.long_entries)):
                continue
            head = self._record(space, tree_key, record)
            if head is None:
                continue
            counted.entries += 1
            counted.next_sequence = max(counted.next_sequence, head[5] + 1)
            expires = head[4] != math.inf
            counted.tree_bytes += charge(tree_key, len(record), expires=expires)
            order[space.order_key(head[5])] = tree_key
            if expires:
                expiry[space.expiry_key(head[4], head[5])] = tree_key
            if head[4] > head[3]:
                self._say(f"{tree_key!r:.80} is in the expiry index later than it expires")
            counted.file_bytes += self._reference(tree_key, record, head)
        self._compare(name, "order", order, _under(items, space.order, space.ledger))
        self._compare(name, "expiry index", expiry, _under(items, space.expiry, None))
        self._ledger(name, counted, items.get(space.ledger))
        self._entries += counted.entries
        self._bytes += counted.total_bytes

    def _record(self, space: Space, tree_key: bytes, record: bytes) -> Head | None:
        head = unpack_head(tree_key, record)
        if head is None:
            if not is_foreign(record):
                self._say(f"the record of {tree_key!r:.80} is damaged")
        elif space.key_of(tree_key, record) is None:
            self._say(f"the record of {tree_key!r:.80} is not of its place")
        return head

    def _reference(self, tree_key: bytes, record: bytes, head: Head) -> int:
        if not is_in_file(head[2]):
            return 0
        reference = reference_of(tree_key, record)
        self._referenced[reference.digest] = tree_key
        if self._files.read(tree_key, reference) is None:
            self._say(f"the file {reference.name} of {tree_key!r:.80} is missing or damaged")
        return reference.size

    def _compare(
        self, name: str, what: str, expected: dict[bytes, bytes], found: dict[bytes, bytes]
    ) -> None:
        if missing := len(expected.keys() - found.keys()):
            self._say(f"{missing} entries of {name!r} are not in the {what}")
        if dangling := len(found.keys() - expected.keys()):
            self._say(f"{dangling} items of the {what} of {name!r} have no entry")
        if any(found[key] != expected[key] for key in expected.keys() & found.keys()):
            self._say(f"the {what} of {name!r} names the wrong entries")

    def _ledger(self, name: str, counted: Ledger, stored: bytes | None) -> None:
        ledger = Ledger() if stored is None else Ledger.unpack(stored)
        if ledger is None:
            self._say(f"the ledger of {name!r} is damaged")
            return
        for field in ("entries", "tree_bytes", "file_bytes"):
            said, is_so = getattr(ledger, field), getattr(counted, field)
            if said != is_so:
                self._say(f"the ledger of {name!r} says {field}={said}, but it is {is_so}")
        if ledger.next_sequence < counted.next_sequence:
            self._say(f"the ledger of {name!r} would give a sequence number twice")

    def _strangers(self, items: dict[bytes, bytes]) -> None:
        known = (ENTRY, LONG_ENTRY, ORDER, EXPIRY, FILE)
        for key in items:
            if not key.startswith(known) and key != FORMAT_KEY:
                self._say(f"{key!r:.80} is none of ours")

    def _file_index(self, items: dict[bytes, bytes]) -> None:
        found = {key[1:]: value for key, value in items.items() if key.startswith(FILE)}
        if found != self._referenced:
            self._say(
                f"the index of value files has {len(found)} items for {len(self._referenced)} "
                "references, or names the wrong entries"
            )

    def _value_files(self) -> None:
        for digest, entry in self._files.present():
            if digest and bytes.fromhex(digest) in self._referenced:
                continue
            file = abandoned(entry.path)
            if file is not None:
                file.close()
                self._say(f"the file {entry.name} belongs to no entry and to no live writer")

    def _modes(self) -> None:
        for path, status in _index(self._path):
            mode = stat.S_IMODE(status.st_mode)
            limit = DIRECTORY_MODE if stat.S_ISDIR(status.st_mode) else FILE_MODE
            if mode & ~limit & 0o077:
                self._say(f"{path.name} has mode {mode:04o}")


def _namespaces(items: dict[bytes, bytes]) -> set[str]:
    names: set[str] = set()
    for key in items:
        if key.startswith((ENTRY, LONG_ENTRY, ORDER, EXPIRY)):
            names.add(key[1:].partition(b":")[0].decode("utf-8", "replace"))
    return names


def _under(items: dict[bytes, bytes], start: bytes, ledger: bytes | None) -> dict[bytes, bytes]:
    return {k: v for k, v in items.items() if k.startswith(start) and k != ledger}


def _index(root: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Everything of ours in the directory."""
    for name in ("data.mdb", "lock.mdb", "write.lock", "reserve", "values"):
        path = root / name
        if path.exists():
            yield path, path.lstat()
    for path in (root / "values").glob("??"):
        yield path, path.lstat()
