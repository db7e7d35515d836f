"""Reading as a type: `get(key, type=T)` gives a T, or says what else was stored.

Nothing is coerced: `"12"` is not an int, and neither is True. The only conversions are those that
storage itself makes necessary: an instance's stored fields become the instance, and plain data as
JSON holds it (a dict, a member's value) becomes an attrs class, a dataclass or an enum.
"""

from collections.abc import Callable, Iterable
from enum import Enum
from itertools import repeat
from typing import Any, Final, cast, get_args

import cattrs
from cattrs.gen import make_dict_structure_fn

from jinpy_cache_core.exceptions import CacheException, CacheSerializationError
from jinpy_cache_core.serializers.annotations import (
    ACCEPTED,
    field_types,
    is_class,
    is_enum,
    is_iterable,
    is_leaf,
    is_literal,
    is_mapping,
    is_open,
    is_record,
    is_tuple,
    is_union,
    origin_of,
    shown_type,
)
from jinpy_cache_core.serializers.extensions import Tag
from jinpy_cache_core.serializers.plans import EnumPlan, RecordPlan
from jinpy_cache_core.serializers.reading import Unresolved, resolved
from jinpy_cache_core.serializers.refusal import Refusal, step, type_name
from jinpy_cache_core.serializers.registry import TYPES, TypeRegistry

Hook = Callable[[Any, Any], Any]

_REBUILT: Final = frozenset((list, tuple, set, frozenset))


def _mismatch(value: object, wanted: object) -> Refusal:
    found = value.name if isinstance(value, Unresolved) else type_name(type(value))
    return Refusal(f"a {found}", f"where {shown_type(wanted)} is wanted")


