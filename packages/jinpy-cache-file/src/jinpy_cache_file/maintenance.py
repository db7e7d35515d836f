"""What keeps a namespace within its bounds: the ledger, removal, expiry and eviction.

**Expiry.** The index names each entry that expires, at its deadline or before: an overwrite with a
later deadline leaves the index alone, and the reaper files the entry anew when it comes by. So an
overwrite is one record. Insertions reap what is due, a few entries at a time.

**Eviction** is SIEVE (Zhang et al., NSDI 2024): a hand goes along the order of insertion from the
oldest to the newest, takes the mark of use from those that have one and evicts those that have
none. Marks are not written by reads: a read notes the key in memory, the next insertion of its
process writes one of the marks, and the hand honours the rest. While the bounds are far away,
nothing is noted.
"""

import math
from itertools import islice
from typing import Final

import attrs
import lmdb

from jinpy_cache_file.layout import (
    FILE,
    HEAD_SIZE,
    Head,
    Reference,
    Space,
    after,
    charge,
    is_in_file,
    pack_record,
    reference_of,
    unpack_head,
)
from jinpy_cache_file.ledger import Bounds, Ledger
from jinpy_cache_file.write_context import WriteContext

REAPED_AT_ONCE: Final = 32
"""Items of the expiry index that one insertion deals with at most."""

EVICTED_AT_ONCE: Final = 512
"""Entries that the hand looks at in one write at most.

Where a bound was lowered by much, each write does its part, and more goes than comes.
"""

_MARKS_KEPT: Final = 1024
_HAND_REACH: Final = 64


@attrs.define(slots=True)
class Counters:
    """What happened to entries behind their users' back, in this process.

    Attributes:
        evicted: Removed because a bound was reached.
        expired: Removed because their time was over.
        discarded: Removed because their record or file was damaged.
        swept: Files of dead writers that were removed.
    """

    evicted: int = 0
    expired: int = 0
    discarded: int = 0
    swept: int = 0


