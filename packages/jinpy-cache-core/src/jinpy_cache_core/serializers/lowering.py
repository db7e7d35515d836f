"""From any value to one that plain MessagePack and its extensions carry exactly.

The packer is never given a callback: it would run Python code, and with it other threads, while it
walks containers it does not own. Values that it does not carry exactly are rewritten here
beforehand, in pure Python, into a private copy made of plain containers and `ormsgpack.Ext`.

Two passes exist. The quick one trusts text and integers, which nearly always fit; should packing
then fail, the thorough one looks at each.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final, cast

import ormsgpack
from ormsgpack import Ext, packb

from jinpy_cache_core.exceptions import CacheException, CacheSerializationError
from jinpy_cache_core.serializers.advice import advice_for
from jinpy_cache_core.serializers.extensions import ENCODERS, Tag, encode_int, encode_text
from jinpy_cache_core.serializers.plans import CustomPlan, Plan
from jinpy_cache_core.serializers.refusal import Refusal, instance_of, step, type_name
from jinpy_cache_core.serializers.registry import TypeRegistry
from jinpy_cache_core.serializers.scalars import SCALARS, late_scalar
from jinpy_cache_core.serializers.standard_library import SHAPES, Shape

OPTIONS: Final = (
    ormsgpack.OPT_PASSTHROUGH_BIG_INT
    | ormsgpack.OPT_PASSTHROUGH_DATACLASS
    | ormsgpack.OPT_PASSTHROUGH_DATETIME
    | ormsgpack.OPT_PASSTHROUGH_ENUM
    | ormsgpack.OPT_PASSTHROUGH_SUBCLASS
    | ormsgpack.OPT_PASSTHROUGH_TUPLE
    | ormsgpack.OPT_PASSTHROUGH_UUID
)
"""Leaves the packer only what MessagePack itself knows; everything else is an error there."""

MAX_EXTENSIONS: Final = 64
"""How many tuples, sets, non-str-keyed dicts and instances may nest inside one another."""

WIDE_EXTENSIONS: Final = 2
"""Up to here each of them may hold `PLAIN_DEPTH` levels, further in only `NARROW_DEPTH`."""

PLAIN_DEPTH: Final = 900
"""How many plain lists and dicts may nest inside one another."""

NARROW_DEPTH: Final = 32
"""The same inside many extensions, so that reading never overflows a thread's stack."""

_PLAIN: Final = frozenset((type(None), bool, float, bytes))
_PLAIN_UNSEEN: Final = _PLAIN | {str, int}


def room_inside(extensions: int) -> int:
    """How many plain containers may nest inside one more extension than the given number.

    The extension's own array is one of them.
    """
    if extensions >= MAX_EXTENSIONS:
        return 0
    return PLAIN_DEPTH if extensions < WIDE_EXTENSIONS else NARROW_DEPTH


def hides_bytearray(value: object) -> bool:
    """Whether plain containers hold what the packer writes as bytes although it is not.

    Args:
        value: What the packer has already accepted, so neither deep nor circular.
    """
    nodes: list[Any] = [value]
    for node in nodes:
        kind = cast("object", type(node))
        if kind is dict:
            nodes.extend(node.values())
        elif kind is list:
            nodes.extend(node)
        elif kind is bytearray or kind is memoryview:
            return True
    return False


