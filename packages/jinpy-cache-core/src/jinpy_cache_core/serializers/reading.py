"""From MessagePack bytes of unknown origin to values, within bounds.

Bytes in a shared store may be damaged or forged. Reading them must end in a value or in one
documented error: no import, no unbounded recursion, no allocation that a forged length dictates.
Extension payloads are decoded from inside the unpacker, which reports any exception of the callback
as "ext_hook failed"; what it really was is kept aside, by thread, and found again at the edge.
"""

import threading
from collections.abc import Callable
from functools import partial
from operator import is_not
from typing import Any, Final

import attrs
from ormsgpack import unpackb

from jinpy_cache_core.exceptions import CacheException, CacheSerializationError, with_article
from jinpy_cache_core.serializers.depth import deeper_than
from jinpy_cache_core.serializers.extensions import DECODERS, Tag
from jinpy_cache_core.serializers.families import libraries
from jinpy_cache_core.serializers.lowering import MAX_EXTENSIONS, NARROW_DEPTH, WIDE_EXTENSIONS
from jinpy_cache_core.serializers.plans import CustomPlan, Plan
from jinpy_cache_core.serializers.refusal import type_name
from jinpy_cache_core.serializers.registry import TypeRegistry
from jinpy_cache_core.serializers.scalars import SCALAR_DECODERS
from jinpy_cache_core.serializers.standard_library import SHAPES, SHAPES_BY_TAG, Shape

Hook = Callable[[int, bytes], object]

MOST_OF_ONE_HASH: Final = 64
"""Different items of a set, or keys of a mapping, that may have one hash."""

_CONTAINERS: Final = frozenset((list, tuple, set, frozenset))
_SCALAR_DECODERS: Final[dict[int, Callable[[Any], object]]] = {**DECODERS, **SCALAR_DECODERS}


class _Failure(threading.local):
    """The exception that the unpacker swallowed in this thread."""

    error: BaseException | None = None


_failure: Final = _Failure()


@attrs.frozen(eq=False)
class Unresolved:
    """An instance whose class the reader will name: what was stored of it, not yet an object.

    Attributes:
        tag: `Tag.RECORD`, `Tag.ENUM` or `Tag.CUSTOM`.
        name: What the stored bytes call the class.
        content: The fields by name, the member, or what `encode` returned.
    """

    tag: int
    name: str
    content: Any


def registered(registry: TypeRegistry, tag: int, name: str, content: Any) -> object:
    """An instance of a class that the process allowed.

    Raises:
        CacheSerializationError: The class is not registered, or no longer the same kind of class.
    """
    plan = registry.named(name)
    if plan is None:
        message = (
            f"The stored value holds {with_article(name)}, and no class of that name is registered "
            "in this process. Read it with type=..., or allow it by register_type where it is "
            "defined."
        )
        raise CacheSerializationError(message)
    if plan.tag != tag:
        message = (
            f"The stored value holds {with_article(name)} written by another kind of class than it "
            "is now."
        )
        raise CacheSerializationError(message)
    return made(plan, content)


def made(plan: Plan, content: Any) -> object:
    """The instance; what a function of the user's own raises is not taken for damage.

    Raises:
        CacheSerializationError: `decode=` raised, with that as the cause.
    """
    if not isinstance(plan, CustomPlan):
        return plan.together(content)
    try:
        return plan.together(content)
    except (CacheException, MemoryError):
        raise
    except Exception as error:
        message = (
            f"The decode= that is registered for {type_name(plan.kind)} raised "
            f"{type(error).__name__}: {error}. The entry was left as it is: mend the function, or "
            "overwrite the key if another version of it wrote the value."
        )
        raise CacheSerializationError(message) from error


def resolved(registry: TypeRegistry, value: Any) -> Any:
    """The value with every `Unresolved` inside it turned into an instance; itself without any.

    Raises:
        CacheSerializationError: A class is not registered.
    """
    kind: Any = type(value)  # pyright: ignore[reportUnknownVariableType]
    if kind is Unresolved:
        content = resolved(registry, value.content)
        return registered(registry, value.tag, value.name, content)
    if kind is dict:
        items = {resolved(registry, key): resolved(registry, item) for key, item in value.items()}
        changed = any(map(is_not, items, value)) or any(map(is_not, items.values(), value.values()))
        return items if changed else value
    if kind in _CONTAINERS:
        new = [resolved(registry, item) for item in value]
        return kind(new) if any(map(is_not, new, value)) else value
    shape = SHAPES.get(kind)
    return value if shape is None else changed_parts(shape, value, partial(resolved, registry))


def changed_parts(shape: Shape, value: Any, change: Callable[[Any], Any]) -> Any:
    """The same kind of container with each part changed; itself if none was."""
    head, parts = shape.apart(value)
    old: list[Any] = list(parts)
    new = (
        [(change(key), change(item)) for key, item in old]
        if shape.pairs
        else list(map(change, old))
    )
    if shape.pairs:
        same = all(a is c and b is d for (a, b), (c, d) in zip(old, new, strict=True))
    else:
        same = not any(map(is_not, old, new))
    return value if same else shape.together(head, new)


