"""The environments of this process, one for each real directory, counted and carried over a fork.

LMDB forbids a second open of the same files in one process, and its environments must not be
carried across a fork: they are closed before, and both sides open them anew.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from jinpy_cache_core import CacheBackendError
from jinpy_cache_file import directory as directories
from jinpy_cache_file.environment import Environment
from jinpy_cache_file.interrupts import Mutex

_SMALLEST_MAP: Final = 1 << 20

_registry: dict[str, Environment] = {}
_registry_lock = Mutex("opening or closing a file cache")
_forking = False


def acquire(
    path: Path, *, map_size: int, durable: bool, shared: bool, patience: float
) -> Environment:
    """The environment of a directory, opened if this process has not opened it yet.

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
            _registry[real] = environment
        environment.demand(map_size=map_size, durable=durable)
        return environment


def release(environment: Environment) -> None:
    """Give up one use; the last one closes the environment."""
    with _registry_lock:
        environment.users -= 1
        if not environment.users:
            _registry.pop(str(environment.path), None)
            environment.shut()


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
