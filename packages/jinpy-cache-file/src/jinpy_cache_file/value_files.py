"""Large values as files of their own, beside the store that refers to them.

A file is written whole under a temporary name, renamed to the digest of its content, and only then
committed to the index; it is removed only after the commit that dropped its record. Every write
makes a file of its own, so removing one can never hit a newer value. The writer holds an `flock` on
its file until its commit is through: a file that nothing refers to and nobody holds belongs to
a writer that died, and is swept.
"""

import contextlib
import errno
import fcntl
import os
import re
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path
from typing import Final

import attrs

from jinpy_cache_file import directory
from jinpy_cache_file.layout import Reference

VALUES_NAME: Final = "values"

_NONCE_BYTES: Final = 16
_TEMPORARY: Final = re.compile(r"\.tmp-[0-9a-f]{32}")
_VALUE: Final = re.compile(r"([0-9a-f]{64})(\.[A-Za-z0-9_-]+)?")
_FOLDER: Final = re.compile(r"[0-9a-f]{2}")

_NOT_A_VALUE: Final = frozenset({0, errno.ENOENT, errno.ELOOP, errno.ENXIO, errno.ENOTDIR})
"""What opening a name answers when there is no file of ours behind it."""


@attrs.frozen(slots=True)
class Publication:
    """A value file that is in place but not committed yet; its writer holds it.

    Attributes:
        reference: What to commit.
        path: Where it is.
        file: Open and locked until `close`; it closes itself when nobody knows it any more.
    """

    reference: Reference
    path: str
    file: FileIO

    def remove(self) -> None:
        """Remove a file that was not committed."""
        directory.remove(self.path)

    def close(self) -> None:
        """Let go of the file."""
        self.file.close()


class ValueFiles:
    """The files under `values/` of one cache directory.

    Args:
        place: Gives the path of the cache directory.
        extension: What the names of new files end in.
        durable: Bring a file to the platter before it is committed.
    """

    def __init__(self, place: Callable[[], str], extension: str, *, durable: bool) -> None:
        self._place = place
        self._extension = extension
        self._durable = durable

    def publish(self, tree_key: bytes, payload: bytes) -> Publication:
        """Write a payload to a file of its own.

        Returns:
            The file, to be settled after its reference was committed or was not.

        Raises:
            OSError: It cannot be written; nothing is left behind.
        """
        try:
            return self._published(tree_key, payload)
        except (FileNotFoundError, BlockingIOError):
            # A sweep took the file for an orphan before it was locked, or the folder was removed.
            return self._published(tree_key, payload)

    def _published(self, tree_key: bytes, payload: bytes) -> Publication:
        nonce = os.urandom(_NONCE_BYTES)
        reference = Reference.to(payload, tree_key, nonce, self._extension)
        path = self._path(reference)
        folder = os.path.dirname(path)  # noqa: PTH120 - strings throughout, for speed
        temporary = f"{folder}/.tmp-{nonce.hex()}"
        file = None
        try:
            file = self._created(folder, temporary)
            descriptor = file.fileno()
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _write_all(descriptor, payload)
            if self._durable:
                os.fsync(descriptor)
            os.rename(temporary, path)  # noqa: PTH104
            if self._durable:
                directory.sync_directory(folder)
        except BaseException:
            with contextlib.suppress(OSError):
                directory.remove(temporary)
            with contextlib.suppress(OSError):
                directory.remove(path)
            if file is not None:
                file.close()
            raise
        return Publication(reference, path, file)

    def read(self, tree_key: bytes, reference: Reference) -> bytes | None:
        """Read a payload back.

        Returns:
            Exactly what was published, or `None` if the file is gone or is not that any more.

        Raises:
            OSError: It is there but cannot be read now.
        """
        try:
            file, size = directory.open_sized(self._path(reference))
        except OSError as error:
            if error.errno in _NOT_A_VALUE:
                return None
            raise
        with file:
            # The size is known before anything is allocated, so a forged file costs nothing.
            if size != reference.size:
                return None
            payload = _read_all(file.fileno(), size)
        return payload if reference.proves(tree_key, payload) else None

    def remove(self, reference: Reference) -> None:
        """Remove a file whose record is gone."""
        directory.remove(self._path(reference))

    def present(self) -> Iterator[tuple[str, os.DirEntry[str]]]:
        """Every file of ours: its digest in hexadecimal, empty for a temporary one, and its entry.

        Whatever else lies there is not ours and not mentioned.
        """
        for folder in _entries(self._values):
            if not (_FOLDER.fullmatch(folder.name) and folder.is_dir(follow_symlinks=False)):
                continue
            for entry in _entries(folder.path):
                value = _VALUE.fullmatch(entry.name)
                if value and entry.name.startswith(folder.name):
                    yield value[1], entry
                elif _TEMPORARY.fullmatch(entry.name):
                    yield "", entry

    def sweep(self, is_referenced: Callable[[bytes], bool]) -> int:
        """Remove what writers that died left behind.

        Args:
            is_referenced: Whether a committed record refers to a digest, right now.

        Returns:
            How many files were removed.
        """
        swept = 0
        for digest, entry in self.present():
            if digest and is_referenced(bytes.fromhex(digest)):
                continue
            with contextlib.suppress(OSError):
                swept += _removed_if_abandoned(entry.path, digest, is_referenced)
        return swept

    @property
    def _values(self) -> str:
        return f"{self._place()}/values"

    def _path(self, reference: Reference) -> str:
        name = reference.name
        return f"{self._values}/{name[:2]}/{name}"

    def _created(self, folder: str, temporary: str) -> FileIO:
        try:
            return directory.create_own(temporary)
        except FileNotFoundError:
            directory.make_private(self._values)
            directory.make_private(folder)
            return directory.create_own(temporary)


def remove_values(root: Path) -> None:
    """Remove a folder of value files that was set aside; what is not ours stays, and with it so.

    Raises:
        OSError: Something is left.
    """
    for folder in _entries(str(root)):
        if folder.is_dir(follow_symlinks=False) and _FOLDER.fullmatch(folder.name):
            for entry in _entries(folder.path):
                if _VALUE.fullmatch(entry.name) or _TEMPORARY.fullmatch(entry.name):
                    directory.remove(entry.path)
            os.rmdir(folder.path)  # noqa: PTH106
    root.rmdir()


def abandoned(path: str) -> FileIO | None:
    """Open and lock a file whose writer is dead.

    Returns:
        The file, to be closed, or `None` if a live writer holds it.

    Raises:
        OSError: It cannot be opened.
    """
    file = directory.open_regular(path, os.O_RDONLY)
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def _removed_if_abandoned(path: str, digest: str, is_referenced: Callable[[bytes], bool]) -> bool:
    file = abandoned(path)
    if file is None:
        return False
    with file:
        # Its writer may have committed between the listing and the lock.
        if digest and is_referenced(bytes.fromhex(digest)):
            return False
        directory.remove(path)
        return True


def _entries(path: str) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(path) as entries:
            yield from entries
    except (FileNotFoundError, NotADirectoryError):
        return


def _write_all(descriptor: int, payload: bytes) -> None:
    rest = memoryview(payload)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _read_all(descriptor: int, size: int) -> bytes:
    payload = os.read(descriptor, size)
    if len(payload) == size:
        return payload
    parts = [payload]
    while parts[-1] and (left := size - sum(map(len, parts))):
        parts.append(os.read(descriptor, left))
    return b"".join(parts)
