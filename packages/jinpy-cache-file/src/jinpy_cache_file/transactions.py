"""Transactions that survive what goes wrong.

**Reads** take no lock and write nothing. **Writes** are one LMDB transaction under the `WriteLock`;
what happens inside is in `tree`.

**Faults.** An exception inside a transaction aborts it. A full map evicts and tries again; a full
disk is an error for what adds, while what removes may spend the reserve; a store that LMDB finds
damaged is set aside, and an environment that was closed behind our back opened again. Once a second
the files are looked at, in case they were removed or replaced.
"""

import contextlib
import errno
import math
import sys
import time
from collections.abc import Callable
from fcntl import LOCK_UN, flock
from pathlib import Path
from typing import Any, Final, TypeVar

import lmdb

from jinpy_cache_core import CacheBackendError, CacheException, Clock
from jinpy_cache_file.environment import DAMAGE, MAP_STEP, Environment
from jinpy_cache_file.index import Index
from jinpy_cache_file.layout import FILE
from jinpy_cache_file.ledger import Bounds, Ledger
from jinpy_cache_file.maintenance import EVICTED_AT_ONCE
from jinpy_cache_file.readers import Reader, holders
from jinpy_cache_file.value_files import Publication
from jinpy_cache_file.write_context import WriteContext
from jinpy_cache_file.write_lock import LockClosedError

T = TypeVar("T")

Rewrite = Callable[[bytes, bytes, float, Any, float], tuple[bytes, T] | None]
"""Gives the new record and the result; see `jinpy_cache_file.in_place_updates`."""

_ATTEMPTS: Final = 8
"""How often a transaction is tried that something else keeps cutting short."""

_LOOK_AGAIN_AFTER: Final = 1.0
"""Seconds after which the files are checked for having been replaced."""

_EVICTED_FROM_FULL: Final = 128
"""Entries that go at least where a map is full, as the keys of a page go as they come.

At most, `EVICTED_AT_ONCE` go.
"""

_LENT_FOR_LOWERING: Final = 1 << 20
"""Bytes at least that a store gets which was found too large, so that its entries can go."""

_PATIENCE_STEPS: Final = 10
_PATIENCE_STEP: Final = 0.01
"""Seconds, ten times, that a reader gets to end before it counts as stuck."""