class Reading:
    """Decodes payloads; holds no state between calls.

    Args:
        registry: Which classes may come back.
        typed: Whether to leave instances `Unresolved`, for the reader to name their classes.
    """

    def __init__(self, registry: TypeRegistry, *, typed: bool) -> None:
        self._registry = registry
        self._typed = typed
        self._containers: dict[int, Callable[[list[Any]], object]] = {
            Tag.TUPLE: tuple,
            Tag.SET: lambda items: set(_spread(items)),
            Tag.FROZENSET: lambda items: frozenset(_spread(items)),
            Tag.MAPPING: _mapping,
            Tag.RECORD: self._instance_of(Tag.RECORD),
            Tag.ENUM: self._instance_of(Tag.ENUM),
            Tag.CUSTOM: self._instance_of(Tag.CUSTOM),
            Tag.NAMED_TUPLE: self._instance_of(Tag.NAMED_TUPLE),
            Tag.MODEL: self._instance_of(Tag.MODEL),
            Tag.LIBRARY: _of_library,
            **{tag: partial(_shaped, shape) for tag, shape in SHAPES_BY_TAG.items()},
        }
        self._hooks = tuple(self._hook_at(level) for level in range(MAX_EXTENSIONS + 1))
        self.hook: Hook = self._hooks[0]
        """What to give the unpacker for bytes from outside."""

    def _hook_at(self, level: int) -> Hook:
        def hook(tag: int, data: bytes) -> object:
            try:
                if tag in _SCALAR_DECODERS:
                    return read_scalar(tag, data)
                return self._container(tag, data, level + 1)
            except BaseException as error:
                # The innermost one: further out it is only "ext_hook failed" again.
                if _failure.error is None:
                    _failure.error = error
                raise

        return hook

    def _container(self, tag: int, data: bytes, level: int) -> object:
        build = self._containers.get(tag)
        if build is None:
            message = f"extension type {tag} is not known"
            raise ValueError(message)
        if level > MAX_EXTENSIONS or (level > WIDE_EXTENSIONS and deeper_than(data, NARROW_DEPTH)):
            message = "nested too deeply"
            raise ValueError(message)
        items: Any = unpackb(data, ext_hook=self._hooks[level])
        if type(items) is list:
            return build(items)  # pyright: ignore[reportUnknownArgumentType]
        message = f"extension type {tag} holds no array"
        raise ValueError(message)

    def _instance_of(self, tag: int) -> Callable[[list[Any]], object]:
        def instance(items: list[Any]) -> object:
            name, content = items
            if self._typed:
                return Unresolved(tag, name, content)
            return registered(self._registry, tag, name, content)

        return instance


def read_scalar(tag: int, data: "bytes | memoryview") -> object:
    """A value that holds no others.

    Raises:
        ValueError: It is damaged; the message quotes nothing of it.
        CacheSerializationError: This process cannot make it.
    """
    try:
        return _SCALAR_DECODERS[tag](data)
    except (CacheException, MemoryError):
        raise
    except Exception as error:
        # The cause may quote what is stored, which belongs in no message.
        message = f"extension type {tag} is damaged ({type(error).__name__})"
        raise ValueError(message) from error


def take_swallowed() -> BaseException | None:
    """What an extension's decoder raised in this thread since last asked, if anything."""
    error, _failure.error = _failure.error, None
    return error


def _mapping(flat: list[Any]) -> dict[Any, Any]:
    return dict(_paired(flat))


def _paired(flat: list[Any]) -> list[tuple[Any, Any]]:
    keys, values = flat[::2], flat[1::2]
    return list(zip(_spread(keys), values, strict=True))


def _of_library(items: list[Any]) -> object:
    name, content = items
    try:
        return libraries.restored(name, content)
    except (CacheException, MemoryError):
        raise
    except Exception as error:
        message = f"extension type {Tag.LIBRARY} is damaged ({type(error).__name__})"
        raise ValueError(message) from error


def _shaped(shape: Shape, items: list[Any]) -> object:
    head, parts = items[: shape.heads], items[shape.heads :]
    try:
        return shape.together(head, _paired(parts) if shape.pairs else parts)
    except MemoryError:
        raise
    except Exception as error:
        # The cause may quote what is stored, which belongs in no message.
        message = f"extension type {shape.tag} is damaged ({type(error).__name__})"
        raise ValueError(message) from error


def _spread(items: list[Any]) -> list[Any]:
    """The items of a set, or the keys of a mapping, known not to meet in one place of its table.

    Python does not salt the hashes of numbers and of what is made of them, so whoever writes the
    store can choose thousands of them that are one; each would be compared with all before it.

    Raises:
        ValueError: More of them have one hash than chance can bring together.
    """
    if len(items) > MOST_OF_ONE_HASH:
        counts: dict[int, int] = {}
        for hashed in map(hash, items):
            counts[hashed] = counts.get(hashed, 0) + 1
        if max(counts.values()) > MOST_OF_ONE_HASH:
            message = "the items of a set or mapping are chosen to collide"
            raise ValueError(message)
    return items
