"""What a function says that it returns: the classes that its stored values may come back as.

A stored value names the classes in it, and is read back as those that the program allowed. The
return annotation of a decorated function allows its own: `-> User`, `-> list[User]`,
`-> User | None`, and whatever the fields of `User` hold.
"""

import contextlib
import functools
import inspect
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from jinpy_cache_core.exceptions import CacheConfigurationError
from jinpy_cache_core.serializers.annotations import (
    field_types,
    is_enum,
    is_record,
    origin_of,
)
from jinpy_cache_core.serializers.registry import TYPES, register_type


def allow_results(function: Callable[..., Any]) -> None:
    """Allow the classes in the return annotation of a function; what has none allows none."""
    for kind in _classes(_returned(function), set()):
        if not TYPES.is_registered(kind):
            # One whose name belongs to another class: its values are read with `type=` alone.
            with contextlib.suppress(CacheConfigurationError):
                register_type(kind)


def _returned(function: Any) -> Any:
    """The return annotation, resolved; `None` if there is none, or it cannot be."""
    while isinstance(function, functools.partial):
        function = function.func
    plain = inspect.unwrap(function)
    if not inspect.isroutine(plain):
        plain = getattr(cast("Any", type)(plain), "__call__", plain)  # noqa: B004 - the function itself
    try:
        return typing.get_type_hints(plain, include_extras=True).get("return")
    except (NameError, TypeError, AttributeError):  # names imported for type checkers only
        return None


def _classes(annotation: Any, seen: set[Any]) -> Iterator[type]:
    """The classes in an annotation that have to be allowed, those of their fields included."""
    origin = origin_of(annotation)
    for part in typing.get_args(annotation):
        yield from _classes(part, seen)
    if not isinstance(origin, type) or origin in seen:
        return
    fields: Mapping[str, Any]
    if is_enum(origin):
        fields = {}
    elif is_record(origin):
        fields = field_types(annotation, origin)
    elif (model := TYPES.model(origin)) is not None:
        fields = model.types(annotation)
    else:
        return
    seen.add(origin)
    yield origin
    for field in fields.values():
        yield from _classes(field, seen)
