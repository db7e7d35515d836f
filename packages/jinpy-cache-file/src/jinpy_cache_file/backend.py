"""`FileCacheBackend`: the contract over one namespace of a directory."""

import errno
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar, TypeVar, overload

import lmdb

from jinpy_cache_core.entries import decisions
from jinpy_cache_core.backend.base import BaseBackend
from jinpy_cache_core.clock import Clock
from jinpy_cache_core.config import BaseCacheBackendConfig
from jinpy_cache_core.entries.decisions import UNCHANGED, Change, Decision, Record
from jinpy_cache_core.enums import CacheOperation
from jinpy_cache_core.entries.envelope import NewerEnvelopeError
from jinpy_cache_core.exceptions import CacheBackendError, CacheException
from jinpy_cache_core.entries.integers import check_amount, negated
from jinpy_cache_core.entries.keys import check_key, check_keys
from jinpy_cache_core.loading.leases import Claim, Claiming, Filling, Releasing
from jinpy_cache_core.backend.errors import reporting
from jinpy_cache_core.sentinels import MISSING, Missing
from jinpy_cache_core.entries.ttl import TTL
from jinpy_cache_file import registry
from jinpy_cache_file.fsck import CheckReport, Examination
from jinpy_cache_file.config import FileCacheConfig
from jinpy_cache_file.group_commit import GroupCommit
from jinpy_cache_file.layout import Space
from jinpy_cache_file.ledger import Bounds
from jinpy_cache_file.store import Store
from jinpy_cache_file.index import Tree
from jinpy_cache_file.maintenance import Counters
from jinpy_cache_file.value_files import ValueFiles
from jinpy_cache_file.recent_keys import Warmth

