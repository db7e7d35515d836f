"""The environments of this process, one for each real directory, lent out and carried over a fork.

LMDB forbids a second open of the same files in one process, and its environments must not be
carried across a fork: they are closed before, and both sides open them anew.

What uses an environment holds a `Lease`. One that is dropped without a `release`, with its backend
or by an exception in the middle of a construction, gives the environment up all the same.
"""

import contextlib
import os
import warnings
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

from jinpy_cache_core import CacheBackendError, CacheException
from jinpy_cache_file import directory as directories
from jinpy_cache_file.environment import Environment
from jinpy_cache_file.interrupts import Mutex

_SMALLEST_MAP: Final = 1 << 20

_registry: dict[str, Environment] = {}
_registry_lock = Mutex("opening or closing a file cache")
_forking = False


_dropped: deque[tuple[Environment, object]] = deque()
"""Leases that were dropped where nothing could be done about it."""


class Lease:
    """The use of an environment, until it is released or dropped.

    Args:
        environment: What is used.

    Attributes:
        environment: What is used.
        owner: Who uses it, for the warning when he drops it; `None` while he is being made.
    """

    __slots__ = ("_token", "environment", "owner")

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.owner: str | None = None
        self._token = object()
        environment.users.add(self._token)

    def release(self) -> None:
        """Give it up; the last one closes the environment. Idempotent."""
        with _registry_lock:
            _forget(self.environment, self._token)

    def __del__(self) -> None:
        # Half made where an exception came into the constructor.
        environment, token = getattr(self, "environment", None), getattr(self, "_token", None)
        if environment is None or token not in environment.users:
            return
        _dropped.append((environment, token))
        if self.owner is not None:
            warnings.warn(
                f"{self.owner} was dropped without close().", ResourceWarning, stacklevel=2
            )
        # Inside of what this finaliser has interrupted, it has to wait for the next one.
        if not _registry_lock.is_mine() and not environment.lock.is_mine():
            with contextlib.suppress(CacheException), _registry_lock:
                _forget_dropped()


def acquire(path: Path, *, map_size: int, durable: bool, shared: bool, patience: float) -> Lease:
    """Borrow the environment of a directory, opened if this process has not opened it yet.

    Args:
        path: An absolute path, no symbolic link itself.
        map_size: The least size of the map in bytes.
        durable: Whether a commit must be on the platter before it returns.
        shared: Accept a directory that others own or can write to.
        patience: Seconds to wait for the write lock.

    Raises:
        CacheConfigurationError: The directory is not private, or not this package's.
        CacheBackendError: The store cannot be opened.
    """
    directories.prepare(path, shared=shared)
    real = os.path.realpath(path)
    map_size = max(map_size, _SMALLEST_MAP)
    with _registry_lock:
        _forget_dropped()
        environment = _registry.get(real)
        if environment is None:
            try:
                environment = Environment(
                    Path(real),
                    map_size=map_size,
                    durable=durable,
                    shared=shared,
                    patience=patience,
                )
            except OSError as error:
                message = f"The store in {real!r} cannot be opened: {error}"
                raise CacheBackendError(message, errno=error.errno) from error
        lease = Lease(environment)
        _registry[real] = environment
        environment.demand(map_size=map_size, durable=durable)
        return lease


def _forget(environment: Environment, token: object) -> None:
    environment.users.discard(token)
    if not environment.users:
        if _registry.get(str(environment.path)) is environment:
            del _registry[str(environment.path)]
        environment.shut()


def _forget_dropped() -> None:
    while _dropped:
        _forget(*_dropped.popleft())


def _each(action: Callable[[Environment], None]) -> None:
    for environment in list(_registry.values()):
        action(environment)


def _before_fork() -> None:
    global _forking  # noqa: PLW0603 - there is one of each in a process
    _forking = _registry_lock.acquire()
    _each(Environment.before_fork)


def _after_fork_in_parent() -> None:
    global _forking  # noqa: PLW0603
    _each(Environment.after_fork_in_parent)
    if _forking:
        _forking = False
        _registry_lock.release()


def _after_fork_in_child() -> None:
    global _registry_lock  # noqa: PLW0603 - the parent's threads are gone, and their lock with them
    _registry_lock = Mutex("opening or closing a file cache")
    _each(Environment.after_fork_in_child)


os.register_at_fork(
    before=_before_fork,
    after_in_parent=_after_fork_in_parent,
    after_in_child=_after_fork_in_child,
)
