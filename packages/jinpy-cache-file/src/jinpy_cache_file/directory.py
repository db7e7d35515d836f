"""The directory of a cache: made private, and refused where others could interfere.

Modes are given to every call and set again after it, so that neither a loose nor a tight umask
matters and `os.umask`, which is the whole process's, is never called. No symbolic link is followed
at a name that this package owns.

Who can write to a directory can put another one in the place of what is in it. So every level is
looked at, from the root on: each must belong to this user or to root, and be writable by nobody
else, unless its sticky bit keeps others from what is not theirs. Then the directory is opened, and
what is done in it is done through that descriptor.
"""

import contextlib
import grp
import os
import pwd
import stat
from io import FileIO
from itertools import tee
from pathlib import Path
from typing import Final

import platformdirs

from jinpy_cache_core import CacheBackendError, CacheConfigurationError

DIRECTORY_MODE: Final = 0o700
FILE_MODE: Final = 0o600

_WRITABLE_BY_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH
_NO_FOLLOW: Final = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


def default_directory() -> Path:
    """The user's own cache directory; never the working directory, never a shared `/tmp`."""
    return Path(platformdirs.user_cache_dir("jinpy-cache", appauthor=False))


def prepare(directory: Path, *, shared: bool) -> None:
    """Make the directory, every missing level of it private, or check the one that is there.

    Args:
        directory: An absolute path.
        shared: Accept a directory that others own or can write to.

    Raises:
        CacheConfigurationError: It is no directory, a symbolic link, or not the user's own.
        CacheBackendError: It cannot be made.
    """
    try:
        _make(directory)
        check(directory, shared=shared)
    except OSError as error:
        message = (
            f"The cache directory {str(directory)!r} cannot be used: {error.strerror}. Give the "
            "file cache a directory that this user can create and write to."
        )
        raise CacheBackendError(message, errno=error.errno) from error


def _make(directory: Path) -> None:
    missing: list[Path] = []
    level = directory
    while not os.path.lexists(level):
        missing.append(level)
        level = level.parent
    for path in reversed(missing):
        make_private(path)


def make_private(path: Path | str) -> None:
    """Make one directory that only its owner can enter, unless it is there already."""
    try:
        os.mkdir(path, DIRECTORY_MODE)  # noqa: PTH102 - a hot path of large values
    except FileExistsError:
        return
    os.chmod(path, DIRECTORY_MODE)  # noqa: PTH101 - what the umask took away


def check(directory: Path, *, shared: bool) -> None:
    """Refuse a directory in which somebody else could plant or read entries, or that he could swap.

    Raises:
        CacheConfigurationError: As for `prepare`.
        OSError: It cannot be examined.
    """
    if not shared:
        for level in _levels(directory):
            problem = _problem_of_level(level.lstat())
            if problem is not None:
                message = (
                    f"directory={str(directory)!r} is not safe: {str(level)!r}, a level above it, "
                    f"{problem}, so that others could put another directory in its place. Give a "
                    "directory with no such level, or set allow_shared_directory=True if you trust "
                    "all of them with every cached value."
                )
                raise CacheConfigurationError(message)
    check_status(directory, directory.lstat(), shared=shared)


def check_status(directory: Path, status: os.stat_result, *, shared: bool) -> None:
    """Same as `check` for the last level alone, whose status is known.

    Raises:
        CacheConfigurationError: As for `prepare`.
    """
    if stat.S_ISLNK(status.st_mode):
        problem = "is a symbolic link; give the directory it points to"
    elif not stat.S_ISDIR(status.st_mode):
        problem = "is not a directory; give another path"
    elif shared:
        return
    elif status.st_uid != os.geteuid():
        problem = (
            f"belongs to another user (uid {status.st_uid}); give a directory of your own, or "
            "set allow_shared_directory=True if you trust its owner with every cached value"
        )
    elif status.st_mode & _WRITABLE_BY_OTHERS:
        problem = (
            f"can be written to by others (mode {stat.S_IMODE(status.st_mode):04o}); run chmod "
            "700 on it, or set allow_shared_directory=True if you trust all of them"
        )
    else:
        return
    message = f"directory={str(directory)!r} {problem}."
    raise CacheConfigurationError(message)


def _levels(directory: Path) -> list[Path]:
    """Every level above a directory, links and what they lead to alike, from the root on."""
    parents = {*directory.parents, *Path(os.path.realpath(directory)).parents}
    return sorted(parents, key=lambda level: len(level.parts))


def _problem_of_level(status: os.stat_result) -> str | None:
    if status.st_uid not in {0, os.geteuid()}:
        return f"belongs to another user (uid {status.st_uid})"
    if stat.S_ISLNK(status.st_mode) or status.st_mode & stat.S_ISVTX:
        return None  # a link has no mode; in a sticky directory, what is ours stays ours
    others = status.st_mode & stat.S_IWOTH
    if others or (status.st_mode & stat.S_IWGRP and not _is_private_group(status.st_gid)):
        return f"can be written to by others (mode {stat.S_IMODE(status.st_mode):04o})"
    return None


def _is_private_group(number: int) -> bool:
    """Whether a group is root's, or this user's alone, as many systems make one for each."""
    if number == 0:
        return True
    try:
        user, group = pwd.getpwuid(os.geteuid()), grp.getgrgid(number)
    except KeyError:
        return False
    return user.pw_gid == number and set(group.gr_mem) <= {user.pw_name}


def is_regular(path: Path | str) -> bool:
    """Whether there is a regular file at a path, which is not followed if it is a link."""
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except FileNotFoundError:
        return False


def open_own(path: Path | str) -> FileIO:
    """Open a file of ours for reading and writing, made private if it is missing.

    Raises:
        OSError: There is a link, a FIFO or anything else at its name, or it cannot be opened.
    """
    with contextlib.suppress(FileExistsError):
        return create_own(path)
    return open_regular(path, os.O_RDWR)


def create_own(path: Path | str) -> FileIO:
    """Make a file that only its owner can read, for reading and writing.

    Raises:
        FileExistsError: There is something at that name, be it a dangling link.
    """
    file = _opened(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, FILE_MODE)
    os.fchmod(file.fileno(), FILE_MODE)
    return file


def open_regular(path: Path | str, flags: int) -> FileIO:
    """Open a file that must be a regular one; never follows a link, never waits for a FIFO.

    Raises:
        OSError: It is something else, or cannot be opened.
    """
    return open_sized(path, flags)[0]


def open_sized(path: Path | str, flags: int = os.O_RDONLY) -> tuple[FileIO, int]:
    """Same as `open_regular`, with the size of the file in bytes."""
    file = _opened(path, flags)
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode):
        file.close()
        raise OSError(0, "not a regular file", str(path))
    return file, status.st_size


def _opened(path: Path | str, flags: int, mode: int = 0) -> FileIO:
    """Open a file in one step of the interpreter.

    A descriptor that is a number would be lost to an exception that a signal handler raises after
    the call. Here C hands it over to an object that closes it.
    """
    opening, again = tee(map(os.open, (path,), (flags | _NO_FOLLOW,), (mode,)))
    try:
        return next(map(FileIO, opening))
    except IsADirectoryError as error:
        if not isinstance(error.filename, str | os.PathLike):  # it was opened, and is not to be
            os.close(next(again))
        raise OSError(0, "not a regular file", str(path)) from error


def remove(path: Path | str) -> None:
    """Remove a file that may be gone already."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)  # noqa: PTH108 - takes what scandir gives


def sync_directory(path: Path | str) -> None:
    """Bring a directory's names to the platter."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
