"""What happens to entries inside a write transaction: one namespace's part of the tree.

**Order.** An entry gets a sequence number when it is inserted and keeps it until it is removed.

**Consistency.** Each method leaves records, indexes and ledger in agreement; what a caller does
between two of them is its own affair until the commit. `jinpy_cache_file.fsck` says what agreement
is.
"""

import math
from typing import Final, TypeVar

from jinpy_cache_core import UNCHANGED, CacheValueError, Decision, Record
from jinpy_cache_core.backend import decisions, is_layered
from jinpy_cache_file.in_place_updates import overwritten
from jinpy_cache_file.layout import (
    FILE,
    HEAD_SIZE,
    IN_FILE,
    INLINE,
    LAYERED,
    Head,
    Space,
    body_start,
    charge,
    is_in_file,
    pack_record,
    reference_of,
    unpack_head,
)
from jinpy_cache_file.ledger import Bounds
from jinpy_cache_file.maintenance import REAPED_AT_ONCE, Upkeep, items
from jinpy_cache_file.value_files import Publication, ValueFiles
from jinpy_cache_file.write_context import WriteContext

T = TypeVar("T")

_LONGEST_NUMBER: Final = 20
"""The most bytes a signed 64-bit integer takes as text: a counter is never put into a file."""

_REAP_EVERY: Final = 8


