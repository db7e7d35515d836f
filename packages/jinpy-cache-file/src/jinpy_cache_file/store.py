"""The engine of one namespace: reads, and write transactions that survive what goes wrong.

**Reads** take no lock and write nothing. One LMDB lookup gives the record; its checksum, which is
taken over the key too, and its deadline decide whether it is a hit. Whatever is not a plain hit or
a plain miss (expired, damaged, in a file) takes the long way round. An expired entry that a read
comes across is removed at once if the lock is free, so that it does not come back when the clock
is set back.

**Writes** are one LMDB transaction under the `WriteLock`; what happens inside is in `tree`.

**Faults.** An exception inside a transaction aborts it. A full map evicts and tries again; a full
disk is an error for what adds, while what removes may spend the reserve; a store that LMDB finds
damaged is set aside, and an environment that was closed behind our back opened again. Once a second
the files are looked at, in case they were removed or replaced.
"""

import contextlib
import errno
import math
import struct
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Any, Final, Self, TypeVar
from zlib import crc32

import lmdb

from jinpy_cache_core.clock import Clock
from jinpy_cache_core.decisions import Decision, Record, live, storing
from jinpy_cache_core.exceptions import CacheException
from jinpy_cache_core.sentinels import MISSING, Missing
from jinpy_cache_file.environment import DAMAGE, Environment
from jinpy_cache_file.layout import (
    CHECKED_FROM,
    FILE,
    HEAD_SIZE,
    INLINE,
    LAYERED,
    MAX_TREE_KEY,
    after,
    body_start,
    is_foreign,
    is_in_file,
    reference_of,
)
from jinpy_cache_file.ledger import Bounds, Ledger
from jinpy_cache_file.tree import Tree, Writing, items
from jinpy_cache_file.value_files import Publication
from jinpy_cache_file.write_lock import LockClosedError

T = TypeVar("T")

_LOOK: Final = struct.Struct("<BIBd")
"""What a read needs of a record's head."""

_ATTEMPTS: Final = 8
"""How often a transaction is tried that something else keeps cutting short."""

_LOOK_AGAIN_AFTER: Final = 1.0
"""Seconds after which the files are checked for having been replaced."""

_EVICTED_FROM_FULL: Final = 64
_CHUNK: Final = 1000
_SCAN_CHUNK: Final = 512


