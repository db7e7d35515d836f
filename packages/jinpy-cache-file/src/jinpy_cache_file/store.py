"""The operations of one namespace, as its backend needs them: keys and payloads, no values.

A read takes no lock and writes nothing. One LMDB lookup gives the record; its checksum, which is
taken over the key too, and its deadline decide whether it is a hit. Whatever is not a plain hit or
a plain miss (expired, damaged, in a file) takes the long way round. An expired entry that a read
comes across is removed at once if the lock is free, so that it does not come back when the clock
is set back.
"""

import errno
import struct
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Final, TypeVar
from zlib import crc32

import lmdb

from jinpy_cache_core import MISSING, CacheException, Clock, Decision, Record
from jinpy_cache_core.backend import Missing, decisions, live
from jinpy_cache_file.environment import Environment
from jinpy_cache_file.in_place_updates import counted, overwritten
from jinpy_cache_file.index import Index
from jinpy_cache_file.layout import (
    CHECKED_FROM,
    HEAD_SIZE,
    INLINE,
    LAYERED,
    LOOK,
    MAX_TREE_KEY,
    after,
    body_start,
    is_foreign,
    is_in_file,
    reference_of,
)
from jinpy_cache_file.maintenance import items
from jinpy_cache_file.transactions import Transactions

T = TypeVar("T")

_FILE_READS: Final = 8
"""How often a read follows an entry whose file is replaced under it."""

_CHUNK: Final = 1000
_SCAN_CHUNK: Final = 512


