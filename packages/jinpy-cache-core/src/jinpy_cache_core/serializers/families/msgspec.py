"""msgspec Structs by their fields; plain data goes through `msgspec.convert`."""

import sys
from collections.abc import Mapping
from functools import partial
from typing import Any

from jinpy_cache_core.serializers.families.plan import LibraryPlan, ModelPlan
from jinpy_cache_core.serializers.refusal import Refusal, instance_of

_UNSET = "msgspec.UNSET"


def _library() -> Any:
    return sys.modules["msgspec"]


def own_plan(kind: type) -> LibraryPlan | None:
    """How the mark for a field that is not set is stored."""
    if kind is type(_library().UNSET):
        return LibraryPlan(kind, _UNSET, lambda _: None, lambda _: _library().UNSET)
    return None


def restored(name: str, _: object) -> object:
    """The mark for a field that is not set."""
    if name != _UNSET:
        message = f"nothing is known of {name}"
        raise ValueError(message)
    mark: object = _library().UNSET
    return mark


def plan_for(kind: Any, name: str) -> ModelPlan:
    """How a Struct is stored."""
    return ModelPlan(
        kind,
        name,
        partial(_apart, kind),
        partial(_together, kind, name),
        _types,
        lambda wanted, content: _library().convert(content, type=wanted),
        _check,
    )


def _apart(kind: Any, value: Any) -> dict[str, object]:
    try:
        content = {name: getattr(value, name) for name in kind.__struct_fields__}
    except AttributeError as error:
        what = f"{instance_of(kind)} whose field {error.name!r} is not set"
        raise Refusal(what, "Set it first.") from None
    for name in getattr(value, "__dict__", ()):
        what = f"{instance_of(kind)} with an attribute {name!r} that is not a field"
        raise Refusal(what, "Declare it as a field.")
    return content


def _together(kind: Any, name: str, content: dict[str, Any]) -> object:
    for one in content.keys() - set(kind.__struct_fields__):
        message = f"{name} has no field {one!r}"
        raise ValueError(message)
    made: Any = kind(**content)
    for one, value in content.items():
        if getattr(made, one) is not value:  # changed by a __post_init__
            _library().structs.force_setattr(made, one, value)
    result: object = made
    return result


def _types(wanted: Any) -> Mapping[str, Any]:
    return {field.name: field.type for field in _library().structs.fields(wanted)}


def _check(annotation: Any, value: Any) -> None:
    read = _library().convert(value, type=annotation)
    if type(read) is not type(value) or read != value:
        message = "another value"
        raise ValueError(message)
