"""What an annotation asks for: which kind of type it is, and what its parts are."""

import dataclasses
import typing
from collections import ChainMap, Counter, OrderedDict, abc, defaultdict, deque
from enum import Enum
from types import MappingProxyType, NoneType, UnionType
from typing import (
    Annotated,
    Any,
    ClassVar,
    Final,
    Literal,
    NotRequired,
    Required,
    Self,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

import attrs

from jinpy_cache_core.serializers.extensions import ENCODERS
from jinpy_cache_core.serializers.plans import is_named_tuple
from jinpy_cache_core.serializers.refusal import type_name

_SCALARS: Final[tuple[type, ...]] = (bool, int, str, bytes, NoneType, *ENCODERS)
ACCEPTED: Final[dict[type, frozenset[type]]] = {
    **{kind: frozenset((kind,)) for kind in _SCALARS},
    float: frozenset((float, int)),
    complex: frozenset((complex, float, int)),
}
"""Which exact types a wanted one takes; numbers as type checkers see them."""

MAPPINGS: Final = frozenset(
    (
        dict,
        abc.Mapping,
        abc.MutableMapping,
        OrderedDict,
        defaultdict,
        Counter,
        ChainMap,
        MappingProxyType,
    )
)
ITERABLES: Final = frozenset(
    (
        list,
        set,
        frozenset,
        abc.Sequence,
        abc.MutableSequence,
        abc.Set,
        abc.MutableSet,
        abc.Collection,
        abc.Iterable,
        deque,
    )
)


def shown_type(wanted: Any) -> str:
    """A type or annotation as its author wrote it, nearly."""
    return type_name(wanted) if isinstance(wanted, type) and not get_args(wanted) else str(wanted)


def origin_of(wanted: Any) -> Any:
    """The class behind a generic alias, or the annotation itself."""
    return get_origin(wanted) or wanted


def field_types(wanted: Any, origin: type) -> dict[str, Any]:
    """The annotations of a class, with the arguments of a generic alias filled in.

    Annotations that cannot be resolved at run time, such as names imported for type checkers
    only, leave the class without any, and its fields come back as they were stored.
    """
    try:
        hints = get_type_hints(origin, include_extras=True)
    except (NameError, TypeError, AttributeError):
        return {}
    arguments = dict(zip(getattr(origin, "__parameters__", ()), get_args(wanted), strict=False))
    return {
        name: _filled(annotation, arguments)
        for name, annotation in hints.items()
        if origin_of(annotation) is not ClassVar and not isinstance(annotation, dataclasses.InitVar)
    }


def _filled(annotation: Any, arguments: dict[Any, Any]) -> Any:
    if isinstance(annotation, TypeVar):
        return arguments.get(annotation, Any)
    parameters = getattr(annotation, "__parameters__", ())
    if not parameters or isinstance(annotation, type):
        return annotation
    return annotation[tuple(arguments.get(parameter, Any) for parameter in parameters)]


def init_arguments(origin: type) -> dict[str, tuple[str, bool]]:
    """How an attrs class, dataclass or named tuple is made from plain data.

    Returns:
        By field: what `__init__` calls it, and whether it needs it.
    """
    if attrs.has(origin):
        return {
            field.name: (field.alias or field.name, field.default is attrs.NOTHING)
            for field in attrs.fields(origin)
            if field.init
        }
    if is_named_tuple(origin):
        named: Any = origin
        return {name: (name, name not in named._field_defaults) for name in named._fields}
    return {
        field.name: (
            field.name,
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING,
        )
        for field in dataclasses.fields(origin)
        if field.init
    }


def is_enum(wanted: Any) -> bool:
    """Whether it is an enum class."""
    return isinstance(wanted, type) and issubclass(wanted, Enum)


def is_record(wanted: Any) -> bool:
    """Whether it is an attrs class, dataclass or named tuple, with or without type arguments."""
    origin = origin_of(wanted)
    return isinstance(origin, type) and (
        attrs.has(origin) or dataclasses.is_dataclass(origin) or is_named_tuple(origin)  # pyright: ignore[reportUnknownArgumentType]
    )


def is_open(wanted: Any) -> bool:
    """Whether it leaves the type open."""
    return wanted in (Any, object, Self) or isinstance(wanted, TypeVar)


def is_union(wanted: Any) -> bool:
    """Whether it is a union, an optional included."""
    return origin_of(wanted) in (Union, UnionType)


def is_literal(wanted: Any) -> bool:
    """Whether it names its values."""
    return origin_of(wanted) is Literal


def is_mapping(wanted: Any) -> bool:
    """Whether it is a dict or what a dict is for, and says of what."""
    return get_origin(wanted) in MAPPINGS and bool(get_args(wanted))


def is_iterable(wanted: Any) -> bool:
    """Whether it is a list, a set or what they are for, and says of what."""
    return get_origin(wanted) in ITERABLES and bool(get_args(wanted))


def is_tuple(wanted: Any) -> bool:
    """Whether it is a tuple and says of what, be it of nothing."""
    return get_origin(wanted) is tuple and wanted is not typing.Tuple  # noqa: UP006


def is_leaf(wanted: Any) -> bool:
    """Whether it is a type whose values hold no others, or None."""
    return wanted is None or (isinstance(wanted, type) and wanted in ACCEPTED)


def is_annotated(wanted: Any) -> bool:
    """Whether it says more than the type, which matters to others."""
    return get_origin(wanted) in (Annotated, Final, Required, NotRequired)


def is_class(wanted: Any) -> bool:
    """Whether values are instances of it; a typed dict has none."""
    return isinstance(origin_of(wanted), type) and not is_typed_dict(wanted)


def is_typed_dict(wanted: Any) -> bool:
    """Whether it is a dict whose keys are announced."""
    return is_typeddict(origin_of(wanted))
