"""Arguments as text: by value, with their type, and no two different ones alike.

What is written can be read by a person (`load(42, 'de')`) and is injective: a str is quoted, so
`1`, `'1'`, `1.0` and `True` stay apart, and so do a list, a tuple and a set. Nothing is written by
its `repr` unless its type is known to have an exact one: a default `repr` shows an address, which
may be another object's tomorrow.
"""

import datetime as dt
import enum
import ipaddress
import sys
import uuid
import weakref
from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from pathlib import PurePath
from typing import Any, Final, cast
from zoneinfo import ZoneInfo

import attrs

from jinpy_cache_core.exceptions import CacheKeyTypeError
from jinpy_cache_core.functions.identity import script_of
from jinpy_cache_core.serializers.registry import TYPES

DEPTH: Final = 32
"""How deep containers may be nested."""


def text_of(value: object, where: str, depth: int = DEPTH) -> str:
    """The value of an argument as text.

    Args:
        value: Any value.
        where: What the argument is called, for the error.
        depth: How much deeper containers may go.

    Raises:
        CacheKeyTypeError: Its type has no text that stands for its value alone.
    """
    kind = type(value)
    if kind in _EXACT:
        return repr(value)
    if depth == 0:
        message = f"The argument {where} is nested too deeply to be part of a key; pass key=."
        raise CacheKeyTypeError(message)
    write = _WRITERS.get(kind)
    if write is not None:
        return write(value, where, depth - 1)
    return _special(value, kind, where, depth - 1)


def _name(kind: type, where: str = "") -> str:
    """The name of a class, which no other class has that was ever part of a key here."""
    module = kind.__module__
    if module in ("__main__", "__mp_main__"):
        # One of a script is the script's; spawned workers call the same module otherwise.
        module = f"__main__<{script_of()}>"
    name = f"{module}.{kind.__qualname__}"
    if _found(kind) is not kind and _claims.setdefault(name, weakref.ref(kind))() is not kind:
        message = (
            f"The argument {where} is of a class {kind.__module__}.{kind.__qualname__} that was "
            "made at run time, as was another one of that name, so no key tells their objects "
            "apart. Define the class at the top of its module, or pass key=."
        )
        raise CacheKeyTypeError(message)
    return name


def _found(kind: type) -> object:
    """What stands where a class says that it is defined."""
    found: object = sys.modules.get(kind.__module__)
    for part in kind.__qualname__.split("."):
        found = getattr(found, part, None)
    return found


_claims: dict[str, "weakref.ref[type]"] = {}
"""The first class made at run time of each name; a dead one keeps its name."""


def _all(values: Any, where: str, depth: int) -> list[str]:
    return [text_of(value, where, depth) for value in values]


def _list(value: Any, where: str, depth: int) -> str:
    return f"[{', '.join(_all(value, where, depth))}]"


def _tuple(value: Any, where: str, depth: int) -> str:
    return f"({''.join(f'{one}, ' for one in _all(value, where, depth))})"


def _set(value: Any, where: str, depth: int) -> str:
    return f"{type(value).__name__}{{{', '.join(sorted(_all(value, where, depth)))}}}"


def _dict(value: Any, where: str, depth: int) -> str:
    items = cast("Mapping[object, object]", value).items()
    pairs = (f"{text_of(k, where, depth)}: {text_of(v, where, depth)}" for k, v in items)
    return f"{{{', '.join(sorted(pairs))}}}"


def _datetime(value: Any, where: str, depth: int) -> str:
    zone = "" if value.tzinfo is None else text_of(value.tzinfo, where, depth)
    return f"datetime({value.replace(tzinfo=None).isoformat()}, {value.fold}, {zone})"


def _time(value: Any, where: str, depth: int) -> str:
    zone = "" if value.tzinfo is None else text_of(value.tzinfo, where, depth)
    return f"time({value.replace(tzinfo=None).isoformat()}, {value.fold}, {zone})"


def _zone(value: Any, where: str, _depth: int) -> str:
    if value.key is None:
        raise _unkeyable(value, where)
    return f"ZoneInfo({value.key!r})"


def _special(value: Any, kind: type[Any], where: str, depth: int) -> str:
    if isinstance(value, enum.Enum):
        return _member(value, kind, where, depth)
    if isinstance(value, PurePath) and kind.__module__.partition(".")[0] == "pathlib":
        return f"pathlib.{kind.__qualname__}({str(value)!r})"
    declared = getattr(value, "cache_key", None)
    if declared is not None and type not in kind.__mro__:
        identity = declared() if callable(declared) else declared
        return f"{_name(kind, where)}<{text_of(identity, where, depth)}>"
    if tuple in kind.__mro__ and hasattr(kind, "_fields") and not getattr(value, "__dict__", None):
        return _name(kind, where) + _tuple(value, where, depth)
    foreign = _FOREIGN.get(kind.__module__.partition(".")[0])
    text = foreign(value, kind) if foreign is not None else None
    if text is not None:
        return text
    fields = _fields_by_value(value, kind)
    if fields is not None:
        parts = [f"{name}={text_of(part, where, depth)}" for name, part in fields]
        return f"{_name(kind, where)}({', '.join(parts)})"
    if TYPES.is_registered(kind):
        taught = TYPES.plan_for(kind)
        if taught is not None:
            return f"{_name(kind, where)}<{text_of(taught.apart(value), where, depth)}>"
    if type in kind.__mro__ and "<locals>" not in value.__qualname__:
        return f"<class {_name(cast('type[Any]', value), where)}>"
    raise _unkeyable(value, where)


