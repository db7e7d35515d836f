"""What happens inside a write transaction: records, indexes, ledger, expiry and eviction.

**Order.** An entry gets a sequence number when it is inserted and keeps it until it is removed.

**Expiry.** The index names each entry that expires, at its deadline or before: an overwrite with a
later deadline leaves the index alone, and the reaper files the entry anew when it comes by. So an
overwrite is one record. Insertions reap what is due, a few entries at a time.

**Eviction** is SIEVE (Zhang et al., NSDI 2024): a hand goes along the order of insertion from the
oldest to the newest, takes the mark of use from those that have one and evicts those that have
none. Marks are not written by reads: a read notes the key in memory, the next insertion of its
process writes a few of the marks, and the hand honours the rest. While the bounds are far away,
nothing is noted.

**Consistency.** Each method leaves records, indexes and ledger in agreement; what a caller does
between two of them is its own affair until the commit. `jinpy_cache_file.check` says what agreement
is.
"""

import math
from itertools import islice
from typing import Final, TypeVar
from zlib import crc32

import attrs
import lmdb

from jinpy_cache_core.decisions import UNCHANGED, Decision, Record, counting, removing, storing
from jinpy_cache_core.exceptions import CacheValueError
from jinpy_cache_core.integer_text import parse_integer
from jinpy_cache_core.integers import add_int64, not_a_counter
from jinpy_cache_core.slots import is_layered
from jinpy_cache_file.layout import (
    CHECKED_FROM,
    FILE,
    HEAD,
    HEAD_SIZE,
    IN_FILE,
    INLINE,
    LAYERED,
    Head,
    Reference,
    Space,
    after,
    body_start,
    charge,
    is_in_file,
    pack_record,
    reference_of,
    unpack_head,
)
from jinpy_cache_file.ledger import Bounds, Ledger
from jinpy_cache_file.value_files import Publication, ValueFiles

T = TypeVar("T")

_LONGEST_NUMBER: Final = 20
"""The most bytes a signed 64-bit integer takes as text: a counter is never put into a file."""

_MARKS_KEPT: Final = 1024
_MARKS_WRITTEN: Final = 4
_REAP_EVERY: Final = 8
_REAPED_AT_ONCE: Final = 32
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


class Writing:
    """One write transaction: what it has read once, and what must follow its end.

    Attributes:
        txn: The transaction.
        now: When it began.
        ledger: Once it was read; it is written back before the commit.
        written: Whether there is anything to commit.
        published: Files to settle when it is over.
        doomed: Files to remove once it is committed.
    """

    __slots__ = ("doomed", "ledger", "now", "published", "txn", "written")

    def __init__(self, txn: "lmdb.Transaction[bytes]", now: float) -> None:
        self.txn = txn
        self.now = now
        self.ledger: Ledger | None = None
        self.written = False
        self.published: tuple[Publication, ...] = ()
        self.doomed: tuple[Reference, ...] = ()


