"""`FileCacheBackend`: the contract over one namespace of a directory."""

import errno
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar, ParamSpec, TypeVar

import attrs
import lmdb

from jinpy_cache_core import (
    MISSING,
    TTL,
    UNCHANGED,
    AsyncCacheInterface,
    BaseBackend,
    BaseCacheBackendConfig,
    CacheBackendError,
    CacheException,
    CacheInterface,
    CacheOperation,
    Change,
    Clock,
    Decision,
    Record,
)
from jinpy_cache_core.backend import (
    Claim,
    Claiming,
    Filling,
    Missing,
    NewerEnvelopeError,
    Releasing,
    check_amount,
    check_key,
    check_keys,
    decisions,
    is_heavy,
    mapped_errors,
    negated,
    note_unchosen_namespace,
    signature_of,
    substitutes,
    unread,
)
from jinpy_cache_core.exceptions import UNREADABLE
from jinpy_cache_file import registry
from jinpy_cache_file.config import FileCacheConfig
from jinpy_cache_file.directory import default_directory
from jinpy_cache_file.fsck import CheckReport, Examination
from jinpy_cache_file.group_commit import GroupCommit
from jinpy_cache_file.index import Index
from jinpy_cache_file.layout import Space
from jinpy_cache_file.ledger import Bounds
from jinpy_cache_file.maintenance import Counters
from jinpy_cache_file.readers import foreign, holders
from jinpy_cache_file.recent_keys import RecentKeys
from jinpy_cache_file.store import Store
from jinpy_cache_file.value_files import ValueFiles
from jinpy_cache_file.write_lock import WAIT_UNTIL

P = ParamSpec("P")
T = TypeVar("T")

_SMALL_TRANSACTION = 64 * 1024
"""Bytes that a transaction of one small entry may write."""