D = TypeVar("D")
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
        environment = registry.acquire(
            self._directory,
            map_size=settings.max_bytes,
            durable=durable,
            shared=settings.allow_shared_directory,
            patience=settings.lock_timeout,
        )
        self._environment = environment
        self._tree = Tree(
            Space(settings.namespace or settings.name),
            Bounds(settings.max_entries, settings.max_bytes),
            ValueFiles(environment.path, settings.file_extension, durable=durable),
            settings.inline_max_bytes,
        )
        self._store = Store(
            environment, self._tree, clock=self._now, patience=settings.lock_timeout
        )
        self._group = GroupCommit(self._store, settings.name)
        self._warmth = Warmth()
        self._glance = self._store.glance
        self._decode = self._codec.decode
        # A serializer of the user's own may take its time: it never runs in the event loop.
        self._swift = isinstance(settings.serializer, str)

    # -- What a user of files may ask besides ----------------------------------------------------

    @property
    def directory(self) -> Path:
        """Where the cache lives, absolute."""
        return self._directory

    @property
    def counters(self) -> Counters:
        """What happened to entries behind their users' back, in this process."""
        return self._tree.counters

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
        environment.lock.acquire(self._config.lock_timeout)
        try:
            with opened.begin() as txn:
                return Examination(environment.path, self._tree.files).report(txn)
        finally:
            environment.lock.release()

    def sweep(self) -> int:
        """Remove every expired entry of this cache and every file that a dead writer left behind.

        Never needed for correctness: writes reclaim expired entries a few at a time.

        Returns:
            How many entries and files were removed.
        """
        self._opened()
        return self._store.reap() + self._store.sweep()

    def __len__(self) -> int:
        """How many entries the store holds for this cache, expired ones included."""
        return self._opened()._store.ledger().entries

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

    @reporting(CacheOperation.GET_OR_SET)
    def _claim(self, key: str, claiming: Claiming) -> Claim:
        return self._opened()._store.update(key, claiming, whole=True)

    @reporting(CacheOperation.GET_OR_SET)
    def _settle(self, key: str, settling: Filling | Releasing) -> bool:
        return self._opened()._store.update(key, settling, whole=True)

    def _scan(self, prefix: str) -> Iterator[str]:
        return self._store.scan(prefix)

    def _clear(self) -> None:
        self._store.clear()

    def _probe(self) -> bool:
        self._store.deadline("jinpy-cache:health")
        return self._environment.readonly is None

    def _evictions(self) -> int | None:
        return self._tree.counters.evicted

    def _release(self) -> None:
        self._group.close()
        registry.release(self._environment)

    def _mapped(self, error: Exception) -> CacheException:
        code = error.code if isinstance(error, lmdb.Error) else getattr(error, "errno", None)
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
            return CacheBackendError(message, errno=error.code if error.code > 0 else None)
        return super()._mapped(error)

    # -- Shorter ways through the operations that are used most ----------------------------------

    @overload
    def get(self, key: str, default: None = None, *, type: type[T]) -> T | None: ...
    @overload
    def get(self, key: str, default: D, *, type: type[T]) -> T | D: ...
    @overload
    def get(self, key: str, default: object = None, *, type: None = None) -> Any: ...
    def get(self, key: str, default: object = None, *, type: type[Any] | None = None) -> Any:
        """Read a value: see `BaseBackend.get`.

        One lookup and no lock; a value above `inline_max_bytes` is read from its file.
        """
        try:
            key = check_key(key)
            if self._closed:
                raise self._closed_error()
            payload = self._glance(key)
            if payload is MISSING:
                payload = self._store.read(key)
            if payload is None:
                return default
            if type is None:
                value = self._decode(key, payload)
            else:
                value = self._codec.decode_as(key, payload, type)
        except NewerEnvelopeError:
            return default
        except Exception as error:  # noqa: BLE001 - as in `reporting`
            self._raise_mapped(error, CacheOperation.GET, key)
        return default if value is MISSING else value

    def set(self, key: str, value: object, ttl: TTL = None) -> None:
        """Store a value: see `BaseBackend.set`.

        One transaction; a value above `inline_max_bytes` is written to its file before it begins.
        """
        try:
            key = check_key(key)
            payload = self._codec.encode(key, value)
            seconds = self._default_seconds if ttl is None else self._seconds(ttl)
            if self._closed:
                raise self._closed_error()
            self._store.store(key, payload, seconds)
        except Exception as error:  # noqa: BLE001 - as in `reporting`
            self._raise_mapped(error, CacheOperation.SET, key)

    @reporting(CacheOperation.DELETE)
    def delete(self, key: str) -> bool:
        """Remove an entry: see `BaseBackend.delete`. Works on a full disk, too."""
        key = check_key(key)
        self._opened()
        return self._store.update(key, decisions.removing, removes=True)

    @reporting(CacheOperation.POP)
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

    @reporting(CacheOperation.EXISTS)
    def exists(self, key: str) -> bool:
        """Tell whether a key has a live entry: see `BaseBackend.exists`. No value is read."""
        key = check_key(key)
        return self._opened()._store.deadline(key) is not None

    @reporting(CacheOperation.TTL)
    def ttl(self, key: str) -> float | None:
        """Tell how long an entry has left: see `BaseBackend.ttl`. No value is read."""
        key = check_key(key)
        deadline = self._opened()._store.deadline(key)
        if deadline is None:
            return None
        left = deadline - self._now()
        return left if left > 0 else None

    def incr(self, key: str, amount: int = 1, ttl: TTL = None) -> int:
        """Count up: see `BaseBackend.incr`. One transaction, exact across processes."""
        try:
            key = check_key(key)
            amount = check_amount(amount)
            seconds = self._default_seconds if ttl is None else self._seconds(ttl)
            if self._closed:
                raise self._closed_error()
            return self._store.count(key, amount, seconds)
        except Exception as error:  # noqa: BLE001 - as in `reporting`
            self._raise_mapped(error, CacheOperation.INCR, key)

    @reporting(CacheOperation.GET_MANY)
    def get_many(self, keys: Iterable[str], default: object = None) -> dict[str, Any]:
        """Read several values: see `BaseBackend.get_many`. All are of one instant."""
        wanted = check_keys(keys)
        payloads = self._opened()._store.read_many(wanted)
        values: dict[str, Any] = dict.fromkeys(wanted, default)
        decode = self._decode
        for key, payload in zip(wanted, payloads, strict=True):
            if payload is not None:
                try:
                    value = decode(key, payload)
                except NewerEnvelopeError:
                    continue
                if value is not MISSING:
                    values[key] = value
        return values

    def _store_many(self, payloads: dict[str, bytes], seconds: float) -> None:
        self._store.store_many(payloads, seconds)

    def _remove_many(self, keys: list[str]) -> int:
        return self._store.remove_many(keys)

    def _live_keys(self, prefix: str) -> Iterator[str]:
        # Every key of a scan was live a moment ago, so it is not looked up again.
        try:
            yield from self._store.scan(prefix)
        except Exception as error:  # noqa: BLE001 - as in `reporting`
            self._raise_mapped(error, CacheOperation.SCAN, None)

    # -- Asynchronous operations -----------------------------------------------------------------

    @overload
    async def aget(self, key: str, default: None = None, *, type: type[T]) -> T | None: ...
    @overload
    async def aget(self, key: str, default: D, *, type: type[T]) -> T | D: ...
    @overload
    async def aget(self, key: str, default: object = None, *, type: None = None) -> Any: ...
    async def aget(self, key: str, default: object = None, *, type: type[Any] | None = None) -> Any:
        """Same as `get`, asynchronously.

        A key that was touched within the last seconds is read at once; any other one, and every
        large value, in a worker thread.
        """
        if self._swift and not self._closed and isinstance(key, str):
            now = self._now()
            if self._warmth.has(key, now):
                value = self._warm(key, default, type)
                if value is not MISSING:
                    return value
            found = await self._run(self._plain_get, key, default, type=type)
            self._warmth.add(key, now)
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
        except Exception as error:  # noqa: BLE001 - as in `reporting`
            self._raise_mapped(error, CacheOperation.GET, key)
        return default if value is MISSING else value

    async def aset(self, key: str, value: object, ttl: TTL = None) -> None:
        """Same as `set`, asynchronously; concurrent ones share a commit."""
        if not self._swift:
            await super().aset(key, value, ttl)
            return
        try:
            key = check_key(key)
            payload = self._codec.encode(key, value)
            seconds = self._seconds(ttl)
        except Exception as error:  # noqa: BLE001 - as in `reporting`
            self._raise_mapped(error, CacheOperation.SET, key)
        if len(payload) > self._config.inline_max_bytes:
            await self._run(self._store_payload, key, payload, seconds)
        else:
            await self._change(CacheOperation.SET, key, decisions.storing(payload, seconds))
        self._warmth.add(key, self._now())

    async def aadd(self, key: str, value: object, ttl: TTL = None) -> bool:
        """Same as `add`, asynchronously; concurrent ones share a commit."""
        if not self._swift:
            return await super().aadd(key, value, ttl)
        try:
            key = check_key(key)
            payload = self._codec.encode(key, value)
            decide = decisions.adding(payload, self._seconds(ttl))
        except Exception as error:  # noqa: BLE001 - as in `reporting`
            self._raise_mapped(error, CacheOperation.ADD, key)
        return await self._change(CacheOperation.ADD, key, decide)

    async def adelete(self, key: str) -> bool:
        """Same as `delete`, asynchronously; concurrent ones share a commit."""
        return await self._change(CacheOperation.DELETE, key, decisions.removing, removes=True)

    async def aincr(self, key: str, amount: int = 1, ttl: TTL = None) -> int:
        """Same as `incr`, asynchronously; concurrent ones share a commit."""
        try:
            key = check_key(key)
            decide = decisions.counting(check_amount(amount), self._seconds(ttl))
        except Exception as error:  # noqa: BLE001 - as in `reporting`
            self._raise_mapped(error, CacheOperation.INCR, key)
        return await self._change(CacheOperation.INCR, key, decide)

    async def adecr(self, key: str, amount: int = 1, ttl: TTL = None) -> int:
        """Same as `decr`, asynchronously; concurrent ones share a commit."""
        try:
            key = check_key(key)
            decide = decisions.counting(negated(amount), self._seconds(ttl))
        except Exception as error:  # noqa: BLE001 - as in `reporting`
            self._raise_mapped(error, CacheOperation.DECR, key)
        return await self._change(CacheOperation.DECR, key, decide)

    async def atouch(self, key: str, ttl: TTL) -> bool:
        """Same as `touch`, asynchronously; concurrent ones share a commit."""
        try:
            key = check_key(key)
            decide = decisions.touching(self._seconds(ttl))
        except Exception as error:  # noqa: BLE001 - as in `reporting`
            self._raise_mapped(error, CacheOperation.TOUCH, key)
        return await self._change(CacheOperation.TOUCH, key, decide)

    async def acheck(self) -> CheckReport:
        """Same as `check`, asynchronously."""
        return await self._run(self.check)

    async def asweep(self) -> int:
        """Same as `sweep`, asynchronously."""
        return await self._run(self.sweep)

    def _store_payload(self, key: str, payload: bytes, seconds: float) -> None:
        try:
            self._opened()._store.store(key, payload, seconds)
        except Exception as error:  # noqa: BLE001 - as in `reporting`
            self._raise_mapped(error, CacheOperation.SET, key)

    async def _change(
        self, operation: CacheOperation, key: str, decide: Decision[T], *, removes: bool = False
    ) -> T:
        """Let a decision change one entry in the next shared commit."""
        try:
            key = check_key(key)
            self._opened()
            tree = self._tree
            tree_key = tree.space.tree_key(key)
            return await self._group.run(
                lambda writing: tree.change(writing, key, tree_key, decide), removes=removes
            )
        except Exception as error:  # noqa: BLE001 - as in `reporting`
            self._raise_mapped(error, operation, key)


def _is_full(directory: Path) -> bool:
    """Whether there is no room left for the pages of a small transaction."""
    try:
        status = os.statvfs(directory)
    except OSError:
        return False
    return status.f_bavail * status.f_frsize < _SMALL_TRANSACTION
