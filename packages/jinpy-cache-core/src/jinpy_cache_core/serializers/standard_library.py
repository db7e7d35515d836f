"""Types of the standard library that hold others, or are made of parts, as MessagePack extensions.

Each is a `Shape`: how a value is taken apart into a few plain words (its head) and its parts, and
made again from them. Only the exact type is carried, with all that makes two of them equal; what
would be lost, such as a default factory that is no builtin, is refused with the reason.
"""

import gc
import re
from collections import ChainMap, Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from datetime import timezone
from fractions import Fraction
from types import MappingProxyType, SimpleNamespace
from typing import Any, Final, cast

import attrs

from jinpy_cache_core.serializers.extensions import Tag
from jinpy_cache_core.serializers.refusal import Refusal, instance_of, kind_of

FACTORIES: Final[dict[str, Callable[[], object]]] = {
    kind.__name__: kind
    for kind in (
        bool,
        bytearray,
        bytes,
        complex,
        dict,
        float,
        frozenset,
        int,
        list,
        set,
        str,
        tuple,
        deque,
        Counter,
        OrderedDict,
    )
}
"""Default factories that a `defaultdict` is stored with, by name."""

MAPPINGS: Final = frozenset((dict, OrderedDict, defaultdict, Counter))
"""What a `ChainMap` or `MappingProxyType` may stand on."""

LONGEST_NUMBER: Final = 2**14
"""Bits of a fraction's numerator or denominator: reducing longer ones takes too long."""

LONGEST_PATTERN: Final = 10_000
"""Characters of a regular expression."""

MOST_CLASSES: Final = 128
"""Brackets and dashes of a regular expression: compiling a range looks at each character in it."""

_NO_STATE: Final = frozenset(("maps", "__orig_class__"))
"""Attributes that every `ChainMap` has, and every container made through a generic alias."""


@attrs.frozen
class Shape:
    """How one type is taken apart, and made again.

    Attributes:
        tag: Which extension carries it.
        heads: How many plain values stand before the parts.
        pairs: Whether the parts are keys and values in turn.
        apart: From a value to its head and its parts; raises `Refusal`.
        together: From head and parts to the value; raises whatever it likes on damaged ones.
    """

    tag: int
    heads: int
    pairs: bool
    apart: Callable[[Any], tuple[list[object], Iterable[Any]]]
    together: Callable[[list[Any], list[Any]], object]


def _nothing_else(value: Any) -> None:
    """Refuse a container with attributes of its own, which would be lost."""
    for name in cast("dict[str, object]", vars(value)):
        if name not in _NO_STATE:
            what = f"{instance_of(kind_of(value))} with an attribute {name!r} of its own"
            raise Refusal(what, "Store the attribute under its own key, or beside it in a dict.")


def _with_pairs(value: Any) -> tuple[list[object], Iterable[Any]]:
    _nothing_else(value)
    return [], value.items()


def _default_dict(value: "defaultdict[Any, Any]") -> tuple[list[object], Iterable[Any]]:
    factory = value.default_factory
    if factory is None:
        return [None], value.items()
    name = getattr(factory, "__name__", None)
    if isinstance(name, str) and FACTORIES.get(name) is factory:
        return [name], value.items()
    what = f"{instance_of(defaultdict)} whose default_factory is {instance_of(type(factory))}"
    raise Refusal(
        what,
        f"Only builtins can be restored as one ({', '.join(sorted(FACTORIES))}): store "
        "dict(value), or a defaultdict of one of these.",
    )


def _on_mappings(maps: Iterable[object], value: object) -> list[object]:
    found = list(maps)
    for one in found:
        if type(one) not in MAPPINGS:
            what = f"{instance_of(type(value))} on {instance_of(type(one))}"
            raise Refusal(what, "Store dict(value).")
    return found


def _chain_map(value: "ChainMap[Any, Any]") -> tuple[list[object], Iterable[Any]]:
    _nothing_else(value)
    return [], _on_mappings(value.maps, value)


def _chained(_: list[Any], maps: list[Any]) -> "ChainMap[Any, Any]":
    if not all(type(one) in MAPPINGS for one in maps):
        message = "a chain of something else than mappings"
        raise ValueError(message)
    chained: ChainMap[Any, Any] = ChainMap()
    chained.maps = maps
    return chained


def underlying(proxy: "MappingProxyType[Any, Any]") -> object:
    """The mapping that a proxy shows."""
    return gc.get_referents(proxy)[0]


def _proxied(_: list[Any], parts: list[Any]) -> "MappingProxyType[Any, Any]":
    (one,) = parts
    return MappingProxyType(one)


