"""Whichever backend it is, an operation is called in the same way."""

import inspect
from typing import Any

import pytest

from jinpy_utils.cache import (
    AsyncCacheInterface,
    BaseBackend,
    CacheInterface,
    FileCacheBackend,
    MemoryCacheBackend,
    RedisCacheBackend,
)

DECLARED = [
    (interface, name)
    for interface in (CacheInterface, AsyncCacheInterface)
    for name in vars(interface)
    if not name.startswith("_")
]


def parameters(function: Any) -> dict[str, tuple[Any, Any]]:
    """Kind and default of each parameter by name."""
    return {
        name: (parameter.kind, parameter.default)
        for name, parameter in inspect.signature(function).parameters.items()
    }


@pytest.mark.parametrize(
    "backend_class", [BaseBackend, FileCacheBackend, MemoryCacheBackend, RedisCacheBackend]
)
@pytest.mark.parametrize(("interface", "name"), DECLARED)
def test_every_backend_takes_what_the_interface_declares(
    interface: type, name: str, backend_class: type[BaseBackend]
) -> None:
    """Type checkers take the signature from the interface, so the methods have to keep to it."""
    own = getattr(backend_class, name)
    assert parameters(getattr(interface, name)) == parameters(own)
