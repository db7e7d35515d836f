"""Typed reads of containers: the right kind of container, and each item as its annotation says.

A container whose items need no change is given back as the object that it is.
"""

from collections import ChainMap
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cache, partial
from itertools import repeat
from operator import is_not
from types import MappingProxyType
from typing import Any, Final, TypeAlias, get_args

from jinpy_cache_core.exceptions import with_article
from jinpy_cache_core.serializers.annotations import ACCEPTED, field_types, origin_of, shown_type
from jinpy_cache_core.serializers.reading import Unresolved, changed_parts
from jinpy_cache_core.serializers.refusal import Refusal, instance_of, kind_of, step
from jinpy_cache_core.serializers.standard_library import SHAPES

Hook: TypeAlias = Callable[[Any, Any], Any]
"""From a value and an annotation to the value as that; raises `Refusal` if it is not."""

HookFor: TypeAlias = Callable[[Any], Hook]
"""The hook for an annotation."""

_REBUILT: Final = frozenset((list, tuple, set, frozenset))
_OF_MAPPINGS: Final = frozenset((ChainMap, MappingProxyType))


def mismatch(value: object, wanted: object) -> Refusal:
    """The refusal of a value that is of another type than wanted."""
    found = with_article(value.name) if isinstance(value, Unresolved) else instance_of(type(value))
    return Refusal(found, f"where {shown_type(wanted)} is wanted")


def leaf_hook(wanted: Any) -> Hook:
    """Takes exactly the types that a scalar's annotation accepts."""
    accepted = ACCEPTED[type(None) if wanted is None else wanted]

    def leaf(value: Any, _: Any) -> Any:
        if type(value) not in accepted:
            raise mismatch(value, wanted)
        return value

    return leaf


def mapping_hook(hook_for: HookFor, wanted: Any) -> Hook:
    """Takes a mapping, keys and values as annotated."""
    origin = origin_of(wanted)
    key_type, item_type = (*get_args(wanted), int)[:2]  # a Counter says nothing of its counts

    def mapping(value: Any, _: Any) -> Any:
        if not isinstance(value, origin):
            raise mismatch(value, wanted)
        if type(value) in _OF_MAPPINGS:
            plain = dict[key_type, item_type]  # type: ignore[valid-type]
            hook = hook_for(plain)
            return changed_parts(SHAPES[type(value)], value, lambda one: hook(one, plain))
        key_hook = hook_for(key_type)
        item_hook = hook_for(item_type)
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
        return remade(value, structured) if changed else value

    return mapping


def remade(value: Any, items: Mapping[Any, Any]) -> Any:
    """A mapping of the same kind with other items."""
    shape = SHAPES.get(kind_of(value))
    return items if shape is None else shape.together(shape.apart(value)[0], list(items.items()))


def iterable_hook(hook_for: HookFor, wanted: Any) -> Hook:
    """Takes a list, a set or what they are for; never text, though it is a sequence too."""
    origin = origin_of(wanted)
    (item_type,) = get_args(wanted)

    def iterable(value: Any, _: Any) -> Any:
        if not isinstance(value, origin) or isinstance(value, (str, bytes, bytearray)):
            raise mismatch(value, wanted)
        hook = hook_for(item_type)
        return _rebuilt(value, repeat((hook, item_type)))

    return iterable


def tuple_hook(hook_for: HookFor, wanted: Any) -> Hook:
    """Takes a tuple of the annotated length, or of any."""
    types = get_args(wanted)
    endless = types[-1:] == (Ellipsis,)

    def items(value: Any, _: Any) -> Any:
        if tuple not in type(value).__mro__:
            raise mismatch(value, wanted)
        wanted_types = types[:1] * len(value) if endless else types
        if len(value) != len(wanted_types):
            raise mismatch(value, wanted)
        hook = hook_for
        return _rebuilt(value, ((hook(each), each) for each in wanted_types))

    return items


def typed_dict_hook(hook_for: HookFor, wanted: Any) -> Hook:
    """Takes a dict with the announced keys, all that are required and no others."""
    part_hooks = cache(partial(hooks_of, hook_for, wanted))
    required: frozenset[str] = origin_of(wanted).__required_keys__

    def typed_dict(value: Any, _: Any) -> Any:
        if type(value) is not dict:
            raise mismatch(value, wanted)
        stored: dict[Any, Any] = value  # pyright: ignore[reportUnknownVariableType]
        check_names(stored, part_hooks(), required, wanted)
        structured = parts(stored, part_hooks())
        changed = any(map(is_not, structured.values(), stored.values()))
        return structured if changed else stored

    return typed_dict


def check_names(
    stored: Mapping[Any, Any], allowed: Collection[str], required: Iterable[str], wanted: Any
) -> None:
    """Refuse plain data with a name that is not announced, or without one that is needed."""
    where = f"where {shown_type(wanted)} is wanted"
    for name in stored:
        if name not in allowed:
            what = f"a dict with {step(name)}"
            raise Refusal(what, where)
    for name in sorted(required):
        if name not in stored:
            what = f"a dict without {step(name)}"
            raise Refusal(what, where)


def hooks_of(hook_for: HookFor, wanted: Any) -> dict[str, tuple[Hook, Any]]:
    """For each part that a class or typed dict announces: its hook, and its annotation."""
    types = field_types(wanted, origin_of(wanted))
    return {name: (hook_for(annotation), annotation) for name, annotation in types.items()}


def parts(
    stored: Mapping[Any, Any], hooks: Mapping[str, tuple[Hook, Any]], rest: Hook | None = None
) -> dict[str, Any]:
    """What was stored under each name, as the type that is announced for it.

    Args:
        stored: The parts by name.
        hooks: What `hooks_of` returned.
        rest: The hook for names without an annotation.
    """
    structured: dict[str, Any] = {}
    for name, item in stored.items():
        hook, wanted = hooks.get(name) or (rest, Any)
        try:
            structured[name] = item if hook is None else hook(item, wanted)
        except Refusal as refusal:
            refusal.path.append(step(name))
            raise
    return structured


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
    if changed and type(value) in SHAPES:
        shape = SHAPES[type(value)]
        return shape.together(shape.apart(value)[0], structured)
    if not changed or type(value) not in _REBUILT:
        return value
    return type(value)(structured)