class Structurer:
    """Checks values against types, and builds instances whose classes only the reader names.

    Args:
        registry: Who knows classes that an annotation leaves open.
    """

    def __init__(self, registry: TypeRegistry = TYPES) -> None:
        self._registry = registry
        self._converter = cattrs.Converter(forbid_extra_keys=True)
        hooks: tuple[tuple[Callable[[Any], bool], Callable[[Any], Hook]], ...] = (
            (is_class, self._class_hook),
            (is_open, self._open_hook),
            (is_leaf, self._leaf_hook),
            (is_mapping, self._mapping_hook),
            (is_iterable, self._iterable_hook),
            (is_tuple, self._tuple_hook),
            (is_record, self._record_hook),
            (is_enum, self._enum_hook),
            (is_literal, self._literal_hook),
            (is_union, self._union_hook),
        )
        for predicate, factory in hooks:
            self._converter.register_structure_hook_factory(predicate, factory)

    def structure(self, value: object, kind: Any) -> Any:
        """The value as a type.

        Args:
            value: What a serializer read.
            kind: A class or any annotation.

        Raises:
            CacheSerializationError: The value is something else; the message names both.
        """
        try:
            return self._converter.get_structure_hook(kind)(value, kind)
        except Refusal as refusal:
            problem = f"it is {refusal} {refusal.way_out}"
        except cattrs.BaseValidationError as error:
            problem = "; ".join(cattrs.transform_error(error, "$", _format))
        except (CacheException, MemoryError):
            raise
        except Exception as error:
            message = (
                f"The stored value does not fit type={shown_type(kind)}: "
                f"{type(error).__name__}: {error}."
            )
            raise CacheSerializationError(message) from error
        message = (
            f"The stored value does not fit type={shown_type(kind)}: {problem}. Nothing is "
            "coerced; read it without type=, or overwrite the key."
        )
        raise CacheSerializationError(message) from None

    def _resolved(self, value: object) -> object:
        return resolved(self._registry, value)

    def _known(self, value: object) -> object:
        """The value, as an instance if its class is registered; else it stays `Unresolved`."""
        if isinstance(value, Unresolved) and self._registry.named(value.name) is None:
            return value
        return self._resolved(value)

    def _class_hook(self, wanted: Any) -> Hook:
        origin = origin_of(wanted)

        def instance(value: Any, _: Any) -> Any:
            value = self._known(value)
            if not isinstance(value, origin):
                raise _mismatch(value, wanted)
            return value

        return instance

    def _open_hook(self, _wanted: Any) -> Hook:
        return lambda value, _: self._resolved(value)

    def _leaf_hook(self, wanted: Any) -> Hook:
        accepted = ACCEPTED[type(None) if wanted is None else wanted]

        def leaf(value: Any, _: Any) -> Any:
            if type(value) not in accepted:
                raise _mismatch(value, wanted)
            return value

        return leaf

    def _literal_hook(self, wanted: Any) -> Hook:
        allowed = get_args(wanted)

        def literal(value: Any, _: Any) -> Any:
            for choice in allowed:
                if isinstance(choice, Enum):
                    try:
                        return self._one_of(type(choice), value, choice)
                    except Refusal:
                        continue
                if type(choice) is type(value) and choice == value:
                    return value
            raise _mismatch(value, wanted)

        return literal

    def _one_of(self, kind: type[Enum], value: object, choice: Enum) -> Enum:
        member = self._member(kind, value)
        if member is not choice:
            raise _mismatch(value, choice)
        return member

    def _union_hook(self, wanted: Any) -> Hook:
        # What is taken as it is comes before what plain data would be turned into.
        members = sorted(get_args(wanted), key=lambda member: is_record(member) or is_enum(member))

        def union(value: Any, _: Any) -> Any:
            for member in members:
                try:
                    return self._converter.get_structure_hook(member)(value, member)
                except (Refusal, cattrs.BaseValidationError):
                    continue
            raise _mismatch(value, wanted)

        return union

    def _mapping_hook(self, wanted: Any) -> Hook:
        origin = origin_of(wanted)
        key_type, item_type = get_args(wanted) or (Any, Any)

        def mapping(value: Any, _: Any) -> Any:
            if not isinstance(value, origin):
                raise _mismatch(value, wanted)
            key_hook = self._converter.get_structure_hook(key_type)
            item_hook = self._converter.get_structure_hook(item_type)
            structured: dict[Any, Any] = {}
            changed = False
            for key, item in value.items():
                try:
                    new_key, new_item = key_hook(key, key_type), item_hook(item, item_type)
                except Refusal as refusal:
                    refusal.path.append(step(key))
                    raise
                structured[new_key] = new_item
                changed = changed or new_key is not key or new_item is not item
            return structured if changed else value

        return mapping

    def _iterable_hook(self, wanted: Any) -> Hook:
        origin = origin_of(wanted)
        (item_type,) = get_args(wanted) or (Any,)

        def iterable(value: Any, _: Any) -> Any:
            if not isinstance(value, origin) or isinstance(value, (str, bytes, bytearray)):
                raise _mismatch(value, wanted)
            hook = self._converter.get_structure_hook(item_type)
            return _rebuilt(value, repeat((hook, item_type)))

        return iterable

    def _tuple_hook(self, wanted: Any) -> Hook:
        types = get_args(wanted)
        endless = not types or types[-1] is Ellipsis

        def items(value: Any, _: Any) -> Any:
            if tuple not in type(value).__mro__:
                raise _mismatch(value, wanted)
            wanted_types = (types[:1] or (Any,)) * len(value) if endless else types
            if len(value) != len(wanted_types):
                raise _mismatch(value, wanted)
            hook = self._converter.get_structure_hook
            return _rebuilt(value, ((hook(each), each) for each in wanted_types))

        return items

    def _enum_hook(self, wanted: Any) -> Hook:
        return lambda value, _: self._member(wanted, value)

    def _member(self, kind: type[Enum], value: Any) -> Enum:
        if isinstance(value, kind):
            return value
        plan = self._registry.plan_for(kind)
        if isinstance(value, Unresolved):
            if isinstance(plan, EnumPlan) and value.tag == Tag.ENUM and value.name == plan.name:
                return plan.together(value.content)
            value = self._known(value)
            if isinstance(value, kind):
                return value
            raise _mismatch(value, kind)
        for member in kind:
            if type(member.value) is type(value) and member.value == value:
                return member
        raise _mismatch(value, kind)

    def _record_hook(self, wanted: Any) -> Hook:
        origin = origin_of(wanted)
        from_dict: list[Hook] = []

        def record(value: Any, _: Any) -> Any:
            if type(value) is dict:
                if not from_dict:
                    from_dict.append(cast("Hook", make_dict_structure_fn(wanted, self._converter)))
                return from_dict[0](value, wanted)
            if isinstance(value, origin):
                return value
            if isinstance(value, Unresolved):
                return self._restored(value, wanted, origin)
            raise _mismatch(value, wanted)

        return record

    def _restored(self, stored: Unresolved, wanted: Any, origin: type) -> object:
        plan = self._registry.plan_for(origin)
        if not isinstance(plan, RecordPlan) or stored.tag != Tag.RECORD or stored.name != plan.name:
            value = self._known(stored)
            if isinstance(value, origin):
                return value
            raise _mismatch(stored, wanted)
        types = field_types(wanted, origin)
        content: dict[str, object] = {}
        for name, item in stored.content.items():
            annotation = types.get(name, Any)
            try:
                content[name] = self._converter.get_structure_hook(annotation)(item, annotation)
            except Refusal as refusal:
                refusal.path.append(step(name))
                raise
        return plan.together(content)


def _rebuilt(value: Any, hooks: Iterable[tuple[Hook, Any]]) -> Any:
    """The container with each item structured; the same object if no item changed."""
    structured: list[Any] = []
    changed = False
    for item, (hook, item_type) in zip(value, hooks, strict=False):
        try:
            new = hook(item, item_type)
        except Refusal as refusal:
            refusal.path.append(f"[{len(structured)}]")
            raise
        structured.append(new)
        changed = changed or new is not item
    if not changed or type(value) not in _REBUILT:
        return value
    return type(value)(structured)


def _format(error: BaseException, wanted: type | None) -> str:
    if isinstance(error, Refusal):
        return f"{error} {error.way_out}"
    return str(cattrs.v.format_exception(error, wanted))


_STRUCTURER: Final = Structurer()


def structure_as(value: object, kind: Any) -> Any:
    """A value that is already an object, as a type: what typed reads of an in-process cache do.

    Args:
        value: Any value.
        kind: A class or any annotation, such as `list[User] | None`.

    Raises:
        CacheSerializationError: The value is of another type; nothing is coerced.
    """
    return _STRUCTURER.structure(value, kind)