class Index(Upkeep):
    """One namespace's part of the tree; keeps nothing but the marks of use between transactions.

    Args:
        space: Where everything is.
        bounds: What it may hold.
        files: Where large values go.
        inline_max_bytes: The largest payload that is kept in the tree.
    """

    def __init__(
        self, space: Space, bounds: Bounds, files: ValueFiles, inline_max_bytes: int
    ) -> None:
        super().__init__(space, bounds)
        self.files = files
        self.inline_max = max(inline_max_bytes, _LONGEST_NUMBER)
        self._insertions = 0

    def change(
        self,
        writing: WriteContext,
        key: str,
        tree_key: bytes,
        decide: Decision[T],
        publication: Publication | None = None,
        *,
        whole: bool = False,
    ) -> T:
        """Let a decision change one entry; when it raises, nothing was changed.

        Args:
            writing: The transaction.
            key: The key.
            tree_key: Where its record is.
            decide: What becomes of the entry. It sees the body of a value in a file as it is in the
                record: no number, and equal only to itself; that of one with layers in whole.
            publication: The file that holds the payload that is decided to be stored, if it does.
            whole: Whether it must see the body of any value in a file.
        """
        stored = writing.txn.get(tree_key)
        head = None if stored is None else self.sound(key, tree_key, stored)
        current = None
        if stored is not None:
            if head is None:
                self.rebuild(writing, without=tree_key)
                stored = None
            elif writing.now < head[3]:
                current = self._current(tree_key, stored, head, whole=whole)
        change, result = decide(current, writing.now)
        if change is UNCHANGED:
            return result
        if change is None:
            if stored is not None and head is not None:
                self.remove(writing, tree_key, stored, head)
            return result
        kind, body = INLINE, change.payload
        if (
            stored is not None
            and head is not None
            and current is not None
            and (body is current.payload)
        ):
            kind, body = head[2], stored[body_start(tree_key, stored) :]
        elif publication is not None:
            kind, body = IN_FILE, publication.reference.pack()
        else:
            layered = LAYERED if is_layered(body) else 0
            if len(body) > self.inline_max:
                self.check_size(len(body))
                publication = self.files.publish(tree_key, body)
                writing.published += (publication,)
                kind, body = IN_FILE, publication.reference.pack()
            kind |= layered
        body = self.space.key_prefix(tree_key, key) + body
        if stored is None or head is None:
            self._insert(writing, tree_key, kind, body, change.deadline)
        else:
            self._overwrite(writing, tree_key, stored, head, kind, body, change.deadline)
        return result

    def _current(self, tree_key: bytes, stored: bytes, head: Head, *, whole: bool) -> Record | None:
        """What a decision sees of a live record."""
        if is_in_file(head[2]) and (whole or head[2] & LAYERED):
            payload = self.files.read(tree_key, reference_of(tree_key, stored))
            return None if payload is None else Record(payload, head[3])
        return Record(stored[body_start(tree_key, stored) :], head[3])

    def store(
        self, writing: WriteContext, key: str, tree_key: bytes, payload: bytes, seconds: float
    ) -> None:
        """Store a payload of at most `inline_max_bytes`: `change` with `storing`."""
        self.change(writing, key, tree_key, decisions.storing(payload, seconds))

    def count(
        self, writing: WriteContext, key: str, tree_key: bytes, amount: int, seconds: float
    ) -> int:
        """Count up: `change` with `counting`."""
        return self.change(writing, key, tree_key, decisions.counting(amount, seconds))

    def store_all(
        self, writing: WriteContext, items: list[tuple[str, bytes]], seconds: float
    ) -> None:
        """Store several payloads, some of them perhaps large."""
        txn, now, tree_key_of = writing.txn, writing.now, self.space.tree_key
        for key, payload in items:
            tree_key = tree_key_of(key)
            stored = txn.get(tree_key)
            rewritten = stored and overwritten(tree_key, stored, now, payload, seconds)
            if rewritten:
                txn.put(tree_key, rewritten[0])
                writing.written = True
            else:
                self.change(writing, key, tree_key, decisions.storing(payload, seconds))

    def remove_all(self, writing: WriteContext, keys: list[str]) -> int:
        """Remove several entries and tell how many were live."""
        tree_key = self.space.tree_key
        return sum(self.change(writing, key, tree_key(key), decisions.removing) for key in keys)

    def remove_unsound(
        self, writing: WriteContext, key: str, tree_key: bytes, record: bytes
    ) -> None:
        """Remove an entry that a read has found expired or damaged, if it is still the same."""
        stored = writing.txn.get(tree_key)
        if stored is None or stored[1:] != record[1:]:
            return
        head = self.sound(key, tree_key, stored)
        if head is None:
            self.rebuild(writing, without=tree_key)
            return
        self.remove(writing, tree_key, stored, head)
        if writing.now < head[3]:
            self.counters.discarded += 1
        else:
            self.counters.expired += 1

    def clear(self, writing: WriteContext, limit: int, most: int) -> int:
        """Remove the oldest entries that are older than a sequence number; how many were found."""
        txn = writing.txn
        found = items(txn, self.space.order, self.space.order_key(limit), most)
        for order_key, tree_key in found:
            stored = txn.get(tree_key)
            head = None if stored is None else unpack_head(tree_key, stored)
            if stored is not None and head is not None:
                self.remove(writing, tree_key, stored, head)
            txn.delete(order_key)
            writing.written = True
        return len(found)

    def sound(self, key: str, tree_key: bytes, record: bytes) -> Head | None:
        """The head of a record that is whole and is this key's."""
        head = unpack_head(tree_key, record)
        if head is not None and self.space.is_long(tree_key):
            return head if self.space.key_of(tree_key, record) == key else None
        return head

    def check_size(self, size: int) -> None:
        """Refuse a payload that all of the cache could not hold."""
        if size > self.bounds.max_bytes:
            message = (
                f"The encoded value has {size:,} bytes; max_bytes={self.bounds.max_bytes:,} is "
                "all that the cache may hold. Nothing was stored."
            )
            raise CacheValueError(message)

    def _insert(
        self, writing: WriteContext, tree_key: bytes, kind: int, body: bytes, deadline: float
    ) -> None:
        txn = writing.txn
        self._insertions += 1
        if not self._insertions % _REAP_EVERY:
            self.reap(writing, REAPED_AT_ONCE)
        expires = deadline != math.inf
        ledger = self.ledger(writing)
        sequence = ledger.next_sequence
        ledger.next_sequence += 1
        ledger.entries += 1
        ledger.tree_bytes += charge(tree_key, HEAD_SIZE + len(body), expires=expires)
        record = pack_record(tree_key, body, 0, kind, deadline, deadline, sequence)
        if is_in_file(kind):
            reference = reference_of(tree_key, record)
            txn.put(FILE + reference.digest, tree_key)
            ledger.file_bytes += reference.size
        self.keep_bounds(writing, ledger, tree_key)
        txn.put(tree_key, record)
        txn.put(self.space.order_key(sequence), tree_key)
        if expires:
            txn.put(self.space.expiry_key(deadline, sequence), tree_key)
        writing.written = True

    def _overwrite(
        self,
        writing: WriteContext,
        tree_key: bytes,
        stored: bytes,
        head: Head,
        kind: int,
        body: bytes,
        deadline: float,
    ) -> None:
        txn = writing.txn
        _used, _checksum, old_kind, _deadline, old_indexed, sequence = head
        indexed = old_indexed
        if deadline != indexed and not indexed <= deadline < math.inf:
            if indexed != math.inf:
                txn.delete(self.space.expiry_key(indexed, sequence))
            indexed = deadline
            if deadline != math.inf:
                txn.put(self.space.expiry_key(deadline, sequence), tree_key)
        record = pack_record(tree_key, body, 1, kind, deadline, indexed, sequence)
        grown = charge(tree_key, len(record), expires=indexed != math.inf)
        grown -= charge(tree_key, len(stored), expires=old_indexed != math.inf)
        file_grown = 0
        if is_in_file(kind | old_kind):
            old = reference_of(tree_key, stored) if is_in_file(old_kind) else None
            new = reference_of(tree_key, record) if is_in_file(kind) else None
            if old is not None and old != new:
                self.forget(writing, old)
            if new is not None and old != new:
                txn.put(FILE + new.digest, tree_key)
            file_grown = (0 if new is None else new.size) - (0 if old is None else old.size)
        txn.put(tree_key, record)
        writing.written = True
        if grown or file_grown:
            ledger = self.ledger(writing)
            ledger.tree_bytes += grown
            ledger.file_bytes += file_grown
            self.keep_bounds(writing, ledger, tree_key)