class FileCacheBackend(BaseBackend):
    """A cache in a directory, shared by threads and processes, that survives them all.

    Small entries live in an LMDB map, values above `inline_max_bytes` in files of their own beside
    it. Reads take no lock and write nothing; writes are transactions, so a counter is exact across
    processes and a process that is killed at any moment leaves the old entry or the new one. Every
    record carries a checksum over its key and its content: damage is a miss, never a wrong value. A
    store that is cut or corrupt is set aside, renamed and logged, and a new one begun.

    What was chosen, and what it costs on a 2-core machine with small values: see the docs page
    "File backend" for the measurements of each release.

    * A read is one lookup in mapped memory and a checksum. A write is one commit without a sync,
      or, with `durability="disk"`, one that waits for the platter.
    * Writers queue at an `flock` that is given up after `lock_timeout`, so that a stopped process
      makes others fail in time instead of hanging. Reads go on regardless.
    * `aget` reads a key that was touched within the last seconds right in the event loop, as its
      pages are in memory, and any other key in a worker thread, with the interpreter lock
      released, so that neither a cold page nor a lock blocks the loop.
    * `aset`, `aadd`, `adelete`, `atouch`, `aincr` and small `aset_many` leave their change in a
      queue; one thread commits all that has gathered in one transaction.

    Args:
        config: The settings; by default a cache in the user's cache directory.
        clock: Unix time in seconds; injected by tests.

    Raises:
        CacheConfigurationError: The directory is not this user's own, or holds another program's
            store.
        CacheBackendError: The directory cannot be made or the store not opened.
    """

    config_class: ClassVar[type[BaseCacheBackendConfig]] = FileCacheConfig

    _config: FileCacheConfig
    _own_areads = frozenset({"aget"})

    def __init__(
        self, config: FileCacheConfig | None = None, *, clock: Clock | None = None
    ) -> None:
        super().__init__(config, clock=clock)
        settings = self._config
        self._directory = Path.cwd() / settings.directory
        durable = settings.durability == "disk"
        self._lease = registry.acquire(
            self._directory,
            map_size=settings.max_bytes,
            durable=durable,
            shared=settings.allow_shared_directory,
            patience=settings.lock_timeout,
        )
        self._environment = environment = self._lease.environment
        self._index = Index(
            Space(settings.namespace or settings.name),
            Bounds(settings.max_entries, settings.max_bytes),
            ValueFiles(lambda: environment.place_name, settings.file_extension, durable=durable),
            settings.inline_max_bytes,
        )
        self._store = Store(
            environment, self._index, clock=self._now, patience=settings.lock_timeout
        )
        self._group = GroupCommit(self._store, settings.name, settings.lock_timeout)
        self._recent_keys = RecentKeys()
        self._glance = self._store.glance
        self._decode = self._codec.decode
        self._counts_signed = self._codec.seals
        # A serializer of the user's own may take its time: it never runs in the event loop.
        self._swift = isinstance(settings.serializer, str)
        if settings.directory == default_directory():  # another one is shared by choice
            place = str(settings.directory)
            note_unchosen_namespace(settings.backend_type, settings.namespace, place)
        self._lease.owner = f"<{type(self).__name__} {self.name!r}>"

    # -- What a user of files may ask besides ----------------------------------------------------

    @property
    def directory(self) -> Path:
        """Where the cache lives, absolute."""
        return self._directory

    @property
    def counters(self) -> Counters:
        """What happened to entries behind their users' back, in this process."""
        return self._index.counters

    @property
    def set_aside(self) -> int:
        """How many damaged stores this process has put aside in the directory."""
        return self._environment.set_aside

    def check(self) -> CheckReport:
        """Examine the whole directory: structure, checksums, indexes, ledgers, files, modes.

        Writers wait meanwhile; reads go on. It takes memory and time in proportion to the store.

        Returns:
            The report; `report.ok` when nothing is wrong.

        Raises:
            CacheTimeoutError: Another writer kept the lock.
        """
        self._opened()
        environment = self._environment
        opened = environment.current()

        def examine() -> CheckReport:
            with opened.begin() as txn:
                report = Examination(environment.path, self._index.files).report(txn)
            return attrs.evolve(report, held_by=tuple(foreign(holders(opened))))

        return environment.lock.within(self._config.lock_timeout, examine)

    def sweep(self) -> int:
        """Remove every expired entry of this cache and every file that a dead writer left behind.

        Never needed for correctness: writes reclaim expired entries a few at a time.

        Returns:
            How many entries and files were removed.
        """
        self._opened()
        return self._store.reap() + self._store.sweep()

    def __repr__(self) -> str:
        state = " closed" if self._closed else ""
        limit = self._config.max_entries
        size = ""
        if not self._closed:
            try:
                entries = self._store.ledger().entries
                size = f" entries={entries}" if limit is None else f" entries={entries}/{limit}"
            except (lmdb.Error, OSError, CacheException):
                size = " entries=?"
        return (
            f"<{type(self).__name__} {self.name!r}{size} directory={str(self._directory)!r}{state}>"
        )

    # -- The primitives --------------------------------------------------------------------------

    def _read(self, key: str) -> Record | None:
        return self._store.find(key)

    def _update(self, key: str, decide: Decision[T]) -> T:
        return self._store.update(key, decide)

    @mapped_errors(CacheOperation.GET_OR_SET)
    def _claim(self, key: str, claiming: Claiming, within: float = math.inf) -> Claim:
        return self._opened()._store.update(key, claiming, whole=True)

    @mapped_errors(CacheOperation.GET_OR_SET)
    def _settle(self, key: str, settling: Filling | Releasing, within: float = math.inf) -> bool:
        return self._opened()._store.update(key, settling, whole=True)

    def _scan(self, prefix: str) -> Iterator[str]:
        return self._store.scan(prefix)

    def _clear(self) -> None:
        self._store.clear()

    def _count_entries(self) -> int:
        return self._store.ledger().entries

    def _probe(self) -> bool:
        self._store.deadline("jinpy-cache:health")
        return self._environment.readonly is None

    def _evictions(self) -> int | None:
        return self._index.counters.evicted

    def _release(self) -> None:
        self._group.close()
        self._lease.release()

    def _mapped(self, error: Exception) -> CacheException:
        code = getattr(error, "code" if isinstance(error, lmdb.Error) else "errno", None)
        # LMDB calls a write that was cut short an input/output error; what cuts it is a full disk.
        if code == errno.ENOSPC or (code == errno.EIO and _is_full(self._directory)):
            message = (
                f"The disk that holds {str(self._directory)!r} is full: {error}. What was stored "
                "before is still there, to be read and removed. Free space, or lower max_bytes."
            )
            return CacheBackendError(message, errno=errno.ENOSPC)
        if isinstance(error, lmdb.Error):
            message = (
                f"The store in {str(self._directory)!r} failed: {error}. What was stored before "
                "is still there."
            )
            return CacheBackendError(message, errno=code if code and code > 0 else None)
        return super()._mapped(error)

    # -- Shorter ways through the operations that are used most ----------------------------------

    @signature_of(CacheInterface.get)
    @mapped_errors(CacheOperation.GET, miss=substitutes.given_default)
    def get(self, key: str, default: object = None, *, type: type[Any] | None = None) -> Any:
        """Read a value: see `BaseBackend.get`.

        One lookup and no lock; a value above `inline_max_bytes` is read from its file.
        """
        payload = MISSING if self._closed else self._glance(key)
        if payload is MISSING:
            key = check_key(key)
            payload = self._opened()._store.read(key)
        if payload is None:
            return default
        try:
            if type is None:
                value = self._decode(key, payload)
            else:
                value = self._codec.decode_as(key, payload, type)
        except NewerEnvelopeError:
            return default
        return default if value is MISSING else value

    @signature_of(CacheInterface.set)
    @mapped_errors(CacheOperation.SET, miss=substitutes.unset)
    def set(self, key: str, value: object, ttl: TTL = None) -> None:
        """Store a value: see `BaseBackend.set`.

        One transaction; a value above `inline_max_bytes` is written to its file before it begins.
        """
        key = check_key(key)
        payload = self._codec.encode(key, value)
        seconds = self._default_seconds if ttl is None else self._seconds(ttl)
        if self._closed:
            raise self._closed_error()
        self._store.store(key, payload, seconds)

    @signature_of(CacheInterface.delete)
    @mapped_errors(CacheOperation.DELETE)
    def delete(self, key: str) -> bool:
        """Remove an entry: see `BaseBackend.delete`. Works on a full disk, too."""
        key = check_key(key)
        self._opened()
        return self._store.update(key, decisions.removing, removes=True)

    @mapped_errors(CacheOperation.POP)
    def pop(self, key: str, default: object = None) -> Any:
        """Read and remove an entry: see `BaseBackend.pop`."""
        key = check_key(key)
        while True:
            record = self._opened()._store.seen(key)
            value = MISSING if record is None else self._value(key, record)
            if record is None or value is MISSING:
                return default
            if self._store.update(key, self._taking(key, record), removes=True):
                return value

    def _taking(self, key: str, expected: Record) -> Decision[bool]:
        """Remove an entry only if it is the one that was read; its body may be a reference."""

        def decide(current: Record | None, now: float) -> tuple[Change, bool]:
            seen = decisions.live(current, now)
            if seen is None:
                return UNCHANGED, False
            if seen != expected and self._store.seen(key) != expected:
                return UNCHANGED, False
            return None, True

        return decide

    @signature_of(CacheInterface.exists)
    @mapped_errors(CacheOperation.EXISTS, miss=substitutes.answers(False))
    def exists(self, key: str) -> bool:
        """Tell whether a key has a live entry: see `BaseBackend.exists`. No value is read."""
        key = check_key(key)
        return self._opened()._store.deadline(key) is not None

    @mapped_errors(CacheOperation.TTL, miss=substitutes.answers(None))
    def ttl(self, key: str) -> float | None:
        """Tell how long an entry has left: see `BaseBackend.ttl`. No value is read."""
        key = check_key(key)
        deadline = self._opened()._store.deadline(key)
        if deadline is None:
            return None
        left = deadline - self._now()
        return left if left > 0 else None

    @mapped_errors(CacheOperation.INCR)
    def incr(self, key: str, amount: int = 1, ttl: TTL = None) -> int:
        """Count up: see `BaseBackend.incr`. One transaction, exact across processes."""
        key = check_key(key)
        amount = check_amount(amount)
        seconds = self._default_seconds if ttl is None else self._seconds(ttl)
        if self._closed:
            raise self._closed_error()
        if self._counts_signed:
            return self._count(key, amount, ttl)
        return self._store.count(key, amount, seconds)

    @signature_of(CacheInterface.get_many)
    @mapped_errors(CacheOperation.GET_MANY)
    def get_many(
        self, keys: Iterable[str], default: object = None, *, type: type[Any] | None = None
    ) -> dict[str, Any]:
        """Read several values: see `BaseBackend.get_many`. All are of one instant."""
        return self._found(check_keys(keys), default, type)

    @mapped_errors(CacheOperation.GET_MANY, miss=substitutes.all_missed)
    def _found(
        self, wanted: list[str], default: object, kind: type[Any] | None = None
    ) -> dict[str, Any]:
        payloads = self._opened()._store.read_many(wanted)
        values: dict[str, Any] = dict.fromkeys(wanted, default)
        decode = self._decode
        failure: CacheException | None = None
        if kind is not None:
            decode = self._codec.decoder_as(kind)
        for key, payload in zip(wanted, payloads, strict=True):
            if payload is not None:
                try:
                    value = decode(key, payload)
                except NewerEnvelopeError:
                    continue
                except UNREADABLE as error:
                    failure = unread(failure, error, key, values)
                    continue
                if value is not MISSING:
                    values[key] = value
        if failure is not None:
            raise failure
        return values

    def _store_many(self, payloads: dict[str, bytes], seconds: float) -> None:
        self._store.store_many(payloads, seconds)

    def _remove_many(self, keys: list[str]) -> int:
        return self._store.remove_many(keys)

    @mapped_errors(CacheOperation.SCAN, miss=substitutes.answers(None))
    def _live_keys(self, prefix: str) -> Iterator[str]:
        # Every key of a scan was live a moment ago, so it is not looked up again.
        yield from self._store.scan(prefix)

    # -- Asynchronous operations -----------------------------------------------------------------

    @signature_of(AsyncCacheInterface.aget)
    @mapped_errors(CacheOperation.GET, miss=substitutes.given_default)
    async def aget(self, key: str, default: object = None, *, type: type[Any] | None = None) -> Any:
        """Same as `get`, asynchronously.

        A key that was touched within the last seconds is read at once; any other one, and every
        large value, in a worker thread.
        """
        if self._swift and not self._closed and isinstance(key, str):
            now = self._now()
            if self._recent_keys.has(key, now):
                value = self._warm(key, default, type)
                if value is not MISSING:
                    return value
            found = await self._run(self._plain_get, key, default, type=type)
            self._recent_keys.add(key, now)
            return found
        return await self._run(self._plain_get, key, default, type=type)

    def _plain_get(self, key: str, default: object, *, type: Any) -> Any:
        """`get` itself, even where an instance counts its reads."""
        return FileCacheBackend.get(self, key, default, type=type)

    def _warm(self, key: str, default: object, kind: type[Any] | None) -> Any | Missing:
        """Read a warm key in the event loop; `MISSING` if that takes more than a glance."""
        payload = self._glance(key)
        if payload is MISSING:
            return MISSING
        if payload is None:
            return default
        try:
            value = (
                self._decode(key, payload)
                if kind is None
                else self._codec.decode_as(key, payload, kind)
            )
        except NewerEnvelopeError:
            return default
        return default if value is MISSING else value

    @signature_of(AsyncCacheInterface.aset)
    @mapped_errors(CacheOperation.SET, miss=substitutes.unset)
    async def aset(self, key: str, value: object, ttl: TTL = None) -> None:
        """Same as `set`, asynchronously; concurrent ones share a commit."""
        if not self._swift or is_heavy(value):
            await super().aset(key, value, ttl)
            return
        key = check_key(key)
        payload = self._codec.encode(key, value)
        seconds = self._seconds(ttl)
        if len(payload) > self._config.inline_max_bytes:
            await self._run(self._store_payload, key, payload, seconds)
        else:
            await self._change(key, decisions.storing(payload, seconds))
        self._recent_keys.add(key, self._now())

    @signature_of(AsyncCacheInterface.aadd)
    @mapped_errors(CacheOperation.ADD, miss=substitutes.answers(False))
    async def aadd(self, key: str, value: object, ttl: TTL = None) -> bool:
        """Same as `add`, asynchronously; concurrent ones share a commit."""
        if not self._swift or is_heavy(value):
            return await super().aadd(key, value, ttl)
        key = check_key(key)
        payload = self._codec.encode(key, value)
        return await self._change(key, decisions.adding(payload, self._seconds(ttl)))

    @signature_of(AsyncCacheInterface.adelete)
    @mapped_errors(CacheOperation.DELETE)
    async def adelete(self, key: str) -> bool:
        """Same as `delete`, asynchronously; concurrent ones share a commit."""
        return await self._change(check_key(key), decisions.removing, removes=True)

    @mapped_errors(CacheOperation.INCR)
    async def aincr(self, key: str, amount: int = 1, ttl: TTL = None) -> int:
        """Same as `incr`, asynchronously; concurrent ones share a commit."""
        key = check_key(key)
        return await self._acount(key, check_amount(amount), ttl)

    @mapped_errors(CacheOperation.DECR)
    async def adecr(self, key: str, amount: int = 1, ttl: TTL = None) -> int:
        """Same as `decr`, asynchronously; concurrent ones share a commit."""
        key = check_key(key)
        return await self._acount(key, negated(amount), ttl)

    @mapped_errors(CacheOperation.TOUCH, miss=substitutes.untouched)
    async def atouch(self, key: str, ttl: TTL) -> bool:
        """Same as `touch`, asynchronously; concurrent ones share a commit."""
        key = check_key(key)
        return await self._change(key, decisions.touching(self._seconds(ttl)))

    async def acheck(self) -> CheckReport:
        """Same as `check`, asynchronously."""
        return await self._run(self.check)

    async def asweep(self) -> int:
        """Same as `sweep`, asynchronously."""
        return await self._run(self.sweep)

    async def _run(self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call in a worker thread; the wait for one counts for `lock_timeout`."""
        token = WAIT_UNTIL.set(time.monotonic() + self._config.lock_timeout)
        try:
            return await super()._run(call, *args, **kwargs)
        finally:
            WAIT_UNTIL.reset(token)

    def _store_payload(self, key: str, payload: bytes, seconds: float) -> None:
        self._opened()._store.store(key, payload, seconds)

    async def _acount(self, key: str, amount: int, ttl: TTL) -> int:
        form = self._codec.integer_form(key)
        decide = decisions.counting(amount, self._seconds(ttl), form)
        return await self._change(key, decide, whole=self._counts_signed)

    def _count(self, key: str, amount: int, ttl: TTL) -> int:
        """Count where that takes more than adding to a text: what is signed is read whole."""
        key = check_key(key)
        form = self._codec.integer_form(key)
        decide = decisions.counting(amount, self._seconds(ttl), form)
        return self._opened()._store.update(key, decide, whole=self._counts_signed)

    async def _change(
        self, key: str, decide: Decision[T], *, removes: bool = False, whole: bool = False
    ) -> T:
        """Let a decision change one entry in the next shared commit."""
        self._opened()
        index = self._index
        tree_key = index.space.tree_key(key)
        return await self._group.run(
            lambda writing: index.change(writing, key, tree_key, decide, whole=whole),
            removes=removes,
        )


def _is_full(directory: Path) -> bool:
    """Whether there is no room left for the pages of a small transaction."""
    try:
        status = os.statvfs(directory)
    except OSError:
        return False
    return status.f_bavail * status.f_frsize < _SMALL_TRANSACTION
