"""Typed reads of containers: the right kind of container, and each item as its annotation says.

A container whose items need no change is given back as the object that it is.
"""

from collections.abc import Callable, Iterable
from itertools import repeat
from typing import Any, Final, TypeAlias, get_args

from jinpy_cache_core.serializers.annotations import ACCEPTED, origin_of, shown_type
from jinpy_cache_core.serializers.reading import Unresolved
from jinpy_cache_core.serializers.refusal import Refusal, step, type_name

Hook: TypeAlias = Callable[[Any, Any], Any]
"""From a value and an annotation to the value as that; raises `Refusal` if it is not."""

HookFor: TypeAlias = Callable[[Any], Hook]
"""The hook for an annotation."""

_REBUILT: Final = frozenset((list, tuple, set, frozenset))


def mismatch(value: object, wanted: object) -> Refusal:
    """The refusal of a value that is of another type than wanted."""
    found = value.name if isinstance(value, Unresolved) else type_name(type(value))
    return Refusal(f"a {found}", f"where {shown_type(wanted)} is wanted")


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
    key_type, item_type = get_args(wanted) or (Any, Any)

    def mapping(value: Any, _: Any) -> Any:
        if not isinstance(value, origin):
            raise mismatch(value, wanted)
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
        return structured if changed else value

    return mapping


def iterable_hook(hook_for: HookFor, wanted: Any) -> Hook:
    """Takes a list, a set or what they are for; never text, though it is a sequence too."""
    origin = origin_of(wanted)
    (item_type,) = get_args(wanted) or (Any,)

    def iterable(value: Any, _: Any) -> Any:
        if not isinstance(value, origin) or isinstance(value, (str, bytes, bytearray)):
            raise mismatch(value, wanted)
        hook = hook_for(item_type)
        return _rebuilt(value, repeat((hook, item_type)))

    return iterable


def tuple_hook(hook_for: HookFor, wanted: Any) -> Hook:
    """Takes a tuple of the annotated length, or of any."""
    types = get_args(wanted)
    endless = not types or types[-1] is Ellipsis

    def items(value: Any, _: Any) -> Any:
        if tuple not in type(value).__mro__:
            raise mismatch(value, wanted)
        wanted_types = (types[:1] or (Any,)) * len(value) if endless else types
        if len(value) != len(wanted_types):
            raise mismatch(value, wanted)
        hook = hook_for
        return _rebuilt(value, ((hook(each), each) for each in wanted_types))

    return items


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
