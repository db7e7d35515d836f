"""How an instance of a class is taken apart for storage and put together again.

Putting together never runs `__init__`: a converter or `__post_init__` that is not idempotent would
give back something other than what was stored. The fields are set as they were, as pickle does.
"""

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from enum import Enum, Flag
from functools import cached_property, lru_cache
from typing import Any, Final, Protocol, cast

import attrs

from jinpy_cache_core.serializers.extensions import Tag
from jinpy_cache_core.serializers.refusal import Refusal, instance_of

_ATTRS_HASH = "_attrs_cached_hash"
_NO_STATE = frozenset(("__dict__", "__weakref__", "__orig_class__", _ATTRS_HASH))


class Plan(Protocol):
    """Knows one class: its name on the wire, its extension tag, apart and together."""

    @property
    def kind(self) -> type:
        """The class."""
        ...

    @property
    def name(self) -> str:
        """What it is called in stored bytes."""
        ...

    @property
    def tag(self) -> int:
        """Which extension carries it."""
        ...

    def apart(self, value: Any, /) -> object:
        """What is stored; may hold other rich values."""
        ...

    def together(self, content: Any, /) -> object:
        """The instance again; raises whatever it likes on damaged content."""
        ...


def qualified_name(kind: type) -> str:
    """What a class is called on the wire unless registered under another name."""
    return f"{kind.__module__}.{kind.__qualname__}"


@attrs.frozen
class CustomPlan:
    """A class with functions of the user's own."""

    kind: type
    name: str
    apart: Callable[[Any], object]
    together: Callable[[Any], object]
    tag: int = Tag.CUSTOM


MOST_COMBINATIONS: Final = 10_000
"""Combinations of one class of flags that are read: Python keeps each of them for ever."""


@attrs.frozen
class EnumPlan:
    """An enum by its member's name; a flag by its value, as combinations need have no name."""

    kind: type[Enum]
    name: str
    tag: int = Tag.ENUM

    def apart(self, member: Enum, /) -> object:
        """The member's name, or a flag's value."""
        return member.value if isinstance(member, Flag) else member.name

    def together(self, content: Any, /) -> Enum:
        """The member."""
        if issubclass(self.kind, Flag):
            known = self.kind._value2member_map_
            if len(known) >= MOST_COMBINATIONS and content not in known:
                message = "too many different combinations of its flags were read"
                raise ValueError(message)
            return self.kind(content)
        return self.kind[content]


@attrs.frozen
class RecordPlan:
    """An attrs class or a dataclass by its fields.

    Attributes:
        defaults: By field name, how to make the value of a field that was added since the entry
            was stored; it is given the instance made so far.
        has_dict: Whether instances can have attributes that are not fields.
    """

    kind: type
    name: str
    fields: tuple[str, ...]
    defaults: Mapping[str, Callable[[object], object]] = attrs.field(eq=False)
    has_dict: bool
    tag: int = Tag.RECORD

    def apart(self, value: Any, /) -> dict[str, object]:
        """The fields by name.

        Raises:
            Refusal: A field is not set, or the instance has attributes that are no fields.
        """
        try:
            content = {name: getattr(value, name) for name in self.fields}
        except AttributeError as error:
            what = f"{instance_of(self.kind)} whose field {error.name!r} is not set"
            raise Refusal(what, "Set it first.") from None
        if self.has_dict:
            state = cast("dict[str, object]", vars(value))
            self._refuse_extra_state(state.keys() - content.keys() - _NO_STATE)
        return content

    def _refuse_extra_state(self, names: set[str]) -> None:
        for name in sorted(names):
            if not isinstance(getattr(self.kind, name, None), cached_property):
                what = f"{instance_of(self.kind)} with an attribute {name!r} that is not a field"
                raise Refusal(
                    what, "Declare it as a field, or use register_type(encode=, decode=)."
                )

    def together(self, content: Any, /) -> object:
        """The instance with its fields set, later additions to their defaults.

        Raises:
            ValueError: A field is unknown, or was not stored and has no default.
        """
        _refuse_unknown(self.name, content, self.fields)
        instance = cast("object", object.__new__(self.kind))
        for name in self.fields:
            if name in content:
                value = content[name]
            elif name in self.defaults:
                value = self.defaults[name](instance)
            else:
                raise _no_default(self.name, name)
            object.__setattr__(instance, name, value)
        if _caches_hash(self.kind):
            object.__setattr__(instance, _ATTRS_HASH, None)
        return instance


_tuple_items: Final[Callable[[Any], Any]] = cast("Any", tuple.__iter__)  # pyright: ignore[reportUnknownMemberType]
"""Whatever a subclass makes of `__iter__`."""


