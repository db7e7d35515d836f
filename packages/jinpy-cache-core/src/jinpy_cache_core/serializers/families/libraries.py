"""Where a value of another library is looked up, by the name of its class and its bases."""

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final, TypeAlias

from jinpy_cache_core.exceptions import CacheSerializationError, with_article
from jinpy_cache_core.serializers.plans import Plan

Make: TypeAlias = Callable[[Any, str], Plan | None]
"""From a class, and what to call it, to how it is stored; `None` if the family says nothing."""

_OURS: Final = __package__

_BASES: Final[dict[tuple[str, str], str]] = {
    ("pydantic.main", "BaseModel"): "pydantic",
    ("msgspec", "Struct"): "msgspec",
}
"""Classes whose subclasses are stored by name; the reader names them, or they are registered."""

_CLOSED: Final[dict[str, str]] = {
    "numpy": "numpy",
    "pandas": "frames",
    "polars": "frames",
    "pydantic": "pydantic",
    "pydantic_core": "pydantic",
    "msgspec": "msgspec",
}
"""Libraries some of whose own classes come back by themselves, and which room knows them."""


def library_plan(kind: type, name: str) -> Plan | None:
    """How a class of another library, or one that extends such, is stored.

    Args:
        kind: Any class.
        name: What to call it in stored bytes.

    Returns:
        `None` if nothing is known of it.
    """
    library = kind.__module__.partition(".")[0]
    if library in _CLOSED and library in sys.modules:
        plan: Plan | None = _room(_CLOSED[library]).own_plan(kind)
        if plan is not None:
            return plan
    for base in kind.__mro__[1:]:
        room = _BASES.get((base.__module__, base.__name__))
        if room is not None and _is_of(base):
            made: Plan | None = _room(room).plan_for(kind, name)
            return made
    return None


def restored(name: str, content: Any) -> object:
    """A value of another library, from what was stored of it.

    Raises:
        CacheSerializationError: That library is not imported here, or has no such class any more.
    """
    library = name.partition(".")[0]
    if library not in _CLOSED:
        message = f"nothing is known of {name}"
        raise ValueError(message)
    if library not in sys.modules:
        message = (
            f"The stored value holds {with_article(name)}, and {library} is not imported in this "
            f"process: import {library} where the cache is read."
        )
        raise CacheSerializationError(message)
    value: object = _room(_CLOSED[library]).restored(name, content)
    return value


def _is_of(base: type) -> bool:
    module = sys.modules.get(base.__module__)
    return getattr(module, base.__name__, None) is base


def _room(name: str) -> Any:
    return import_module(f"{_OURS}.{name}")