def _namespace(value: SimpleNamespace) -> tuple[list[object], Iterable[Any]]:
    names = vars(value)
    if any(type(name) is not str for name in names):
        what = f"{instance_of(SimpleNamespace)} with a name that is no str"
        raise Refusal(what, "Store vars(value).")
    return [], names.items()


def _named(_: list[Any], pairs: list[Any]) -> SimpleNamespace:
    made = SimpleNamespace()
    for name, item in pairs:
        if type(name) is not str:
            message = "a namespace with a name that is no str"
            raise TypeError(message)
        vars(made)[name] = item
    return made


def _fraction(value: Fraction) -> tuple[list[object], Iterable[Any]]:
    parts = (value.numerator, value.denominator)
    if max(part.bit_length() for part in parts) > LONGEST_NUMBER:
        what = f"{instance_of(Fraction)} of more than {LONGEST_NUMBER:,} bits"
        raise Refusal(what, "Store its numerator and its denominator.")
    return [], parts


def _reduced(_: list[Any], parts: list[Any]) -> Fraction:
    numerator, denominator = parts
    if max(part.bit_length() for part in parts) > LONGEST_NUMBER:
        message = "a fraction of too many digits"
        raise ValueError(message)
    return Fraction(numerator, denominator)


def _too_costly(pattern: "str | bytes") -> bool:
    brackets, dash = ("[", "-") if isinstance(pattern, str) else (b"[", b"-")
    ranges = pattern.count(cast("Any", brackets)) + pattern.count(cast("Any", dash))
    return len(pattern) > LONGEST_PATTERN or ranges > MOST_CLASSES


def _pattern(value: "re.Pattern[Any]") -> tuple[list[object], Iterable[Any]]:
    if type(value.pattern) not in (str, bytes) or _too_costly(value.pattern):
        what = f"{instance_of(re.Pattern)} of {len(value.pattern):,} characters"
        raise Refusal(
            what,
            f"More than {LONGEST_PATTERN:,} of them, or {MOST_CLASSES} brackets and dashes, take "
            "too long to compile on each read: store the text, and compile it where it is used.",
        )
    return [value.flags], [value.pattern]


def _compiled(head: list[Any], parts: list[Any]) -> "re.Pattern[Any]":
    (flags,), (pattern,) = head, parts
    if type(flags) is not int or flags & re.DEBUG or _too_costly(pattern):
        message = "a regular expression that is not compiled"
        raise ValueError(message)
    return re.compile(pattern, flags)


def _parts(*names: str) -> Callable[[Any], tuple[list[object], Iterable[Any]]]:
    return lambda value: ([], [getattr(value, name) for name in names])


def _zone_arguments(value: timezone) -> tuple[list[object], Iterable[Any]]:
    return [], cast("Any", value).__getinitargs__()


def _proxy_parts(value: "MappingProxyType[Any, Any]") -> tuple[list[object], Iterable[Any]]:
    return [], _on_mappings([underlying(value)], value)


def _default_factory(name: object) -> Callable[[], object] | None:
    return None if name is None else FACTORIES[cast("str", name)]


SHAPES: Final[dict[type, Shape]] = {
    OrderedDict: Shape(Tag.ORDERED_DICT, 0, True, _with_pairs, lambda _, pairs: OrderedDict(pairs)),
    defaultdict: Shape(
        Tag.DEFAULT_DICT,
        1,
        True,
        _default_dict,
        lambda head, pairs: defaultdict(_default_factory(head[0]), pairs),
    ),
    Counter: Shape(Tag.COUNTER, 0, True, _with_pairs, lambda _, pairs: Counter(dict(pairs))),
    deque: Shape(
        Tag.DEQUE,
        1,
        False,
        lambda value: ([value.maxlen], value),
        lambda head, items: deque(items, head[0]),
    ),
    ChainMap: Shape(Tag.CHAIN_MAP, 0, False, _chain_map, _chained),
    MappingProxyType: Shape(Tag.MAPPING_PROXY, 0, False, _proxy_parts, _proxied),
    SimpleNamespace: Shape(Tag.NAMESPACE, 0, True, _namespace, _named),
    range: Shape(
        Tag.RANGE, 0, False, _parts("start", "stop", "step"), lambda _, parts: range(*parts)
    ),
    slice: Shape(
        Tag.SLICE,
        0,
        False,
        _parts("start", "stop", "step"),
        lambda _, parts: slice(parts[0], parts[1], parts[2]),
    ),
    Fraction: Shape(Tag.FRACTION, 0, False, _fraction, _reduced),
    timezone: Shape(Tag.TIMEZONE, 0, False, _zone_arguments, lambda _, parts: timezone(*parts)),
    re.Pattern: Shape(Tag.PATTERN, 1, False, _pattern, _compiled),
}
"""By exact type."""

SHAPES_BY_TAG: Final = {shape.tag: shape for shape in SHAPES.values()}
