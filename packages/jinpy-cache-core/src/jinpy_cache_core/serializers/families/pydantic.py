"""Pydantic models, by their state as pickle would keep it; validators do not run again.

`model_dump` and `model_validate` would lose subclasses in fields of a base class, run validators
that are not idempotent a second time, and stumble over computed fields and aliases. Plain data, as
a program in another language may store it, goes through `model_validate`.
"""

import sys
from collections.abc import Callable, Mapping
from functools import cache, cached_property, partial
from typing import Any, Final, cast

from jinpy_cache_core.serializers.families.plan import LibraryPlan, ModelPlan
from jinpy_cache_core.serializers.refusal import Refusal, instance_of

_SECRETS: Final = ("SecretStr", "SecretBytes")
_SET, _EXTRA, _PRIVATE = "__set__", "__extra__", "__private__"
"""Where the rest of the state stands among the fields, whose names never begin so."""


def _names(library: Any, base: str) -> dict[str, type]:
    above: Any = getattr(library, base)
    return {
        name: kind
        for name, kind in cast("dict[str, object]", vars(library)).items()
        if isinstance(kind, type) and issubclass(kind, above) and kind.__name__ == name
    }


@cache
def _own() -> dict[str, tuple[type, Callable[[Any], object]]]:
    """The library's own classes that hold one value, by name, and what to store of them."""
    own: dict[str, tuple[type, Callable[[Any], object]]] = {}
    pydantic: Any = sys.modules.get("pydantic")
    core: Any = sys.modules.get("pydantic_core")
    if pydantic is not None:
        for name in _SECRETS:
            own[f"pydantic.{name}"] = (getattr(pydantic, name), _secret)
        own["pydantic.ByteSize"] = (pydantic.ByteSize, int)
        networks: Any = sys.modules["pydantic.networks"]
        for base in ("AnyUrl", "MultiHostUrl"):
            above = "_BaseMultiHostUrl" if base == "MultiHostUrl" else "_BaseUrl"
            for name, kind in _names(networks, above).items() if hasattr(networks, above) else ():
                if not name.startswith("_"):
                    own[f"pydantic.{name}"] = (kind, str)
    if core is not None:
        own["pydantic_core.Url"] = (core.Url, str)
        own["pydantic_core.MultiHostUrl"] = (core.MultiHostUrl, str)
    return own


def _secret(value: Any) -> object:
    revealed: object = value.get_secret_value()
    return revealed


def own_plan(kind: type) -> LibraryPlan | None:
    """How one of the library's own classes is stored."""
    for name, (known, store) in _own().items():
        if known is kind:
            return LibraryPlan(kind, name, partial(_apart, kind, store), kind)
    return None


def _apart(kind: Any, store: Callable[[Any], object], value: object) -> object:
    content = store(value)
    if kind(content) != value:
        what = f"{instance_of(kind)} that its content does not make again"
        raise Refusal(what, "Store its text.")
    return content


def restored(name: str, content: object) -> object:
    """One of the library's own classes, from what was stored of it."""
    kind: Any = _own()[name][0]
    return kind(content)


def plan_for(kind: Any, name: str) -> ModelPlan:
    """How a model is stored."""
    return ModelPlan(
        kind,
        name,
        partial(_model_apart, kind),
        partial(_model_together, kind, name),
        _types,
        _validated,
        _check,
    )


def _model_apart(kind: Any, value: Any) -> dict[str, object]:
    fields = kind.model_fields
    content: dict[str, object] = {}
    for name, item in cast("dict[str, object]", vars(value)).items():
        if name in fields:
            content[name] = item
        elif not isinstance(getattr(kind, name, None), cached_property):
            what = f"{instance_of(kind)} with an attribute {name!r} that is not a field"
            raise Refusal(what, "Declare it as a field or a private attribute.")
    given = value.model_fields_set
    if given != content.keys():
        content[_SET] = sorted(given)
    if value.__pydantic_extra__:
        content[_EXTRA] = value.__pydantic_extra__
    if value.__pydantic_private__:
        content[_PRIVATE] = value.__pydantic_private__
    return content


def _model_together(kind: Any, name: str, content: Any) -> object:
    fields = {one: item for one, item in content.items() if not one.startswith("__")}
    known = kind.model_fields
    given = set(content.get(_SET, fields))
    for one in fields.keys() - known.keys():
        message = f"{name} has no field {one!r}"
        raise ValueError(message)
    for one, field in known.items():
        if one not in fields:
            if field.is_required():
                message = f"the field {one!r} of {name} was not stored and has no default"
                raise ValueError(message)
            fields[one] = field.get_default(call_default_factory=True, validated_data=fields)
    extra = content.get(_EXTRA, {})
    open_ended = kind.model_config.get("extra") == "allow"
    if extra and not open_ended:
        message = f"{name} allows no field {min(extra)!r}"
        raise ValueError(message)
    private = {**_private_defaults(kind), **content.get(_PRIVATE, {})}
    made = kind.__new__(kind)
    made.__setstate__(
        {
            "__dict__": {one: fields[one] for one in known},
            "__pydantic_fields_set__": given,
            "__pydantic_extra__": extra if open_ended else None,
            "__pydantic_private__": private if kind.__private_attributes__ else None,
        }
    )
    result: object = made
    return result


def _private_defaults(kind: Any) -> dict[str, object]:
    undefined: Any = sys.modules["pydantic_core"].PydanticUndefined
    defaults = {one: each.get_default() for one, each in kind.__private_attributes__.items()}
    return {one: default for one, default in defaults.items() if default is not undefined}


def _types(wanted: Any) -> Mapping[str, Any]:
    return {name: field.annotation for name, field in wanted.model_fields.items()}


def _validated(wanted: Any, content: Any) -> object:
    pydantic: Any = sys.modules["pydantic"]
    try:
        made: object = wanted.model_validate(content)
    except pydantic.ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"])) or "$"
        what = f"a dict whose {place} is refused ({first['msg']})"
        raise Refusal(what, f"where {wanted.__name__} is wanted") from None
    return made


@cache
def _adapter(annotation: Any) -> Any:
    pydantic: Any = sys.modules["pydantic"]
    return pydantic.TypeAdapter(annotation)


def _check(annotation: Any, value: Any) -> None:
    """Such as `EmailStr`, whose values are plain text."""
    try:
        adapter = _adapter(annotation)
    except TypeError:  # an annotation that has no hash
        adapter = _adapter.__wrapped__(annotation)
    read = adapter.validate_python(value)
    if type(read) is not type(value) or read != value:
        message = "another value"
        raise ValueError(message)