class Upkeep:
    """What is done to entries behind their users' back, inside of write transactions.

    Args:
        space: Where everything is.
        bounds: What it may hold.

    Attributes:
        counters: What was done.
        noting: Whether reads should `note` what they touch.
    """

    def __init__(self, space: Space, bounds: Bounds) -> None:
        self.space = space
        self.bounds = bounds
        self.counters = Counters()
        self.noting = False
        self._reach = EVICTED_AT_ONCE
        self._marks: dict[bytes, None] = {}

    def ledger(self, writing: WriteContext) -> Ledger:
        """The ledger, read once in a transaction; counted anew if it is damaged."""
        if writing.ledger is None:
            stored = writing.txn.get(self.space.ledger)
            ledger = Ledger() if stored is None else Ledger.unpack(stored)
            if ledger is None:
                return self.rebuild(writing)
            writing.ledger = ledger
        return writing.ledger

    def note(self, tree_key: bytes) -> None:
        """Remember in memory that an entry without a mark was used."""
        if len(self._marks) < _MARKS_KEPT:
            self._marks[tree_key] = None

    def remove(self, writing: WriteContext, tree_key: bytes, stored: bytes, head: Head) -> None:
        """Remove a sound entry with everything that refers to it."""
        _used, _checksum, kind, _deadline, indexed, sequence = head
        txn = writing.txn
        txn.delete(tree_key)
        txn.delete(self.space.order_key(sequence))
        expires = indexed != math.inf
        if expires:
            txn.delete(self.space.expiry_key(indexed, sequence))
        ledger = self.ledger(writing)
        ledger.entries -= 1
        ledger.tree_bytes -= charge(tree_key, len(stored), expires=expires)
        if is_in_file(kind):
            reference = reference_of(tree_key, stored)
            self.forget(writing, reference)
            ledger.file_bytes -= reference.size
        writing.written = True

    def reap(self, writing: WriteContext, most: int, keep: bytes = b"") -> int:
        """Remove what is due along the expiry index.

        Args:
            writing: The transaction.
            most: How many items of the index to deal with.
            keep: A place to leave alone, as it is being written.

        Returns:
            How many items were dealt with.
        """
        txn = writing.txn
        due = items(txn, self.space.expiry, self.space.expiry_key(writing.now, 2**64 - 1), most)
        for expiry_key, tree_key in due:
            stored = txn.get(tree_key)
            head = None if stored is None else unpack_head(tree_key, stored)
            writing.written = True
            if (
                stored is None
                or head is None
                or self.space.expiry_key(head[4], head[5]) != expiry_key
            ):
                txn.delete(expiry_key)
            elif writing.now < head[3]:
                self._index_anew(writing, tree_key, stored, head)
            elif tree_key != keep:
                self.remove(writing, tree_key, stored, head)
                self.counters.expired += 1
        return len(due)

    def evict(
        self, writing: WriteContext, ledger: Ledger, target: Bounds, keep: bytes = b""
    ) -> None:
        """Move the hand to a target: past `EVICTED_AT_ONCE` entries, twice around at most.

        Args:
            writing: The transaction.
            ledger: Its ledger.
            target: What must not be exceeded any more.
            keep: A place to leave alone, as it is being written.
        """
        txn = writing.txn
        rounds, left = 0, self._reach
        self._reach = min(2 * self._reach, EVICTED_AT_ONCE)
        while rounds <= 2 and left > 0 and target.exceeded(ledger):
            start = self.space.order_key(ledger.hand)
            reach = items(txn, start, self.space.ledger, min(left, _HAND_REACH))
            if not reach:
                ledger.hand = 0
                rounds += 1
            left -= len(reach)
            for order_key, tree_key in reach:
                if not target.exceeded(ledger):
                    break
                ledger.hand = self.space.order_sequence(order_key) + 1
                if tree_key != keep:
                    self._judge(writing, order_key, tree_key)

    def evict_less(self) -> None:
        """Look at fewer entries in the next write: this one has found the map full."""
        self._reach = max(self._reach // 16, 1)

    def rebuild(self, writing: WriteContext, without: bytes = b"") -> Ledger:
        """Drop damaged records, and make indexes and ledger anew from the sound ones.

        Args:
            writing: The transaction.
            without: A record to drop whatever it looks like.
        """
        txn = writing.txn
        for start in (self.space.order, self.space.expiry):
            for index_key, _ in items(txn, start, after(start)):
                txn.delete(index_key)
        ledger = writing.ledger = Ledger()
        for start in (self.space.entries, self.space.long_entries):
            for tree_key, stored in items(txn, start, after(start)):
                head = None if tree_key == without else unpack_head(tree_key, stored)
                if head is None:
                    txn.delete(tree_key)
                    self.counters.discarded += 1
                else:
                    self._count_in(writing, ledger, tree_key, stored, head)
        for file_key, tree_key in items(txn, FILE, after(FILE)):
            if tree_key == without:
                txn.delete(file_key)
        writing.written = True
        return ledger

    def keep_bounds(self, writing: WriteContext, ledger: Ledger, keep: bytes) -> None:
        """Reap and evict until the bounds are kept, and write down a mark of use.

        Args:
            writing: The transaction.
            ledger: Its ledger.
            keep: A place to leave alone, as it is being written.
        """
        bounds = self.bounds
        self.noting = bounds.near(ledger)
        if not self.noting:
            return
        if bounds.exceeded(ledger):
            self.reap(writing, REAPED_AT_ONCE, keep)
            if bounds.exceeded(ledger):
                self.evict(writing, ledger, bounds.relaxed(ledger), keep)
        if self._marks:
            self._write_mark(writing)

    def forget(self, writing: WriteContext, reference: Reference) -> None:
        """Let a value file go once the transaction is committed."""
        writing.txn.delete(FILE + reference.digest)
        writing.doomed += (reference,)

    def _write_mark(self, writing: WriteContext) -> None:
        try:
            tree_key, _ = self._marks.popitem()
        except KeyError:
            return  # another thread was faster
        stored = writing.txn.get(tree_key)
        if stored and not stored[0]:
            writing.txn.put(tree_key, b"\x01" + stored[1:])

    def _judge(self, writing: WriteContext, order_key: bytes, tree_key: bytes) -> None:
        """Evict what the hand points to, unless it was used since the hand came by last."""
        stored = writing.txn.get(tree_key)
        head = None if stored is None else unpack_head(tree_key, stored)
        if stored is None or head is None or self.space.order_key(head[5]) != order_key:
            writing.txn.delete(order_key)
            return
        noted = self._marks.pop(tree_key, self) is None
        if (head[0] or noted) and writing.now < head[3]:
            if head[0]:
                writing.txn.put(tree_key, b"\x00" + stored[1:])
            return
        self.remove(writing, tree_key, stored, head)
        self.counters.evicted += 1

    def _index_anew(
        self, writing: WriteContext, tree_key: bytes, stored: bytes, head: Head
    ) -> None:
        """Move an entry that lives longer than the index said to where it belongs."""
        used, _checksum, kind, deadline, indexed, sequence = head
        txn = writing.txn
        txn.delete(self.space.expiry_key(indexed, sequence))
        txn.put(self.space.expiry_key(deadline, sequence), tree_key)
        body = stored[HEAD_SIZE:]
        record = pack_record(tree_key, body, used, kind, deadline, deadline, sequence)
        txn.put(tree_key, record)

    def _count_in(
        self, writing: WriteContext, ledger: Ledger, tree_key: bytes, stored: bytes, head: Head
    ) -> None:
        """Give an entry a new place in the order, the expiry index and the ledger."""
        used, _checksum, kind, deadline, _indexed, _sequence = head
        txn = writing.txn
        sequence = ledger.next_sequence
        ledger.next_sequence += 1
        ledger.entries += 1
        expires = deadline != math.inf
        ledger.tree_bytes += charge(tree_key, len(stored), expires=expires)
        txn.put(self.space.order_key(sequence), tree_key)
        if expires:
            txn.put(self.space.expiry_key(deadline, sequence), tree_key)
        if is_in_file(kind):
            reference = reference_of(tree_key, stored)
            txn.put(FILE + reference.digest, tree_key)
            ledger.file_bytes += reference.size
        body = stored[HEAD_SIZE:]
        record = pack_record(tree_key, body, used, kind, deadline, deadline, sequence)
        txn.put(tree_key, record)


def items(
    txn: "lmdb.Transaction[bytes]", start: bytes, end: bytes, most: int | None = None
) -> list[tuple[bytes, bytes]]:
    """The first items of the tree from one key up to another, exclusive."""
    found: list[tuple[bytes, bytes]] = []
    with txn.cursor() as cursor:
        if cursor.set_range(start):
            for item in islice(cursor.iternext(), most):
                if item[0] >= end:
                    break
                found.append(item)
    return found