class Store(Transactions):
    """One namespace of one environment; usable from any thread.

    Args:
        environment: The directory's environment.
        index: The namespace's part of the tree.
        clock: Unix time in seconds.
        patience: Seconds to wait for the write lock.
    """

    def __init__(
        self, environment: Environment, index: Index, *, clock: Clock, patience: float
    ) -> None:
        super().__init__(environment, index, clock=clock, patience=patience)
        self._start = index.space.entries

    # -- Reading ---------------------------------------------------------------------------------

    def glance(self, key: str) -> bytes | Missing | None:
        """Read an inline payload, in one lookup and without any side effect on the store.

        Returns:
            The payload; `None` for no entry; `MISSING` if the key may be none, or `read` must have
            a closer look.
        """
        if type(key) is not str or not key:
            return MISSING
        try:
            tree_key = self._start + key.encode()
            record = self.environment.lmdb.begin().get(tree_key)  # type: ignore[union-attr]
            now = self._now()
            if not self._looked <= now < self._look_again:
                return MISSING
            if record is None:
                return None if len(tree_key) <= MAX_TREE_KEY else MISSING
            used, checksum, kind, deadline = LOOK.unpack_from(record)
        except (lmdb.Error, AttributeError, UnicodeEncodeError, struct.error):
            return MISSING
        if (
            kind != INLINE
            or not now < deadline
            or checksum != crc32(record[CHECKED_FROM:], crc32(tree_key))
        ):
            return MISSING
        if not used and self.index.noting:
            self.index.note(tree_key)
        return record[HEAD_SIZE:]

    def read(self, key: str) -> bytes | None:
        """Read a payload, wherever it is.

        Returns:
            Exactly what was stored under this key, or `None`.
        """
        payload = self.glance(key)
        if payload is MISSING:
            found = self.seen(key)
            return None if found is None else found.payload
        return payload

    def seen(self, key: str) -> Record | None:
        """Read what operations see of an entry: a fresh value, without layers."""
        return live(self.find(key), self._now())

    def find(self, key: str) -> Record | None:
        """Read a live entry with its deadline, and with its layers if it has some."""
        tree_key = self.space.tree_key(key)
        for _ in range(_FILE_READS):
            record = self.reading(lambda txn: txn.get(tree_key))
            if record is None:
                return None
            head = self.index.sound(key, tree_key, record)
            if head is None or not self._now() < head[3]:
                self._drop(key, tree_key, record)
                return None
            body = record[body_start(tree_key, record) :]
            if not head[0] and self.index.noting:
                self.index.note(tree_key)
            if not is_in_file(head[2]):
                return Record(body, head[3])
            payload = self.index.files.read(tree_key, reference_of(tree_key, record))
            if payload is not None:
                return Record(payload, head[3])
            # The file may be gone because the entry has been overwritten since it was read.
            if self.reading(lambda txn: txn.get(tree_key)) == record:
                self._drop(key, tree_key, record)
                return None
        return None

    def deadline(self, key: str) -> float | None:
        """When a live entry expires, without reading its value; `None` for no entry."""
        tree_key = self.space.tree_key(key)
        record = self.reading(lambda txn: txn.get(tree_key))
        if record is None:
            return None
        head = self.index.sound(key, tree_key, record)
        if head is None or not self._now() < head[3]:
            self._drop(key, tree_key, record)
            return None
        if head[2] & LAYERED:
            seen = self.seen(key)
            return None if seen is None else seen.deadline
        return head[3]

    def read_many(self, keys: list[str]) -> list[bytes | None]:
        """Read the payloads of several keys, in their order, from one snapshot."""
        start, now = self._start, self._now()
        tree_keys = [start + key.encode() for key in keys]
        records = self.reading(lambda txn: list(map(txn.get, tree_keys)))
        payloads: list[bytes | None] = []
        for key, tree_key, record in zip(keys, tree_keys, records, strict=True):
            if record is not None and len(record) >= HEAD_SIZE:
                used, checksum, kind, deadline = LOOK.unpack_from(record)
                if (
                    kind == INLINE
                    and now < deadline
                    and checksum == crc32(record[CHECKED_FROM:], crc32(tree_key))
                ):
                    if not used and self.index.noting:
                        self.index.note(tree_key)
                    payloads.append(record[HEAD_SIZE:])
                    continue
            elif record is None and len(tree_key) <= MAX_TREE_KEY:
                payloads.append(None)
                continue
            found = self.seen(key)
            payloads.append(None if found is None else found.payload)
        return payloads

    def scan(self, prefix: str) -> Iterator[str]:
        """Iterate over the live keys that begin with a prefix; no transaction stays open."""
        raw = prefix.encode("utf-8", "surrogatepass")
        for start in self.space.starts(raw):
            end = after(start)
            position = start
            while True:
                chunk = self.reading(partial(items, start=position, end=end, most=_SCAN_CHUNK))
                now = self._now()
                for tree_key, record in chunk:
                    if len(record) < HEAD_SIZE:
                        continue
                    _used, _checksum, kind, deadline = LOOK.unpack_from(record)
                    key = self.space.key_of(tree_key, record) if now < deadline else None
                    if key is None or not key.startswith(prefix):
                        continue
                    if not kind & LAYERED or self.seen(key) is not None:
                        yield key
                if len(chunk) < _SCAN_CHUNK:
                    break
                position = chunk[-1][0] + b"\0"

    # -- Writing ---------------------------------------------------------------------------------

    def update(
        self, key: str, decide: Decision[T], *, removes: bool = False, whole: bool = False
    ) -> T:
        """Read, decide and write one entry in one transaction.

        Args:
            key: The key.
            decide: Pure; it may be called again when the transaction is.
            removes: Whether it must go through on a full disk.
            whole: Whether the decision must see the payload of a value in a file.
        """
        change = partial(self.index.change, whole=True) if whole else self.index.change
        result: T = self.writing(change, key, self.space.tree_key(key), decide, removes=removes)
        return result

    def count(self, key: str, amount: int, seconds: float) -> int:
        """Count up, in one transaction."""
        tree_key = self.space.tree_key(key)
        return self.transact(self.index.count, (key, tree_key, amount, seconds), counted)

    def store(self, key: str, payload: bytes, seconds: float) -> None:
        """Store a payload for some seconds; zero removes. A large one is written out first."""
        tree_key = self.space.tree_key(key)
        if len(payload) <= self.index.inline_max or not seconds:
            self.transact(self.index.store, (key, tree_key, payload, seconds), overwritten)
            return
        self.index.check_size(len(payload))
        publication = self.index.files.publish(tree_key, payload)
        try:
            decide = decisions.storing(payload, seconds)
            self.writing(self.index.change, key, tree_key, decide, publication)
        except BaseException:
            self.withdraw(publication)
            raise
        publication.close()

    def store_many(self, payloads: dict[str, bytes], seconds: float) -> None:
        """Store several payloads, a thousand in a transaction."""
        for payload in payloads.values():
            if len(payload) > self.index.inline_max:
                self.index.check_size(len(payload))
        rest = iter(payloads.items())
        while chunk := list(islice(rest, _CHUNK)):
            self.writing(self.index.store_all, chunk, seconds)

    def remove_many(self, keys: Iterable[str]) -> int:
        """Remove several entries and tell how many were live."""
        removed = 0
        rest = iter(keys)
        while chunk := list(islice(rest, _CHUNK)):
            removed += self.writing(self.index.remove_all, chunk, removes=True)
        return removed

    def clear(self) -> None:
        """Remove every entry that was there at the beginning, along the order of insertion."""
        limit = self.ledger().next_sequence
        size = _CHUNK
        while True:
            try:
                if not self.writing(self.index.clear, limit, size, removes=True):
                    return
            except lmdb.Error as error:
                # A full disk has room for small transactions: they reuse what they free.
                if size == 1 or getattr(error, "code", 0) != errno.ENOSPC:
                    raise
                size = 1

    def reap(self) -> int:
        """Remove everything that has expired."""
        removed = 0
        while count := self.writing(self.index.reap, _CHUNK, removes=True):
            removed += count
        return removed

    def sweep(self) -> int:
        """Remove the files of writers that died."""
        swept = self.index.files.sweep(self.is_referenced)
        self.index.counters.swept += swept
        return swept

    # -- What goes wrong -------------------------------------------------------------------------

    def _drop(self, key: str, tree_key: bytes, record: bytes) -> None:
        """Remove an expired or damaged entry, if that can be done at once."""
        if is_foreign(record) or self.environment.readonly is not None:
            return
        try:
            self.writing(self.index.remove_unsound, key, tree_key, record, patience=0)
        except (lmdb.Error, OSError, CacheException):
            return  # it reads as a miss all the same
