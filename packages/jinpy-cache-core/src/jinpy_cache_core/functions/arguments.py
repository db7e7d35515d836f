"""Arguments as text: by value, with their type, and no two different ones alike.

What is written can be read by a person (`load(42, 'de')`) and is injective: a str is quoted, so
`1`, `'1'`, `1.0` and `True` stay apart, and so do a list, a tuple and a set. Nothing is written by
its `repr` unless its type is known to have an exact one: a default `repr` shows an address, which
may be another object's tomorrow.
"""

import datetime as dt
import enum
import uuid
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import PurePath
from typing import Any, Final, cast
from zoneinfo import ZoneInfo

import attrs

from jinpy_cache_core.exceptions import CacheKeyTypeError

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


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


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
        return f"{_name(kind)}.{value.name}"
    if isinstance(value, PurePath):
        return f"{_name(kind)}({str(value)!r})"
    declared = getattr(value, "cache_key", None)
    if declared is not None and type not in kind.__mro__:
        identity = declared() if callable(declared) else declared
        return f"{_name(kind)}<{text_of(identity, where, depth)}>"
    if tuple in kind.__mro__ and hasattr(kind, "_fields"):
        return _name(kind) + _tuple(value, where, depth)
    fields = _fields_by_value(value, kind)
    if fields is not None:
        parts = [f"{name}={text_of(part, where, depth)}" for name, part in fields]
        return f"{_name(kind)}({', '.join(parts)})"
    if type in kind.__mro__ and "<locals>" not in value.__qualname__:
        return f"<class {_name(value)}>"
    raise _unkeyable(value, where)


def _fields_by_value(value: object, kind: type) -> list[tuple[str, object]] | None:
    """The fields of an attrs class or dataclass whose instances are equal, and hash, by value."""
    by_identity: tuple[Any, ...] = (None, object.__hash__)
    if kind.__hash__ in by_identity:
        return None
    if attrs.has(kind):
        return [(one.name, getattr(value, one.name)) for one in attrs.fields(kind) if one.eq]
    known: Mapping[str, Any] | None = getattr(kind, "__dataclass_fields__", None)
    if known is None:
        return None
    return [(name, getattr(value, name)) for name, one in known.items() if one.compare]


def _unkeyable(value: object, where: str) -> CacheKeyTypeError:
    message = (
        f"The argument {where} is a {_name(type(value))}, whose value cannot be told apart from "
        "others by text, so it cannot be part of an automatic key. Pass key='...{name}...' or a "
        "function as key=, give its class a cache_key attribute, or make it a frozen dataclass or "
        "attrs class."
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