@attrs.frozen
class NamedTuplePlan:
    """A named tuple by its fields.

    Attributes:
        defaults: Values of fields that were added since the entry was stored.
    """

    kind: type
    name: str
    fields: tuple[str, ...]
    defaults: Mapping[str, object] = attrs.field(eq=False)
    has_dict: bool
    tag: int = Tag.NAMED_TUPLE

    def apart(self, value: Any, /) -> dict[str, object]:
        """The fields, as they are.

        Raises:
            Refusal: The instance holds more than its fields, or other than they are.
        """
        if len(value) != len(self.fields):
            what = f"{instance_of(self.kind)} of {len(value)} items for {len(self.fields)} fields"
            raise Refusal(what, "Store tuple(value).")
        if self.has_dict:
            for name in cast("dict[str, object]", vars(value)):
                what = f"{instance_of(self.kind)} with an attribute {name!r} that is not a field"
                raise Refusal(
                    what, "Declare it as a field, or use register_type(encode=, decode=)."
                )
        items: Any = _tuple_items(value)
        return dict(zip(self.fields, items, strict=True))

    def together(self, content: Any, /) -> object:
        """The tuple, later additions to their defaults; `__new__` of the class is not run.

        Raises:
            ValueError: A field is unknown, or was not stored and has no default.
        """
        _refuse_unknown(self.name, content, self.fields)
        items: list[object] = []
        for field in self.fields:
            if field in content:
                items.append(content[field])
            elif field in self.defaults:
                items.append(self.defaults[field])
            else:
                raise _no_default(self.name, field)
        made: object = tuple.__new__(cast("Any", self.kind), items)  # pyright: ignore[reportUnknownMemberType]
        return made


def is_named_tuple(kind: type) -> bool:
    """Whether a class is a named tuple, or extends one."""
    fields = getattr(kind, "_fields", None)
    return tuple in kind.__mro__ and isinstance(fields, tuple) and hasattr(kind, "_make")


def _refuse_unknown(name: str, content: Mapping[str, object], fields: tuple[str, ...]) -> None:
    unknown = content.keys() - set(fields)
    if unknown:
        message = f"{name} has no field {min(unknown)!r}"
        raise ValueError(message)


def _no_default(name: str, field: str) -> ValueError:
    return ValueError(f"the field {field!r} of {name} was not stored and has no default")


@lru_cache(maxsize=1024)
def _caches_hash(kind: type) -> bool:
    code = getattr(kind.__hash__, "__code__", None)
    return code is not None and _ATTRS_HASH in code.co_names


def _hidden_state(kind: type, fields: tuple[str, ...]) -> str | None:
    """Why setting the fields alone would not restore an instance, if so."""
    try:
        object.__new__(kind)
    except TypeError:
        return f"{instance_of(kind)}, which extends a builtin with content of its own"
    slots = {
        slot
        for base in kind.__mro__
        for slot in _own_slots(base)
        if slot not in _cached_properties(base)
    }
    hidden = slots - _NO_STATE - set(fields)
    if hidden:
        return f"{instance_of(kind)}, whose slot {min(hidden)!r} is not a field"
    return None


def _own_slots(base: type) -> tuple[str, ...]:
    slots = base.__dict__.get("__slots__", ())
    names = (slots,) if isinstance(slots, str) else tuple(slots)
    private = f"_{base.__name__.lstrip('_')}"
    return tuple(
        f"{private}{name}" if name.startswith("__") and not name.endswith("__") else name
        for name in names
    )


def _cached_properties(base: type) -> Mapping[str, object]:
    """The cached properties that attrs turned into slots; they are computed again when asked."""
    fallback = base.__dict__.get("__getattr__")
    if fallback is None or not attrs.has(base):
        return {}
    parameter = inspect.signature(fallback).parameters.get("cached_properties")
    return {} if parameter is None else parameter.default


def _always(value: object) -> Callable[[object], object]:
    return lambda _instance: value


def _called(factory: Callable[[], object]) -> Callable[[object], object]:
    return lambda _instance: factory()


def _attrs_defaults(kind: type) -> dict[str, Callable[[object], object]]:
    defaults: dict[str, Callable[[object], object]] = {}
    for field in attrs.fields(kind):
        default = field.default
        if isinstance(default, attrs.Factory):  # type: ignore[arg-type]
            factory = default.factory
            defaults[field.name] = factory if default.takes_self else _called(factory)
        elif default is not attrs.NOTHING:
            defaults[field.name] = _always(default)
    return defaults


def _dataclass_defaults(kind: type) -> dict[str, Callable[[object], object]]:
    defaults: dict[str, Callable[[object], object]] = {}
    for field in dataclasses.fields(kind):
        if field.default_factory is not dataclasses.MISSING:
            defaults[field.name] = _called(field.default_factory)
        elif field.default is not dataclasses.MISSING:
            defaults[field.name] = _always(field.default)
    return defaults


def derive_plan(kind: type[Any], name: str | None = None) -> Plan | None:
    """The plan that a class implies: an enum, a named tuple, an attrs class or a dataclass.

    Args:
        kind: Any class.
        name: What to call it on the wire; by default its module and qualified name.

    Returns:
        `None` if it is none of them.

    Raises:
        Refusal: It is, but holds more than its fields.
    """
    name = name or qualified_name(kind)
    if issubclass(kind, Enum):
        return EnumPlan(kind, name)
    if is_named_tuple(kind):
        fields = kind._fields
        defaults = getattr(kind, "_field_defaults", {})
        return NamedTuplePlan(kind, name, fields, defaults, kind.__dictoffset__ != 0)
    if attrs.has(kind):
        fields = tuple(field.name for field in attrs.fields(kind))
        defaults = _attrs_defaults(kind)
    elif dataclasses.is_dataclass(kind):
        fields = tuple(field.name for field in dataclasses.fields(kind))
        defaults = _dataclass_defaults(kind)
    else:
        return None
    hidden = _hidden_state(kind, fields)
    if hidden is not None:
        raise Refusal(hidden, "Use register_type(T, encode=..., decode=...).")
    return RecordPlan(kind, name, fields, defaults, kind.__dictoffset__ != 0)
