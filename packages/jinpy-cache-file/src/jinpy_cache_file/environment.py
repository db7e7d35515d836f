"""The LMDB environment of a directory: shared by all caches of a process, replaceable.

Everything that may happen to one behind its users' back is dealt with by closing and opening it
again: a fork, a directory that was deleted or replaced, a map that another process has grown, a
store that turned out to be damaged and was set aside. An operation that is hit by that sees an
`lmdb.Error` from a closed environment and starts over with `current()`: a transaction that was not
committed has done nothing.

**One data file, one lock file.** LMDB keeps writers apart, and readers' pages untouched, by what
`lock.mdb` says. Two of them for one data file, or one for two, and pages are torn: LMDB then ends
the process (`abort`). That is what becomes of a directory whose files are removed one by one under
running processes. So the two are made together: where one is missing, whoever opens the directory
makes both anew, and takes over what the data file holds by a copy, if it is whole. Only one process
does so at a time: the lock for that is the directory itself, which cannot be removed under it, as
`write.lock` can. LMDB makes what it does not find, too, in the instant between our look and its
own; so it is told to give such a file a mode that nobody else does, by which it is known as stray.

**Damage.** LMDB trusts what it maps. The meta pages are looked at before each opening, and all
pages after a start of the machine, and after processes died in the middle of a read, as damage that
ends processes would do so again and again.
"""

import contextlib
import errno
import logging
import os
import stat
import time
from collections.abc import Generator
from fcntl import LOCK_EX, LOCK_NB, LOCK_UN, flock
from pathlib import Path
from typing import Final

import lmdb

from jinpy_cache_core import CacheBackendError, CacheConfigurationError, CacheTimeoutError
from jinpy_cache_file import directory as directories
from jinpy_cache_file.interrupts import Mutex
from jinpy_cache_file.layout import FORMAT, FORMAT_KEY, is_format
from jinpy_cache_file.preflight import pad, problem_of
from jinpy_cache_file.readers import Reader, foreign
from jinpy_cache_file.value_files import VALUES_NAME, remove_values
from jinpy_cache_file.write_lock import LOCK_NAME as LOCK_FILE
from jinpy_cache_file.write_lock import LockClosedError, WriteLock, kept_too_long

DATA_NAME: Final = "data.mdb"
LOCK_NAME: Final = "lock.mdb"
RESERVE_NAME: Final = "reserve"
SET_ASIDE: Final = ".damaged-"

_DESCRIPTORS: Final = "/proc/self/fd"

_OPENINGS: Final = 8
"""How often a store is opened that is replaced meanwhile."""

_COPY: Final = ".copy-"

_STRAY_MODE: Final = 0o200
"""What LMDB gives a file that was removed while it was being opened."""

_OPENED_ALONE: Final = 1.0
_LOOK_FOR_TURN: Final = 0.005
"""Seconds to wait for others who open the directory, and between two tries."""

_DEATHS: Final = 3
"""After how many ends in the middle of a read the whole store is examined."""

_QUICKLY_WALKED: Final = 4 << 20
"""Bytes of a store that is examined after each of them."""


MOST_OF_MAP: Final = 2
"""How many times `max_bytes` a store may take on disk, where readers hold its old pages."""

MAX_READERS: Final = 250
"""Read transactions at one instant, over all processes; 64 bytes each, so `lock.mdb` is 16 KiB."""

_LOCK_BYTES: Final = 16384
_RESERVE_BYTES: Final = 65536
MAP_STEP: Final = 1 << 16
"""Bytes that a map grows by where only a little is missing."""

_UNREACHABLE: Final = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})

DAMAGE: Final = (
    lmdb.CorruptedError,
    lmdb.PageNotFoundError,
    lmdb.InvalidError,
    lmdb.VersionMismatchError,
    lmdb.CursorFullError,
    lmdb.PageFullError,
    lmdb.IncompatibleError,
    lmdb.BadValsizeError,
)
"""What LMDB says of a store whose pages make no sense."""

_log = logging.getLogger("jinpy_cache.file")


class _ReplacedError(Exception):
    """The files are no longer the ones that were looked at."""


