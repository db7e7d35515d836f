"""Which backends there are: found by entry point, or registered by hand.

A distribution publishes a backend in the entry-point group `jinpy_cache.backends`, under the name
that is its `backend_type`. Only the one that is asked for is imported. `register_backend` serves
applications without metadata (frozen ones) and tests, and wins over an entry point.
"""

import difflib
import os
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from jinpy_cache_core.exceptions import CacheConfigurationError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from jinpy_cache_core.backend.base import BaseBackend

GROUP = "jinpy_cache.backends"
"""The entry-point group: name of the backend -> its class."""

OUR_DISTRIBUTIONS = {
    "memory": "jinpy-cache-memory",
    "file": "jinpy-cache-file",
    "redis": "jinpy-cache-redis",
}
"""What to install for the backends that ship with the project."""

SCHEMES = {"rediss": "redis", "unix": "redis", "valkey": "redis", "valkeys": "redis"}
"""URL schemes that are not the name of their backend."""

NULL = "null"
"""The backend that comes with the core: it keeps nothing."""

DISABLED = "JINPY_CACHE_DISABLED"
"""The environment variable that puts a backend that keeps nothing in the place of each other."""

_registered: dict[str, "type[BaseBackend]"] = {}
_lock = threading.RLock()


def _renew_lock() -> None:
    global _lock  # noqa: PLW0603 - one for the process
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)

C = TypeVar("C", bound="type[BaseBackend]")


def entry_points(*, group: str, **wanted: Any) -> "Iterable[EntryPoint]":
    """The entry points of this environment; who names no backend does not pay for the import."""
    from importlib import metadata  # noqa: PLC0415

    return metadata.entry_points(group=group).select(**wanted)


def register_backend(name: str, backend_class: C, *, replace: bool = False) -> C:
    """Make a backend known by name in this process; it wins over an entry point.

    Args:
        name: What configurations call it, equal to its configuration's `backend_type`.
        backend_class: A subclass of `BaseBackend`.
        replace: Take the place of another class registered under that name.

    Returns:
        The class, unchanged.

    Raises:
        CacheConfigurationError: Another class is registered under that name.
    """
    with _lock:
        known = _registered.get(name)
        if known is not None and known is not backend_class and not replace:
            message = (
                f"The backend name {name!r} is taken by {known.__module__}.{known.__qualname__}. "
                "Choose another name, or pass replace=True."
            )
            raise CacheConfigurationError(message)
        _registered[name] = backend_class
    return backend_class


def unregister_backend(name: str) -> None:
    """Forget what `register_backend` made known; an unknown name is no error."""
    with _lock:
        _registered.pop(name, None)


def backend_names() -> list[str]:
    """The names that can be configured in this environment, sorted; nothing is imported."""
    return sorted({NULL, *_registered, *(point.name for point in entry_points(group=GROUP))})


def backend_class(name: str) -> "type[BaseBackend]":
    """The class of a backend by name, importing it if need be.

    Raises:
        CacheConfigurationError: There is none of that name, or its distribution cannot be
            imported; the message says what to install.
    """
    known = _registered.get(name)
    if known is not None:
        return known
    if name == NULL:
        from jinpy_cache_core.backend.null import NullCacheBackend  # noqa: PLC0415 - see `_loaded`

        return NullCacheBackend
    for point in entry_points(group=GROUP, name=name):
        return _loaded(point)
    raise CacheConfigurationError(_unknown(name))


def backend_class_for_scheme(scheme: str) -> "type[BaseBackend]":
    """The class of the backend that a URL's scheme names; `redis+cluster` is a kind of redis.

    Raises:
        CacheConfigurationError: As for `backend_class`.
    """
    return backend_class(SCHEMES.get(scheme, scheme.partition("+")[0]))


def is_disabled() -> bool:
    """Whether the environment turns caching off: `JINPY_CACHE_DISABLED` is 1, true, yes or on.

    Raises:
        CacheConfigurationError: It is something that is neither yes nor no.
    """
    said = os.environ.get(DISABLED, "").strip().lower()
    if said in {"", "0", "false", "no", "off"}:
        return False
    if said in {"1", "true", "yes", "on"}:
        return True
    message = f"{DISABLED}={said!r} is neither yes nor no. Write 1, or leave it out."
    raise CacheConfigurationError(message)


def _loaded(point: "EntryPoint") -> "type[BaseBackend]":
    from jinpy_cache_core.backend.base import BaseBackend  # noqa: PLC0415 - backends import this module

    try:
        loaded = point.load()
    except ImportError as error:
        message = (
            f"The cache backend {point.name!r} is installed but cannot be imported: {error}. "
            f"Reinstall it: pip install --force-reinstall {_distribution(point)}"
        )
        raise CacheConfigurationError(message) from error
    if not (isinstance(loaded, type) and issubclass(loaded, BaseBackend)):
        message = (
            f"The entry point {point.name!r} of {_distribution(point)} names {point.value}, "
            "which is no subclass of BaseBackend."
        )
        raise CacheConfigurationError(message)
    return loaded


def _distribution(point: "EntryPoint") -> str:
    return OUR_DISTRIBUTIONS.get(point.name) or (point.dist.name if point.dist else point.value)


def _unknown(name: str) -> str:
    installed = backend_names()
    there = f"installed: {', '.join(installed)}" if installed else "none is installed"
    message = f"No cache backend named {name!r} ({there})."
    if name in OUR_DISTRIBUTIONS:
        return f"{message} Install it: pip install {OUR_DISTRIBUTIONS[name]}"
    near = difflib.get_close_matches(name, {*installed, *OUR_DISTRIBUTIONS}, n=1)
    if near:
        return f"{message} Did you mean {near[0]!r}?"
    return f"{message} Install the distribution that provides it, or call register_backend."