class Transactions:
    """Reads and writes of one namespace of one environment, from any thread.

    Args:
        environment: The directory's environment.
        index: The namespace's part of the tree.
        clock: Unix time in seconds.
        patience: Seconds to wait for the write lock.
    """

    def __init__(
        self, environment: Environment, index: Index, *, clock: Clock, patience: float
    ) -> None:
        self.environment = environment
        self.index = index
        self.space = index.space
        self._now = clock
        self._patience = patience
        self._looked = self._look_again = -math.inf
        self._reserve_spent = False
        self._stuck: set[Reader] = set()

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

    def writing(
        self,
        work: Callable[..., T],
        *args: Any,
        removes: bool = False,
        patience: float | None = None,
    ) -> T:
        """Do something in a write transaction, again if it is cut short.

        Args:
            work: Changes the tree through the `WriteContext` that it gets before
            args: its other arguments. What it does not mark as `written` is not committed.
            removes: Whether it may spend the reserve of a full disk.
            patience: Seconds to wait for the write lock, if not those of the store.

        Raises:
            CacheTimeoutError: Another writer kept the lock.
            lmdb.Error: The store cannot be written.
        """
        return self.transact(work, args, removes=removes, patience=patience)

    def transact(
        self,
        work: Callable[..., T],
        args: tuple[Any, ...],
        rewrite: Rewrite[T] | None = None,
        *,
        removes: bool = False,
        patience: float | None = None,
    ) -> T:
        """What `writing` does, where a shorter way is tried first.

        Args:
            work: See `writing`; with `rewrite`
            args: are a key, its tree key, an operand and seconds.
            rewrite: Rewrites the record in place, if that is all that there is to do.
            removes: See `writing`.
            patience: See `writing`.
        """
        environment = self.environment
        for attempt in range(_ATTEMPTS):
            opened = environment.lmdb
            try:
                result = self._once(opened, work, args, rewrite, patience)
                if attempt and not self.index.bounds.exceeded(self.ledger()):
                    environment.take_room_back()
                return result
            except (_Unready, LockClosedError):
                self._look_around(self._now())
            except lmdb.Error as error:
                self._recover(opened, error, attempt, removes=removes)
        message = f"The store in {str(environment.path)!r} was replaced again and again."
        raise lmdb.Error(message)

    def _once(
        self,
        opened: "lmdb.Environment | None",
        work: Callable[..., T],
        args: tuple[Any, ...],
        rewrite: Rewrite[T] | None = None,
        patience: float | None = None,
    ) -> T:
        """Make one attempt, under the lock.

        Raises:
            CacheTimeoutError: Another writer kept the lock.
            LockClosedError: It was replaced meanwhile.
            _Unready: The environment was, or has to be looked after first.
            lmdb.Error: Nothing was written.
        """
        environment = self.environment
        lock = environment.lock
        writing: WriteContext | None = None
        if environment.readonly is not None:
            self._check_writable()
        if lock.is_mine():
            raise lock.reentered()
        try:
            lock.acquire(self._patience if patience is None else patience)
            with lock.gate_left:
                try:
                    now = self._now()
                    if (
                        opened is None
                        or opened is not environment.lmdb
                        or not self._looked <= now < self._look_again
                    ):
                        raise _Unready
                    # Leaving it aborts, in one step, what an exception has kept from its commit.
                    # That is refused if a handler has closed the environment under it, by a fork.
                    with opened.begin(None, None, True) as txn:
                        if rewrite is not None:
                            _key, tree_key, operand, seconds = args
                            stored = txn.get(tree_key)
                            done = stored and rewrite(tree_key, stored, now, operand, seconds)
                            if done:
                                txn.put(tree_key, done[0])
                                txn.commit()
                                return done[1]
                        writing = WriteContext(txn, now)
                        result = self._worked(writing, work, args)
                    if writing.published or writing.doomed:
                        self._settled(writing)
                    return result
                finally:
                    flock(lock.descriptor, LOCK_UN)
        except BaseException:
            lock.forsake()
            if writing is not None and writing.published:
                self._undone(writing)
            raise

    def _worked(self, writing: WriteContext, work: Callable[..., T], args: tuple[Any, ...]) -> T:
        """Work in a transaction that has begun, and end it."""
        result = work(writing, *args)
        if writing.written:
            if writing.ledger is not None:
                writing.txn.put(self.space.ledger, writing.ledger.pack())
            writing.txn.commit()
        else:
            writing.txn.abort()
        return result

    def _settled(self, writing: WriteContext) -> None:
        """Do with value files what a commit has decided."""
        for publication in writing.published:
            publication.close()
        for reference in writing.doomed:
            # What cannot be removed now, a sweep will find.
            with contextlib.suppress(OSError):
                self.index.files.remove(reference)

    def _undone(self, writing: WriteContext) -> None:
        """Remove the value files of a transaction that failed."""
        for publication in writing.published:
            self.withdraw(publication)

    def withdraw(self, publication: Publication) -> None:
        """Let go of a value file; remove it unless its reference was committed after all.

        An exception may come between a commit and the knowledge of it. What cannot be found out or
        removed now, a sweep will find.
        """
        try:
            if not self.is_referenced(publication.reference.digest):
                publication.remove()
        except (lmdb.Error, OSError, CacheException):
            pass
        finally:
            publication.close()

    def is_referenced(self, digest: bytes) -> bool:
        """Whether a committed record refers to a value file."""
        return self.reading(lambda txn: txn.get(FILE + digest)) is not None

    def ledger(self) -> Ledger:
        """What the namespace holds right now; a damaged ledger is counted anew."""
        stored = self.reading(lambda txn: txn.get(self.space.ledger))
        ledger = Ledger() if stored is None else Ledger.unpack(stored)
        return self.writing(self.index.ledger) if ledger is None else ledger

    # -- What goes wrong ---------------------------------------------------------------------

    def _opened(self) -> lmdb.Environment:
        now = self._now()
        if not self._looked <= now < self._look_again:
            self._look_around(now)
        return self.environment.lmdb or self.environment.current()

    def _check_writable(self) -> None:
        """Refuse to write to a directory that can only be read, if that is still so."""
        environment = self.environment
        if not self._looked <= (now := self._now()) < self._look_again:
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
            self.index.noting = self.index.bounds.near(ledger)
        if self._reserve_spent:
            environment.keep_reserve()
            self._reserve_spent = False
        self._looked, self._look_again = now, now + _LOOK_AGAIN_AFTER

    def _stored_ledger(self, opened: lmdb.Environment) -> Ledger | None:
        with contextlib.suppress(lmdb.Error), opened.begin() as txn:
            stored = txn.get(self.space.ledger)
            return Ledger() if stored is None else Ledger.unpack(stored)
        return None

    def _recover(
        self, opened: lmdb.Environment | None, error: lmdb.Error, attempt: int, *, removes: bool
    ) -> None:
        """Do what makes another attempt worth while, or raise the error."""
        environment = self.environment
        if attempt == _ATTEMPTS - 1:
            raise error
        if opened is None or environment.lmdb is not opened:
            return
        code = _code(error)
        if isinstance(error, lmdb.MapFullError):
            self.index.evict_less()
            self._relieve(opened, removes=removes)
        elif isinstance(error, lmdb.MapResizedError):
            environment.adopt_map(opened)
        elif isinstance(error, lmdb.ReadersFullError):
            opened.reader_check()
        elif isinstance(error, lmdb.PanicError):
            environment.reopen(opened)
        elif isinstance(error, DAMAGE):
            environment.discard(opened, str(error))
        elif code == errno.ENOSPC and removes and not self._reserve_spent:
            self._reserve_spent = True
            environment.spend_reserve()
        elif code > 0:
            raise error

    def _relieve(self, opened: lmdb.Environment, *, removes: bool) -> None:
        """Make room in a full map: forget dead readers, grow for stuck ones, or evict entries.

        Where the entries themselves are within their bounds and a reader holds old pages, the map
        grows, up to `most_of_map`, and a little more for what removes: nothing that lives is
        evicted because of somebody who is stopped. Otherwise entries go. LMDB writes new pages
        before it frees old ones, so in a full map there is room for small transactions only, of one
        entry at first; without room even for that, it grows for a while. A store that was found
        larger than it may be, as `max_bytes` was lowered here or is larger elsewhere, keeps its
        size, and gets an eighth more until its bounds hold: pages become free only after many
        entries of them have gone, and one write must not have to evict so many.

        Raises:
            CacheBackendError: A reader holds all the space that there may be.
        """
        if opened.reader_check():
            return  # what dead readers held is free now
        environment = self.environment
        held_by = holders(opened)
        most, ceiling = environment.most_of_map, environment.ceiling
        spare = ceiling - most
        exceeded = self.index.bounds.exceeded(self.ledger())
        if held_by and not exceeded:
            step = max(MAP_STEP, environment.wanted_map // 8)
            if environment.grow_map(opened, ceiling if removes else most, step=step):
                environment.name_holders(held_by)
            elif self._still_hold(opened, held_by):
                raise _held(environment.path, held_by)
            return
        if exceeded:
            step = max(spare, environment.found_bytes // 8, _LENT_FOR_LOWERING)
            if environment.found_bytes > ceiling:
                ceiling = environment.found_bytes + step
            if environment.grow_map(opened, ceiling, step=step):
                return
        self._evict_from(opened, ceiling)
        if not exceeded:
            environment.take_room_back()

    def _evict_from(self, opened: lmdb.Environment, ceiling: int) -> None:
        """Evict entries from a full map, which may grow in steps up to a ceiling for that."""
        entries, evicted = 1, 0
        enough = max(_EVICTED_FROM_FULL, min(self.ledger().entries // 16, EVICTED_AT_ONCE))
        while evicted < enough:
            try:
                left = self._once(opened, self._evicted, (entries,))
            except (_Unready, LockClosedError):
                return
            except lmdb.MapFullError:
                if entries == 1:
                    if not self.environment.grow_map(opened, ceiling):
                        return
                    opened = self.environment.current()
                entries = 1
                continue
            if not left:
                return
            evicted += entries
            entries = min(2 * entries, enough - evicted)

    def _still_hold(self, opened: lmdb.Environment, held_by: list[Reader]) -> bool:
        """Whether a reader has not moved on for as long as any read takes; remembered if so."""
        if set(held_by) & self._stuck:
            return True
        for _ in range(_PATIENCE_STEPS):
            time.sleep(_PATIENCE_STEP)
            still = set(held_by) & set(holders(opened))
            if not still:
                return False
        self._stuck = set(held_by) & set(holders(opened))
        return True

    def _evicted(self, writing: WriteContext, count: int) -> int:
        ledger = self.index.ledger(writing)
        self.index.evict(writing, ledger, Bounds(max(ledger.entries - count, 0), sys.maxsize))
        writing.written = True
        return ledger.entries


def _held(path: Path, held_by: list[Reader]) -> CacheBackendError:
    processes = ", ".join(sorted({str(reader.pid) for reader in held_by}))
    message = (
        f"The store in {str(path)!r} has no space left that it may use: a read of process "
        f"{processes} has not ended and holds it. What was stored before is still there, to be "
        "read; nothing was written. End that process, or let it go on."
    )
    return CacheBackendError(message, errno=errno.ENOSPC)


class _Unready(Exception):  # noqa: N818 - a signal, not an error
    """The environment has to be looked after before a transaction can begin."""


def _code(error: lmdb.Error) -> int:
    """What LMDB or the system calls an error; those of the binding itself have no number."""
    return int(getattr(error, "code", 0))