class Environment:
    """One directory's LMDB environment and the lock in front of it.

    Use `jinpy_cache_file.registry`; the attributes change when the environment is opened again.

    Attributes:
        lmdb: The open environment, or `None` while it is closed.
        place: The directory by its descriptor, where the system has a path for that: whatever is
            put at `path`, it stays the one that was checked.
        lock: What a writer takes first. Nothing is closed around a write transaction of another
            thread: LMDB's binding would wait for ever.
        readonly: Why the directory can only be read, or `None` if it can be written.
        users: The leases that `jinpy_cache_file.registry` has given out.
        set_aside: How many damaged stores were put aside.
        found_bytes: What of the store was in use when it was found, or when others made it grow.
        map_size: Bytes that the map may have now.
        wanted_map: Bytes that its users asked for; it is larger only while a reader is stuck.
    """

    def __init__(
        self, path: Path, *, map_size: int, durable: bool, shared: bool, patience: float
    ) -> None:
        self.path = path
        self.lmdb: lmdb.Environment | None = None
        self.readonly: OSError | None = None
        self.set_aside = 0
        self.users: set[object] = set()
        self.map_size = self.wanted_map = map_size
        self.found_bytes = 0
        self._lent = False
        self.durable = durable
        self._shared = shared
        self._patience = patience
        self._identity: tuple[object, ...] = ()
        self._shut = False
        self._named: set[int] = set()
        self._stay(path)
        self._folder: list[int] = []
        self._mutex = Mutex(f"opening or closing the store in {str(path)!r}")
        self._forking = False
        self.lock = WriteLock(path)
        try:
            self.current()
        except BaseException:
            self.shut()
            raise

    @property
    def gate(self) -> WriteLock:
        """What goes with the lock inside this process."""
        return self.lock

    @property
    def ceiling(self) -> int:
        """Bytes that the store may take, all in all."""
        return MOST_OF_MAP * self.wanted_map

    @property
    def most_of_map(self) -> int:
        """Bytes that it may take while a reader holds its old pages; the rest is for removing."""
        return self.ceiling - self.ceiling // 8

    def current(self) -> lmdb.Environment:
        """The open environment, opened if it is not.

        Raises:
            CacheBackendError: It cannot be opened.
        """
        opened = self.lmdb
        if opened is None:
            if self._mutex.is_mine():
                raise _busy(self.path)
            with self._mutex:
                opened = self.lmdb
                if opened is None:
                    opened = self._open()
        return opened

    def replaced(self) -> bool:
        """Whether the files in the directory are no longer the ones that are open."""
        return self._look() != self._identity

    def reopen(self, stale: lmdb.Environment | None) -> None:
        """Close the environment, unless someone has replaced it already; it opens on next use."""
        with self._mutex:
            if self.lmdb is stale:
                self._close()
                if not self.lock_is_current():
                    with contextlib.suppress(FileNotFoundError):  # it is made when it is opened
                        self._enter()
                        self._open_lock()

    def lock_is_current(self) -> bool:
        """Whether the lock file is still the one that other processes would open."""
        try:
            named, own = os.lstat(self.path / LOCK_FILE), os.fstat(self.lock.descriptor)
        except OSError:
            return False
        return (named.st_dev, named.st_ino) == (own.st_dev, own.st_ino)

    def discard(self, damaged: lmdb.Environment | None, reason: str) -> None:
        """Set a damaged store aside; a new one begins on next use. The write lock is not held.

        Args:
            damaged: What was found damaged; if it is not current any more, nothing is done.
            reason: A few words for the log.
        """
        with self._mutex:
            if self.readonly is not None:
                message = f"The store in {str(self.path)!r} is damaged and read-only: {reason}."
                raise CacheBackendError(message)
            if self.lmdb is not damaged:
                return
            replaced = self.replaced()
            self._close()
            if not replaced:
                self.lock.within(self._patience, self._put_aside, reason)

    def adopt_map(self, resized: lmdb.Environment) -> None:
        """Follow a map that another process has grown.

        An opening takes in what is used, whatever is asked for. A little more keeps it from being
        the next one that is opened again, but not beyond the ceiling: processes that follow each
        other would make it grow without end.
        """
        with self._mutex:
            if self.lmdb is resized:
                used = _used_bytes(resized)
                self.found_bytes = max(self.found_bytes, used)
                self.map_size = max(self.map_size, min(used + MAP_STEP, self.ceiling))
                self._close()

    def grow_map(self, full: lmdb.Environment, most: int, *, step: int = MAP_STEP) -> bool:
        """Give a full map a little more; whether there was more to give.

        It is opened again with the larger map, as a map must not change its place while threads of
        this process read from it; who is hit by that starts over.

        Args:
            full: The environment that is full; another one may have taken its place meanwhile.
            most: Bytes that the map may have.
            step: Bytes that it gets.
        """
        with self._mutex:
            if self.lmdb is full:
                present = full.info()["map_size"]
                if present >= most:
                    return False
                self.map_size = min(present + step, most)
                self._lent = self.map_size > self.most_of_map
                self._close()
            return True

    def take_room_back(self) -> None:
        """Open it without what it was given for removing entries, so that nothing else fills it.

        What is in use by then stays so: LMDB opens a store that is larger than what is asked for.
        """
        if self._lent:
            with self._mutex:
                self._lent = False
                self.map_size = max(self.wanted_map, self.most_of_map)
                self._close()

    def name_holders(self, readers: list[Reader]) -> None:
        """Say once of each process that it keeps the store from using its space again."""
        fresh = set(foreign(readers)) - self._named
        if fresh:
            self._named |= fresh
            _log.warning(
                "The cache store in %r cannot use its space again, as a read of %s has not ended: "
                "a process that is stopped, or gets no time. It grows to twice max_bytes, and then "
                "takes no more entries until that process goes on or ends.",
                str(self.path),
                " and ".join(f"process {pid}" for pid in sorted(fresh)),
            )

    def spend_reserve(self) -> bool:
        """Give back the disk space that was kept for removing entries from a full disk."""
        try:
            (self.place / RESERVE_NAME).unlink()
        except OSError:
            return False
        return True

    def keep_reserve(self) -> None:
        """Keep some disk space, so that entries can be removed from a full disk."""
        path = self.place / RESERVE_NAME
        with contextlib.suppress(OSError):
            room = os.statvfs(self.place)
            size = min(_RESERVE_BYTES, room.f_bavail * room.f_frsize // 4 // 4096 * 4096)
            with directories.create_own(path) as file:
                try:
                    os.posix_fallocate(file.fileno(), 0, size)
                except OSError:
                    directories.remove(path)

    # -- Sharing, under the registry's lock ------------------------------------------------------

    def demand(self, *, map_size: int, durable: bool) -> None:
        """Serve one more user: the larger map and the stricter durability win."""
        if map_size > self.map_size or (durable and not self.durable):
            with self._mutex:
                self.wanted_map = max(map_size, self.wanted_map)
                self.map_size = max(map_size, self.map_size)
                self.durable = durable or self.durable
                self._close()

    def shut(self) -> None:
        """Close everything."""
        with self._mutex:
            self._shut = True
            self._close()
            self.lock.close()
            self._stay(self.path)
            while self._folder:
                os.close(self._folder.pop())

    def before_fork(self) -> None:
        """Close what must not be inherited, with nobody opening it meanwhile."""
        self._forking = not self._mutex.is_mine() and self._mutex.acquire()
        if self._forking:
            self._close()

    def after_fork_in_parent(self) -> None:
        """Let others open it again."""
        if self._forking:
            self._forking = False
            self._mutex.release()

    def after_fork_in_child(self) -> None:
        """Forget the parent's locks; what it could not close in time is not ours either."""
        self._mutex = Mutex(f"opening or closing the store in {str(self.path)!r}")
        self._forking = False
        self.lmdb = None
        self.lock.forget()
        with contextlib.suppress(OSError):
            self._open_lock()

    # -- Opening and closing, under the mutex ----------------------------------------------------

    def _open_lock(self) -> None:
        """Open the lock's file; where that is not possible, nothing can be written."""
        try:
            self.lock.open()
        except OSError as error:
            if error.errno not in _UNREACHABLE:
                raise
            try:
                self.lock.open(readonly=True)
            except OSError:
                self.lock.close()

    def _close(self) -> None:
        # A thread that does not leave its transaction in time closes the environment by letting
        # go of it.
        if not self.lock.with_nobody_writing(self._close_now):
            self.lmdb = None

    def _close_now(self) -> None:
        opened, self.lmdb = self.lmdb, None
        if opened is not None:
            opened.close()

    def _open(self) -> lmdb.Environment:
        if self._shut:
            message = f"The store in {str(self.path)!r} was closed by this process."
            raise lmdb.Error(message)
        for _ in range(_OPENINGS):
            try:
                self._enter()
                if not self.lock_is_current():
                    self._open_lock()
                opened = self._opened()
            except (_ReplacedError, FileNotFoundError):
                continue
            except lmdb.Error as error:
                code = _positive(getattr(error, "code", 0))
                if code == errno.ENOENT:
                    continue
                message = f"The store in {str(self.path)!r} cannot be opened: {error}"
                raise CacheBackendError(message, errno=code) from error
            except OSError as error:
                message = f"The store in {str(self.path)!r} cannot be opened: {error}"
                raise CacheBackendError(message, errno=error.errno) from error
            self.lmdb = opened
            return opened
        message = f"The store in {str(self.path)!r} was replaced again and again."
        raise CacheTimeoutError(message)

    def _enter(self) -> None:
        """Make and check the directory, and hold on to it by a descriptor that keeps its number."""
        directories.prepare(self.path, shared=self._shared)
        entered: list[int] = []
        try:
            # In one step of the interpreter: a number on its way to a name could be lost.
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            entered.extend(map(os.open, (self.path,), (flags,)))
            status = os.fstat(entered[0])
            directories.check_status(self.path, status, shared=self._shared)
            if not self._folder:
                self._folder, entered = entered, []
            elif not os.path.samestat(status, os.fstat(self._folder[0])):
                os.dup2(entered[0], self._folder[0], inheritable=False)
        finally:
            for descriptor in entered:
                os.close(descriptor)
        place = Path(_DESCRIPTORS, str(self._folder[0]))
        self._stay(place if place.exists() else self.path)
        self.lock.move(self.place)

    def _stay(self, place: Path) -> None:
        self.place, self.place_name = place, str(place)

    def _opened(self) -> lmdb.Environment:
        """Open it under the lock, or without; a stopped writer must not keep readers out."""
        try:
            return self.lock.within(min(self._patience, _OPENED_ALONE), self._opened_alone)
        except (CacheTimeoutError, LockClosedError):
            return self._examined_and_opened(alone=False)

    def _opened_alone(self) -> lmdb.Environment:
        """Open it while nobody else does, whatever becomes of the lock's file."""
        with _taken(self.place, min(self._patience, _OPENED_ALONE)):
            self._remove_strays()
            return self._examined_and_opened(alone=True)

    def _remove_strays(self) -> None:
        """Remove what LMDB has made itself; nobody goes on with it, as others have the real one."""
        data, lock = self.place / DATA_NAME, self.place / LOCK_NAME
        stray = _is_stray(data)
        if stray or _is_stray(lock):
            with contextlib.suppress(OSError):
                directories.remove(lock)
                if stray:
                    directories.remove(data)

    def _examined_and_opened(self, *, alone: bool) -> lmdb.Environment:
        data = self.place / DATA_NAME
        self.readonly = None
        problem = self._problem(data)
        if problem is None:
            try:
                return self._open_files(data, alone=alone)
            except DAMAGE as error:
                problem = str(error)
        if not alone:
            message = f"The store in {str(self.path)!r} is damaged, and locked: {problem}."
            raise CacheTimeoutError(message)
        self._put_aside(problem)
        return self._open_files(data, alone=alone)

    def _open_files(self, data: Path, *, alone: bool) -> lmdb.Environment:
        try:
            if alone:
                self._pair_files(data)
            if os.path.lexists(data):
                directories.open_regular(data, os.O_RDWR).close()
            before = self._look()
        except OSError as error:
            if error.errno not in _UNREACHABLE or not directories.is_regular(data):
                raise
            return self._opened_readonly(error)
        strays = _is_stray(data) or _is_stray(self.place / LOCK_NAME)
        if before[0] is None or before[1] is None or strays:
            message = f"The store in {str(self.path)!r} is being made by another process."
            raise CacheTimeoutError(message)
        opened = lmdb.Environment(
            str(self.place),
            map_size=self.map_size,
            sync=self.durable,
            mode=_STRAY_MODE,
            create=False,
            readahead=False,
            max_readers=MAX_READERS,
            max_spare_txns=1,
            lib_version=0,
        )
        try:
            if self._look() != before:
                raise _ReplacedError
            self.found_bytes = self.found_bytes or _used_bytes(opened)
            died = opened.reader_check()
            noted = self.lock.noted()
            note = self._settle_in(opened, data, died) if alone else noted
            _check_format(opened, self.path, data, ours=bool(noted))
            data.chmod(directories.FILE_MODE)
            self._identity = before
            if alone:
                self.lock.note(note)
                self.keep_reserve()
        except BaseException:
            opened.close()
            raise
        return opened

    def _problem(self, data: Path) -> str | None:
        if not os.path.lexists(data):
            return None
        if not directories.is_regular(data):
            return "it is not a regular file"
        return problem_of(data)

    def _settle_in(self, opened: lmdb.Environment, data: Path, died: int) -> bytes:
        """Examine and pad the data file; in a transaction, so that it does not change meanwhile.

        The write lock alone would do, were it not for those who remove files they do not know.

        Args:
            opened: The environment.
            data: Its file.
            died: How many processes died while they read.

        Returns:
            What to note for the next one.
        """
        boot, _, deaths = self.lock.noted().partition(b" ")
        ended = (int(deaths) if deaths.isdigit() else 0) + bool(died)
        with opened.begin(write=True):
            # Without syncs, what was written before the machine went down may be there in part.
            if (not self.durable and boot != _boot()) or (
                died and (ended >= _DEATHS or data.stat().st_size <= _QUICKLY_WALKED)
            ):
                problem = problem_of(data, thorough=True)
                if problem is not None:
                    raise lmdb.CorruptedError(problem)
                ended = 0
            with directories.open_own(data) as file:
                pad(file.fileno())
        return b"%b %d" % (_boot(), ended)

    def _pair_files(self, data: Path) -> None:
        """Make the data file and LMDB's lock file, both anew if one of them is missing."""
        lock = self.place / LOCK_NAME
        if os.path.lexists(lock) and not directories.is_regular(lock):
            raise OSError(errno.ELOOP, "not a regular file", str(lock))
        if not _size_of(data):
            directories.remove(lock)
            directories.open_own(data).close()
        elif not os.path.lexists(lock):
            self._take_over(data)
        if not os.path.lexists(lock):
            # Without real blocks behind it, a reader's slot on a full disk would be a SIGBUS.
            with directories.create_own(lock) as file:
                try:
                    os.posix_fallocate(file.fileno(), 0, _LOCK_BYTES)
                except OSError:
                    directories.remove(lock)
                    raise

    def _take_over(self, data: Path) -> None:
        """Go on with a copy of a data file that others may have open, with a lock file removed."""
        copy = self.place / f"{DATA_NAME}{_COPY}{time.time_ns():x}"
        try:
            with directories.create_own(copy) as target, directories.open_own(data) as source:
                copied = 0
                while size := os.sendfile(target.fileno(), source.fileno(), copied, 1 << 24):
                    copied += size
            problem = problem_of(copy, thorough=True)
            if problem is not None:
                raise lmdb.CorruptedError(problem)
            os.rename(copy, data)  # noqa: PTH104
        except BaseException:
            directories.remove(copy)
            raise

    def _opened_readonly(self, reason: OSError) -> lmdb.Environment:
        opened = lmdb.Environment(
            str(self.place),
            map_size=self.map_size,
            readonly=True,
            create=False,
            readahead=False,
            max_spare_txns=1,
            lock=os.access(self.place / LOCK_NAME, os.R_OK | os.W_OK),
        )
        self.readonly = reason
        self._identity = self._look()
        return opened

    def _put_aside(self, reason: str) -> None:
        """Rename the store, drop what was set aside before, and say so; under the write lock."""
        for old in self.place.glob(f"*{SET_ASIDE}*"):
            with contextlib.suppress(OSError):
                remove_values(old) if old.name.startswith(VALUES_NAME) else old.unlink()
        for forgotten in self.place.glob(f"{DATA_NAME}{_COPY}*"):
            with contextlib.suppress(OSError):
                forgotten.unlink()
        moment = f"{SET_ASIDE}{time.time_ns():x}"
        os.rename(self.place / DATA_NAME, self.place / (DATA_NAME + moment))  # noqa: PTH104
        with contextlib.suppress(OSError):
            os.rename(self.place / VALUES_NAME, self.place / (VALUES_NAME + moment))  # noqa: PTH104
        self.set_aside += 1
        _log.warning(
            "The cache store in %r is damaged (%s). It was set aside as %r and a new one begun.",
            str(self.path),
            reason,
            DATA_NAME + moment,
        )

    def _look(self) -> tuple[object, ...]:
        names = (DATA_NAME, LOCK_NAME, LOCK_FILE)
        return tuple(_file_identity(self.path / name) for name in names)


@contextlib.contextmanager
def _taken(place: Path, patience: float) -> Generator[None]:
    """Hold a directory's own lock, with a descriptor that a fork does not share for long.

    Raises:
        CacheTimeoutError: Somebody else kept it all the time.
    """
    entered: list[int] = []
    give_up = time.monotonic() + patience
    try:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        entered.extend(map(os.open, (place,), (flags,)))
        while True:
            try:
                flock(entered[0], LOCK_EX | LOCK_NB)
            except BlockingIOError as error:
                if time.monotonic() >= give_up:
                    raise kept_too_long(place, patience) from error
                time.sleep(_LOOK_FOR_TURN)
            else:
                break
        yield
    finally:
        for descriptor in entered:
            flock(descriptor, LOCK_UN)
            os.close(descriptor)


def _is_stray(path: Path) -> bool:
    try:
        return stat.S_IMODE(os.lstat(path).st_mode) == _STRAY_MODE
    except OSError:
        return False


def _busy(path: Path) -> CacheBackendError:
    message = (
        f"This thread is in the middle of opening or closing the store in {str(path)!r}: a signal "
        "handler, a finaliser or a fork interrupted it there, and must not use the cache."
    )
    return CacheBackendError(message)


def _used_bytes(opened: lmdb.Environment) -> int:
    return int((opened.info()["last_pgno"] + 1) * opened.stat()["psize"])


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _file_identity(path: Path) -> tuple[int, int] | None:
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _check_format(opened: lmdb.Environment, path: Path, data: Path, *, ours: bool) -> None:
    """Mark a new store as ours; refuse somebody else's, and one of a later release.

    Args:
        opened: The environment.
        path: The directory, for the messages.
        data: The data file.
        ours: Whether there was a store of ours before: one without a mark is damaged then.
    """
    with opened.begin() as reading:
        found = reading.get(FORMAT_KEY)
        if found is None and reading.stat()["entries"]:
            problem = problem_of(data, thorough=True) or ("its mark is gone" if ours else None)
            if problem is not None:
                raise lmdb.CorruptedError(problem)
            message = (
                f"directory={str(path)!r} holds the LMDB store of another program, which is left "
                "alone. Give the file cache a directory of its own."
            )
            raise CacheConfigurationError(message)
    if found is None:
        with opened.begin(write=True) as writing:
            writing.put(FORMAT_KEY, FORMAT)
    elif not is_format(found):
        message = f"the store's format is {found[:40]!r}"
        raise lmdb.CorruptedError(message)
    elif found != FORMAT:
        message = (
            f"The store in {str(path)!r} was written by another release ({found[:40]!r}; this one "
            f"writes {FORMAT!r}). It is left as it is: give this release another directory."
        )
        raise CacheConfigurationError(message)


def _boot() -> bytes:
    """What changes with every start of the machine; empty where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_bytes().strip()
    except OSError:
        return b""


def _positive(code: int) -> int | None:
    return code if code > 0 else None
