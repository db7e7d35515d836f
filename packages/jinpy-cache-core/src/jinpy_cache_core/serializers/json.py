"""`"json"`: what any language can read, and only what JSON carries exactly."""

import json
from typing import Final, Never

from jinpy_cache_core.serializers.refusal import (
    Refusal,
    instance_of,
    refuse_to_read,
    refuse_to_store,
    step,
    type_name,
)

INTEGER_BOUND: Final = 10**4300
"""Integers from here on have more digits than Python reads back from text by default."""

_SCALARS: Final = frozenset((type(None), bool, str))
_WAY_OUT: Final = "Convert it first, or choose serializer='msgpack', which carries it exactly."


def _check(value: object) -> None:
    """Raise `Refusal` unless JSON carries the value exactly."""
    kind = type(value)
    if kind in _SCALARS:
        return
    if kind is int:
        if not -INTEGER_BOUND < value < INTEGER_BOUND:  # type: ignore[operator]
            what = "an int of more than 4,300 digits"
            raise Refusal(what)
    elif kind is float:
        if value - value != 0:  # type: ignore[operator]
            what = f"the float {value!r}"
            raise Refusal(what)
    elif kind is dict:
        _check_mapping(value)  # type: ignore[arg-type]
    elif kind is list:
        _check_items(value)  # type: ignore[arg-type]
    else:
        what = instance_of(kind)
        raise Refusal(what)


def _check_items(items: list[object]) -> None:
    index = 0
    try:
        for item in items:
            if type(item) not in _SCALARS:
                _check(item)
            index += 1
    except Refusal as refusal:
        refusal.path.append(f"[{index}]")
        raise


def _check_mapping(mapping: dict[object, object]) -> None:
    key: object = None
    try:
        for key, value in mapping.items():
            if type(key) is not str:
                what = f"{instance_of(type(key))} as a key"
                raise Refusal(what)
            if type(value) not in _SCALARS:
                _check(value)
    except Refusal as refusal:
        refusal.path.append(step(key))
        raise


def _no_constant(word: str) -> Never:
    message = f"{word} is not JSON"
    raise ValueError(message)


class JsonSerializer:
    """Compact UTF-8 JSON of dict (str keys), list, str, int, float, bool and None, nested freely.

    Tuples, sets, subclasses, NaN and infinities have no JSON form that would come back as they
    were, so they are refused with their place inside the value, such as `$.users[3].id`.
    """

    __slots__ = ()
    name = "json"
    _encode = json.JSONEncoder(
        ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":")
    ).encode
    _decode = json.JSONDecoder(parse_constant=_no_constant).decode

    def dumps(self, value: object, /) -> bytes:
        """The value as JSON.

        Raises:
            CacheSerializationError: JSON does not carry it exactly.
        """
        try:
            _check(value)
            return type(self)._encode(value).encode()
        except Refusal as refusal:
            refuse_to_store(self.name, str(refusal), _WAY_OUT)
        except UnicodeEncodeError:
            refuse_to_store(self.name, "a str with a lone surrogate", _WAY_OUT)
        except RecursionError:
            refuse_to_store(
                self.name,
                f"this {type_name(type(value))}",
                "It contains itself or is nested too deeply; store its parts under their own keys.",
            )
        except ValueError as error:
            refuse_to_store(self.name, f"this {type_name(type(value))}", f"{error}.")

    def loads(self, payload: bytes, /) -> object:
        """The value of one JSON text.

        Raises:
            CacheSerializationError: The bytes are not UTF-8 JSON, hold NaN, are nested too deeply
                or hold an integer of more digits than the interpreter's limit.
        """
        try:
            return type(self)._decode(payload.decode())
        except (ValueError, RecursionError) as error:
            raise refuse_to_read(self.name, error) from error

    def __repr__(self) -> str:
        return "<JsonSerializer>"