def _member(value: enum.Enum, kind: type[Any], where: str, depth: int) -> str:
    """A member by its name, or by its value if its class lists none of that name."""
    if kind.__members__.get(value._name_) is value:
        return f"{_name(kind, where)}.{value._name_}"
    return f"{_name(kind, where)}({text_of(value._value_, where, depth)})"


def _numpy(value: Any, kind: type[Any]) -> str | None:
    """A scalar by its type and bytes."""
    if not any(base.__qualname__ == "generic" for base in kind.__mro__) or value.dtype.hasobject:
        return None
    return f"numpy.{value.dtype.str}({value.tobytes().hex()})"


def _pandas(value: Any, kind: type[Any]) -> str | None:
    """A moment by its nanoseconds, unit and zone."""
    if kind.__qualname__ != "Timestamp":
        return None
    return f"pandas.Timestamp({value.value}, {value.unit}, {value.tz!r})"


def _fields_by_value(value: object, kind: type) -> list[tuple[str, object]] | None:
    """The fields of an attrs class or dataclass whose instances are equal, and hash, by value."""
    by_identity: tuple[Any, ...] = (None, object.__hash__)
    if kind.__hash__ in by_identity:
        return None
    frozen: Any = getattr(kind, "model_config", None)
    models: Any = getattr(kind, "__pydantic_fields__", None)
    if models is not None and isinstance(frozen, Mapping):
        if not cast("Mapping[str, object]", frozen).get("frozen"):
            return None
        extra: Mapping[str, object] = getattr(value, "__pydantic_extra__", None) or {}
        return [*((name, getattr(value, name)) for name in models), *sorted(extra.items())]
    if _has_more(value, kind):
        return None
    if attrs.has(kind):
        return [(one.name, getattr(value, one.name)) for one in attrs.fields(kind) if one.eq]
    known: Mapping[str, Any] | None = getattr(kind, "__dataclass_fields__", None)
    if known is None:
        return None
    return [(name, getattr(value, name)) for name, one in known.items() if one.compare]


def _has_more(value: object, kind: type) -> bool:
    """Whether a subclass that declares no fields of its own gave its object attributes."""
    own = vars(kind)
    if "__attrs_attrs__" in own or "__dataclass_fields__" in own:
        return False
    known = {*getattr(kind, "__dataclass_fields__", ())}
    known |= {one.name for one in getattr(kind, "__attrs_attrs__", ())}
    return any(
        name not in known and not isinstance(getattr(kind, name, None), cached_property)
        for name in getattr(value, "__dict__", ())
    )


def _unkeyable(value: object, where: str) -> CacheKeyTypeError:
    message = (
        f"The argument {where} is a {_name(type(value))}, whose value cannot be told apart from "
        "others by text, so it cannot be part of an automatic key. Leave it out by ignore=(...), "
        "pass key='...{name}...' or a function as key=, give its class a cache_key attribute, make "
        "it a frozen dataclass or attrs class, or teach it with register_type."
    )
    return CacheKeyTypeError(message)


_EXACT: Final = frozenset(
    (
        type(None),
        bool,
        int,
        float,
        complex,
        str,
        bytes,
        type(...),
        uuid.UUID,
        Decimal,
        dt.date,
        dt.timedelta,
        dt.timezone,
        Fraction,
        range,
        ipaddress.IPv4Address,
        ipaddress.IPv6Address,
        ipaddress.IPv4Network,
        ipaddress.IPv6Network,
        ipaddress.IPv4Interface,
        ipaddress.IPv6Interface,
    )
)
"""Types whose `repr` says the value and the type, and nothing else."""

_WRITERS: Final[Mapping[type, Callable[[Any, str, int], str]]] = {
    list: _list,
    tuple: _tuple,
    set: _set,
    frozenset: _set,
    dict: _dict,
    dt.datetime: _datetime,
    dt.time: _time,
    ZoneInfo: _zone,
}

_FOREIGN: Final[Mapping[str, Callable[[Any, type[Any]], str | None]]] = {
    "numpy": _numpy,
    "pandas": _pandas,
}
"""By the package of a type, how its values are written; nothing is imported for that."""