class Tree:
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
        self.space = space
        self.bounds = bounds
        self.files = files
        self.inline_max = max(inline_max_bytes, _LONGEST_NUMBER)
        self.counters = Counters()
        self.noting = False
        self._marks: dict[bytes, None] = {}
        self._insertions = 0

    # -- Entries ---------------------------------------------------------------------------------

    def change(
        self,
        writing: Writing,
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
        self, writing: Writing, key: str, tree_key: bytes, payload: bytes, seconds: float
    ) -> None:
        """Store a payload: what `change` does with `storing`, with a short way for an overwrite.

        Args:
            writing: The transaction.
            key: The key.
            tree_key: Where its record is.
            payload: At most `inline_max_bytes`.
            seconds: How long; zero removes.
        """
        stored = writing.txn.get(tree_key)
        if stored is not None and len(stored) == HEAD_SIZE + len(payload) and seconds:
            _used, checksum, kind, _deadline, indexed, sequence = HEAD.unpack_from(stored)
            deadline = writing.now + seconds
            if (
                kind == INLINE
                and (indexed <= deadline < math.inf or indexed == deadline)
                and not self.space.is_long(tree_key)
                and checksum == crc32(stored[CHECKED_FROM:], crc32(tree_key))
            ):
                record = pack_record(tree_key, payload, 1, kind, deadline, indexed, sequence)
                writing.txn.put(tree_key, record)
                writing.written = True
                return
        self.change(writing, key, tree_key, storing(payload, seconds))

    def count(
        self, writing: Writing, key: str, tree_key: bytes, amount: int, seconds: float
    ) -> int:
        """Count up: what `change` does with `counting`, with a short way for a live counter.

        Args:
            writing: The transaction.
            key: The key.
            tree_key: Where its record is.
            amount: A signed 64-bit integer.
            seconds: The lifetime of a counter that is created.
        """
        stored = writing.txn.get(tree_key)
        if stored is not None and len(stored) > HEAD_SIZE and not self.space.is_long(tree_key):
            _used, checksum, kind, deadline, indexed, sequence = HEAD.unpack_from(stored)
            if (
                kind == INLINE
                and writing.now < deadline
                and checksum == crc32(stored[CHECKED_FROM:], crc32(tree_key))
            ):
                number = parse_integer(stored[HEAD_SIZE:])
                if number is None:
                    raise not_a_counter()
                total = add_int64(number, amount)
                record = pack_record(tree_key, b"%d" % total, 1, kind, deadline, indexed, sequence)
                if len(record) == len(stored):
                    writing.txn.put(tree_key, record)
                    writing.written = True
                    return total
        return self.change(writing, key, tree_key, counting(amount, seconds))

    def store_all(self, writing: Writing, items: list[tuple[str, bytes]], seconds: float) -> None:
        """Store several payloads, some of them perhaps large."""
        store, tree_key = self.store, self.space.tree_key
        for key, payload in items:
            store(writing, key, tree_key(key), payload, seconds)

    def remove_all(self, writing: Writing, keys: list[str]) -> int:
        """Remove several entries and tell how many were live."""
        tree_key = self.space.tree_key
        return sum(self.change(writing, key, tree_key(key), removing) for key in keys)

    def remove(self, writing: Writing, tree_key: bytes, stored: bytes, head: Head) -> None:
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
            self._forget(writing, reference)
            ledger.file_bytes -= reference.size
        writing.written = True

    def remove_unsound(self, writing: Writing, key: str, tree_key: bytes, record: bytes) -> None:
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

    def clear(self, writing: Writing, limit: int, most: int) -> int:
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

    def note(self, tree_key: bytes) -> None:
        """Remember in memory that an entry without a mark was used."""
        if len(self._marks) < _MARKS_KEPT:
            self._marks[tree_key] = None

    def _insert(
        self, writing: Writing, tree_key: bytes, kind: int, body: bytes, deadline: float
    ) -> None:
        txn = writing.txn
        self._insertions += 1
        if not self._insertions % _REAP_EVERY:
            self.reap(writing, _REAPED_AT_ONCE)
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
        self._keep_bounds(writing, ledger, tree_key)
        txn.put(tree_key, record)
        txn.put(self.space.order_key(sequence), tree_key)
        if expires:
            txn.put(self.space.expiry_key(deadline, sequence), tree_key)
        writing.written = True

    def _overwrite(
        self,
        writing: Writing,
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
                self._forget(writing, old)
            if new is not None and old != new:
                txn.put(FILE + new.digest, tree_key)
            file_grown = (0 if new is None else new.size) - (0 if old is None else old.size)
        txn.put(tree_key, record)
        writing.written = True
        if grown or file_grown:
            ledger = self.ledger(writing)
            ledger.tree_bytes += grown
            ledger.file_bytes += file_grown
            self._keep_bounds(writing, ledger, tree_key)

    def _forget(self, writing: Writing, reference: Reference) -> None:
        writing.txn.delete(FILE + reference.digest)
        writing.doomed += (reference,)

    # -- Ledger, expiry and eviction -------------------------------------------------------------

    def ledger(self, writing: Writing) -> Ledger:
        """The ledger, read once in a transaction; counted anew if it is damaged."""
        if writing.ledger is None:
            stored = writing.txn.get(self.space.ledger)
            ledger = Ledger() if stored is None else Ledger.unpack(stored)
            if ledger is None:
                return self.rebuild(writing)
            writing.ledger = ledger
        return writing.ledger

    def reap(self, writing: Writing, most: int, keep: bytes = b"") -> int:
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

    def evict(self, writing: Writing, ledger: Ledger, target: Bounds, keep: bytes = b"") -> None:
        """Move the hand until a target is met, at most twice around.

        Args:
            writing: The transaction.
            ledger: Its ledger.
            target: What must not be exceeded any more.
            keep: A place to leave alone, as it is being written.
        """
        txn = writing.txn
        rounds = 0
        while rounds <= 2 and target.exceeded(ledger):
            start = self.space.order_key(ledger.hand)
            reach = items(txn, start, self.space.ledger, _HAND_REACH)
            if not reach:
                ledger.hand = 0
                rounds += 1
            for order_key, tree_key in reach:
                if not target.exceeded(ledger):
                    break
                ledger.hand = self.space.order_sequence(order_key) + 1
                if tree_key != keep:
                    self._judge(writing, order_key, tree_key)

    def rebuild(self, writing: Writing, without: bytes = b"") -> Ledger:
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

    def _keep_bounds(self, writing: Writing, ledger: Ledger, keep: bytes) -> None:
        bounds = self.bounds
        self.noting = bounds.near(ledger)
        if not self.noting:
            return
        if bounds.exceeded(ledger):
            self.reap(writing, _REAPED_AT_ONCE, keep)
            if bounds.exceeded(ledger):
                self.evict(writing, ledger, bounds.relaxed(ledger), keep)
        for _ in range(min(_MARKS_WRITTEN, len(self._marks))):
            self._mark(writing)

    def _mark(self, writing: Writing) -> None:
        tree_key = next(iter(self._marks.copy()), b"")
        if self._marks.pop(tree_key, self) is self:
            return
        stored = writing.txn.get(tree_key)
        if stored and not stored[0]:
            writing.txn.put(tree_key, b"\x01" + stored[1:])

    def _judge(self, writing: Writing, order_key: bytes, tree_key: bytes) -> None:
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

    def _index_anew(self, writing: Writing, tree_key: bytes, stored: bytes, head: Head) -> None:
        """Move an entry that lives longer than the index said to where it belongs."""
        used, _checksum, kind, deadline, indexed, sequence = head
        txn = writing.txn
        txn.delete(self.space.expiry_key(indexed, sequence))
        txn.put(self.space.expiry_key(deadline, sequence), tree_key)
        body = stored[HEAD_SIZE:]
        record = pack_record(tree_key, body, used, kind, deadline, deadline, sequence)
        txn.put(tree_key, record)

    def _count_in(
        self, writing: Writing, ledger: Ledger, tree_key: bytes, stored: bytes, head: Head
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