class Lowering:
    """One pass over a value; holds no state between calls.

    Args:
        registry: Who knows classes.
        thorough: Whether to look at each text and integer.
    """

    def __init__(self, registry: TypeRegistry, *, thorough: bool) -> None:
        self._registry = registry
        self._plain = _PLAIN if thorough else _PLAIN_UNSEEN
        self._thorough = thorough
        self._leaves: dict[type, Callable[[Any], object]] = {
            **ENCODERS,
            **SCALARS,
            str: encode_text,
            int: encode_int,
        }
        self._containers: dict[type, Callable[[Any, int, int], object]] = {
            list: self._list,
            dict: self._dict,
            tuple: self._extension_of(Tag.TUPLE),
            set: self._extension_of(Tag.SET),
            frozenset: self._extension_of(Tag.FROZENSET),
            **{kind: self._shaped(shape) for kind, shape in SHAPES.items()},
        }

    def lower(self, value: object, room: int = PLAIN_DEPTH, extensions: int = 0) -> object:
        """A value that the packer carries exactly.

        Args:
            value: Anything.
            room: How many more plain containers may nest here.
            extensions: How many extensions this is inside of.

        Raises:
            Refusal: A part of it cannot be carried.
        """
        kind = type(value)
        if kind in self._plain:
            return value
        leaf = self._leaves.get(kind)
        if leaf is not None:
            return leaf(value)
        if room <= 0:
            raise _too_deep(kind)
        container = self._containers.get(kind)
        if container is not None:
            return container(value, room, extensions)
        return self._instance(value, kind, extensions)

    def _items(self, items: Iterable[object], room: int, extensions: int) -> list[object]:
        plain, leaves = self._plain, self._leaves
        lowered: list[object] = []
        try:
            for item in items:
                kind = type(item)
                if kind in plain:
                    lowered.append(item)
                elif kind in leaves:
                    lowered.append(leaves[kind](item))
                else:
                    lowered.append(self.lower(item, room - 1, extensions))
        except Refusal as refusal:
            refusal.path.append(f"[{len(lowered)}]")
            raise
        return lowered

    def _list(self, value: list[object], room: int, extensions: int) -> object:
        return self._items(value, room, extensions)

    def _dict(self, value: dict[object, object], room: int, extensions: int) -> object:
        plain, leaves = self._plain, self._leaves
        if self._thorough and any(
            type(key) is str and encode_text(key) is not key for key in value
        ):
            return self._mapping(value, extensions)
        lowered: dict[object, object] = {}
        key: object = None
        try:
            for key, item in value.items():
                if type(key) is not str:
                    break
                kind = type(item)
                if kind in plain:
                    lowered[key] = item
                elif kind in leaves:
                    lowered[key] = leaves[kind](item)
                else:
                    lowered[key] = self.lower(item, room - 1, extensions)
            else:
                return lowered
        except Refusal as refusal:
            refusal.path.append(step(key))
            raise
        return self._mapping(value, extensions)

    def _mapping(self, value: dict[object, object], extensions: int) -> Ext:
        """A dict whose keys need their types kept, as an array of keys and values in turn."""
        room = room_inside(extensions)
        if not room:
            raise _too_deep(dict)
        return Ext(Tag.MAPPING, packb(self._pairs(value.items(), room, extensions), None, OPTIONS))

    def _pairs(
        self, pairs: Iterable[tuple[object, object]], room: int, extensions: int
    ) -> list[object]:
        flat: list[object] = []
        for key, item in pairs:
            try:
                flat += (
                    self.lower(key, room - 1, extensions + 1),
                    self.lower(item, room - 1, extensions + 1),
                )
            except Refusal as refusal:
                refusal.path.append(step(key))
                raise
        return flat

    def _shaped(self, shape: Shape) -> Callable[[Any, int, int], Ext]:
        def shaped(value: object, _room: int, extensions: int) -> Ext:
            room = room_inside(extensions)
            if not room:
                raise _too_deep(type(value))
            head, parts = shape.apart(value)
            lower = self._pairs if shape.pairs else self._items
            lowered = lower(parts, room, extensions + (not shape.pairs))
            return Ext(shape.tag, packb([*head, *lowered], None, OPTIONS))

        return shaped

    def _extension_of(self, tag: int) -> Callable[[Any, int, int], Ext]:
        def extension(value: Iterable[object], _room: int, extensions: int) -> Ext:
            room = room_inside(extensions)
            if not room:
                raise _too_deep(type(value))
            items = self._items(value, room, extensions + 1)
            return Ext(tag, packb(items, None, OPTIONS))

        return extension

    def _instance(self, value: object, kind: type, extensions: int) -> object:
        scalar = late_scalar(kind)
        if scalar is not None:
            return scalar(value)
        plan = self._registry.plan_for(kind)
        if plan is None:
            what = instance_of(kind)
            raise Refusal(what, advice_for(value))
        content = self.lower(_apart(plan, value), room_inside(extensions) - 1, extensions + 1)
        return Ext(plan.tag, packb([plan.name, content], None, OPTIONS))


def _apart(plan: Plan, value: object) -> object:
    if not isinstance(plan, CustomPlan):
        return plan.apart(value)
    try:
        return plan.apart(value)
    except (CacheException, Refusal, MemoryError):
        raise
    except Exception as error:
        message = (
            f"The encode= that is registered for {type_name(plan.kind)} raised "
            f"{type(error).__name__}: {error}. Nothing was stored."
        )
        raise CacheSerializationError(message) from error


def _too_deep(kind: type) -> Refusal:
    what = f"{instance_of(kind)} that contains itself or is nested too deeply"
    return Refusal(what, "Store its parts under their own keys.")