class Store:
    """One namespace of one environment; usable from any thread.

    Args:
        environment: The directory's environment.
        tree: The namespace's part of the tree.
        clock: Unix time in seconds.
        patience: Seconds to wait for the write lock.
    """

    def __init__(
        self, environment: Environment, tree: Tree, *, clock: Clock, patience: float
    ) -> None:
        self.environment = environment
        self.tree = tree
        self.space = tree.space
        self._now = clock
        self._patience = patience
        self._start = tree.space.entries
        self._looked = -math.inf
        self._reserve_spent = False

    # -- Reading ---------------------------------------------------------------------------------

    def glance(self, key: str) -> bytes | Missing | None:
        """Read an inline payload, in one lookup and without any side effect on the store.

        Returns:
            The payload; `None` for no entry; `MISSING` if `read` must have a closer look.
        """
        tree_key = self._start + key.encode()
        try:
            record = self.environment.lmdb.begin().get(tree_key)  # type: ignore[union-attr]
            now = self._now()
            if not self._looked <= now < self._looked + _LOOK_AGAIN_AFTER:
                return MISSING
            if record is None:
                return None if len(tree_key) <= MAX_TREE_KEY else MISSING
            used, checksum, kind, deadline = _LOOK.unpack_from(record)
        except (lmdb.Error, AttributeError, struct.error):
            return MISSING
        if (
            kind != INLINE
            or not now < deadline
            or checksum != crc32(record[CHECKED_FROM:], crc32(tree_key))
        ):
            return MISSING
        if not used and self.tree.noting:
            self.tree.note(tree_key)
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
        for _ in range(_ATTEMPTS):
            record = self.reading(lambda txn: txn.get(tree_key))
            if record is None:
                return None
            head = self.tree.sound(key, tree_key, record)
            if head is None or not self._now() < head[3]:
                self._drop(key, tree_key, record)
                return None
            body = record[body_start(tree_key, record) :]
            if not head[0] and self.tree.noting:
                self.tree.note(tree_key)
            if not is_in_file(head[2]):
                return Record(body, head[3])
            payload = self.tree.files.read(tree_key, reference_of(tree_key, record))
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
        head = self.tree.sound(key, tree_key, record)
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
                used, checksum, kind, deadline = _LOOK.unpack_from(record)
                if (
                    kind == INLINE
                    and now < deadline
                    and checksum == crc32(record[CHECKED_FROM:], crc32(tree_key))
                ):
                    if not used and self.tree.noting:
                        self.tree.note(tree_key)
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
                    _used, _checksum, kind, deadline = _LOOK.unpack_from(record)
                    key = self.space.key_of(tree_key, record) if now < deadline else None
                    if key is None or not key.startswith(prefix):
                        continue
                    if not kind & LAYERED or self.seen(key) is not None:
                        yield key
                if len(chunk) < _SCAN_CHUNK:
                    break
                position = chunk[-1][0] + b"\0"

    def reading(self, work: Callable[["lmdb.Transaction[bytes]"], T]) -> T:
        """Do something in a read transaction, again if it is cut short."""
        for attempt in range(_ATTEMPTS):
            opened = self._opened()
            try:
                with opened.begin() as txn:
                    return work(txn)
            except lmdb.Error as error:
                self._recover(opened, error, attempt, removes=False)
        raise AssertionError

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
        change = partial(self.tree.change, whole=True) if whole else self.tree.change
        result: T = self.writing(change, key, self.space.tree_key(key), decide, removes=removes)
        return result

    def count(self, key: str, amount: int, seconds: float) -> int:
        """Count up, in one transaction."""
        total: int = self.writing(self.tree.count, key, self.space.tree_key(key), amount, seconds)
        return total

    def store(self, key: str, payload: bytes, seconds: float) -> None:
        """Store a payload for some seconds; zero removes. A large one is written out first."""
        tree_key = self.space.tree_key(key)
        if len(payload) <= self.tree.inline_max or not seconds:
            self.writing(self.tree.store, key, tree_key, payload, seconds)
            return
        self.tree.check_size(len(payload))
        with Published(self.tree.files.publish(tree_key, payload)) as published:
            decide = storing(payload, seconds)
            self.writing(self.tree.change, key, tree_key, decide, published.file)
            published.committed = True

    def store_many(self, payloads: dict[str, bytes], seconds: float) -> None:
        """Store several payloads, a thousand in a transaction."""
        for payload in payloads.values():
            if len(payload) > self.tree.inline_max:
                self.tree.check_size(len(payload))
        rest = iter(payloads.items())
        while chunk := list(islice(rest, _CHUNK)):
            self.writing(self.tree.store_all, chunk, seconds)

    def remove_many(self, keys: Iterable[str]) -> int:
        """Remove several entries and tell how many were live."""
        removed = 0
        rest = iter(keys)
        while chunk := list(islice(rest, _CHUNK)):
            removed += self.writing(self.tree.remove_all, chunk, removes=True)
        return removed

    def clear(self) -> None:
        """Remove every entry that was there at the beginning, along the order of insertion."""
        limit = self.ledger().next_sequence
        size = _CHUNK
        while True:
            try:
                if not self.writing(self.tree.clear, limit, size, removes=True):
                    return
            except lmdb.Error as error:
                # A full disk has room for small transactions: they reuse what they free.
                if size == 1 or error.code != errno.ENOSPC:
                    raise
                size = 1

    def reap(self) -> int:
        """Remove everything that has expired."""
        removed = 0
        while count := self.writing(self.tree.reap, _CHUNK, removes=True):
            removed += count
        return removed

    def sweep(self) -> int:
        """Remove the files of writers that died."""
        swept = self.tree.files.sweep(self._is_referenced)
        self.tree.counters.swept += swept
        return swept

    def ledger(self) -> Ledger:
        """What the namespace holds right now; a damaged ledger is counted anew."""
        stored = self.reading(lambda txn: txn.get(self.space.ledger))
        ledger = Ledger() if stored is None else Ledger.unpack(stored)
        return self.writing(self.tree.ledger) if ledger is None else ledger

    def writing(self, work: Callable[..., T], *args: Any, removes: bool = False) -> T:
        """Do something in a write transaction, again if it is cut short.

        Args:
            work: Changes the tree through the `Writing` that it gets before
            args: its other arguments. What it does not mark as `written` is not committed.
            removes: Whether it may spend the reserve of a full disk.

        Raises:
            CacheTimeoutError: Another writer kept the lock.
            lmdb.Error: The store cannot be written.
        """
        environment = self.environment
        if environment.readonly is not None:
            self._check_writable()
        for attempt in range(_ATTEMPTS):
            lock = environment.lock
            try:
                lock.acquire(self._patience)
            except LockClosedError:
                self._look_around(self._now())
                continue
            gate = environment.gate
            gate.acquire()
            opened = environment.lmdb
            try:
                now = self._now()
                if (
                    opened is None
                    or lock is not environment.lock
                    or not self._looked <= now < self._looked + _LOOK_AGAIN_AFTER
                ):
                    raise _Unready
                result: T = self._transact(Writing(opened.begin(write=True), now), work, args)
                return result
            except _Unready:
                failed = None
            except lmdb.Error as error:
                failed = error
            finally:
                gate.release()
                lock.release()
            if failed is None or opened is None:
                self._look_around(self._now())
            else:
                self._recover(opened, failed, attempt, removes=removes)
        message = f"The store in {str(environment.path)!r} was replaced again and again."
        raise lmdb.Error(message)

    def _transact(self, writing: Writing, work: Callable[..., T], args: tuple[Any, ...]) -> T:
        """Work in a transaction that has begun, and commit it."""
        try:
            result = work(writing, *args)
            if writing.written:
                if writing.ledger is not None:
                    writing.txn.put(self.space.ledger, writing.ledger.pack())
                writing.txn.commit()
            else:
                writing.txn.abort()
        except BaseException:
            self._undo(writing)
            raise
        if writing.published or writing.doomed:
            self._settle(writing)
        return result

    # -- What goes wrong -------------------------------------------------------------------------

    def _drop(self, key: str, tree_key: bytes, record: bytes) -> None:
        """Remove an expired or damaged entry, if that can be done at once."""
        lock = self.environment.lock
        if is_foreign(record) or self.environment.readonly is not None or not lock.try_acquire():
            return
        lock.release()

        try:
            self.writing(self.tree.remove_unsound, key, tree_key, record)
        except (lmdb.Error, OSError, CacheException):
            return  # it reads as a miss all the same

    def _is_referenced(self, digest: bytes) -> bool:
        return self.reading(lambda txn: txn.get(FILE + digest)) is not None

    def _opened(self) -> lmdb.Environment:
        now = self._now()
        if not self._looked <= now < self._looked + _LOOK_AGAIN_AFTER:
            self._look_around(now)
        return self.environment.lmdb or self.environment.current()

    def _check_writable(self) -> None:
        """Refuse to write to a directory that can only be read, if that is still so."""
        environment = self.environment
        if not self._looked <= (now := self._now()) < self._looked + _LOOK_AGAIN_AFTER:
            self._look_around(now)
        if environment.readonly is not None:
            raise environment.readonly

    def _look_around(self, now: float) -> None:
        """Once a second: follow replaced files, and renew what was used up."""
        environment = self.environment
        opened = environment.lmdb
        if opened is not None and (environment.readonly or environment.replaced()):
            environment.reopen(opened)
        ledger = self._stored_ledger(environment.current())
        if ledger is not None:
            self.tree.noting = self.tree.bounds.near(ledger)
        if self._reserve_spent:
            environment.keep_reserve()
            self._reserve_spent = False
        self._looked = now

    def _stored_ledger(self, opened: lmdb.Environment) -> Ledger | None:
        with contextlib.suppress(lmdb.Error), opened.begin() as txn:
            stored = txn.get(self.space.ledger)
            return Ledger() if stored is None else Ledger.unpack(stored)
        return None

    def _recover(
        self, opened: lmdb.Environment, error: lmdb.Error, attempt: int, *, removes: bool
    ) -> None:
        """Do what makes another attempt worth while, or raise the error."""
        environment = self.environment
        if attempt == _ATTEMPTS - 1:
            raise error
        if environment.lmdb is not opened:
            return
        if isinstance(error, lmdb.MapFullError):
            self._relieve(opened)
        elif isinstance(error, lmdb.MapResizedError):
            environment.adopt_map(opened)
        elif isinstance(error, lmdb.ReadersFullError):
            opened.reader_check()
        elif isinstance(error, lmdb.PanicError):
            environment.reopen(opened)
        elif isinstance(error, DAMAGE):
            environment.discard(opened, str(error))
        elif error.code == errno.ENOSPC and removes and not self._reserve_spent:
            self._reserve_spent = True
            environment.spend_reserve()
        elif error.code > 0:
            raise error

    def _relieve(self, opened: lmdb.Environment) -> None:
        """Make room in a full map: forget dead readers, evict a few entries.

        LMDB writes new pages before it frees old ones, so in a full map there is room for small
        transactions only, of one entry at first; without room even for that, it grows a little.
        """
        opened.reader_check()
        step, evicted = 1, 0
        while evicted < max(_EVICTED_FROM_FULL, self.ledger().entries // 16):
            try:
                entries = self._evict(opened, step)
            except lmdb.MapFullError:
                if step == 1:
                    self.environment.grow_map(opened)
                step = 1
                continue
            if not entries:
                return
            evicted += step
            step *= 2

    def _evict(self, opened: lmdb.Environment, count: int) -> int:
        """Evict some entries in a transaction of their own; how many are left."""
        environment = self.environment
        lock, gate = environment.lock, environment.gate
        lock.acquire(self._patience)
        try:
            with gate:
                writing = Writing(opened.begin(write=True), self._now())
                return self._transact(writing, self._evicted, (count,))
        finally:
            lock.release()

    def _evicted(self, writing: Writing, count: int) -> int:
        ledger = self.tree.ledger(writing)
        self.tree.evict(writing, ledger, Bounds(max(ledger.entries - count, 0), sys.maxsize))
        writing.written = True
        return ledger.entries

    def _undo(self, writing: Writing) -> None:
        with contextlib.suppress(lmdb.Error):
            writing.txn.abort()
        for publication in writing.published:
            with contextlib.suppress(OSError):
                publication.settle(committed=False)

    def _settle(self, writing: Writing) -> None:
        """Deal with the files of a committed transaction; a sweep finds what cannot be removed."""
        for publication in writing.published:
            publication.settle(committed=True)
        for reference in writing.doomed:
            with contextlib.suppress(OSError):
                self.tree.files.remove(reference)


class _Unready(Exception):  # noqa: N818 - a signal, not an error
    """The environment has to be looked after before a transaction can begin."""


class Published:
    """A value file around the transaction that commits its reference."""

    __slots__ = ("committed", "file")

    def __init__(self, file: Publication) -> None:
        self.file = file
        self.committed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.file.settle(committed=self.committed)
