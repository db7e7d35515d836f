"""Which part of a value cannot be pickled: pickle itself says what, never where."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Final

from jinpy_cache_core.serializers.refusal import kind_of, step

_DEEPEST: Final = 100
_MOST_LOOKS: Final = 5_000
"""Parts that are tried; a value of more is named down to where they were used up."""


def culprit(value: object, is_refused: Callable[[object], bool]) -> tuple[str, object]:
    """The innermost part that is refused, and the way to it.

    Args:
        value: What was refused.
        is_refused: Whether a part would be, were it alone.

    Returns:
        Its path, such as `".users[3].conn"`, and the part; an empty path for the value itself.
    """
    path = ""
    looks = 0
    for _ in range(_DEEPEST):
        for name, part in _parts(value):
            looks += 1
            if looks > _MOST_LOOKS:
                return path, value
            if is_refused(part):
                path += name
                value = part
                break
        else:
            break
    return path, value


_COLLECTIONS: Final[tuple[type, ...]] = (list, tuple, set, frozenset)


def _parts(value: Any) -> Iterator[tuple[str, object]]:
    kind: Any = kind_of(value)
    if issubclass(kind, dict):
        for key, item in list(value.items()):
            yield step(key), item
            yield f"[{step(key)}]", key
    elif issubclass(kind, _COLLECTIONS):
        for index, item in enumerate(list(value)):
            yield f"[{index}]", item
    for name, item in list(_attributes(value).items()):
        yield step(name), item


def _attributes(value: object) -> dict[str, object]:
    if isinstance(value, type):
        return {}
    found: dict[str, object] = {}
    for base in type(value).__mro__:
        slots = base.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else tuple(slots):
            try:
                found[name] = object.__getattribute__(value, name)
            except AttributeError:
                continue
    with suppress(AttributeError):
        found.update(object.__getattribute__(value, "__dict__"))
    return found
