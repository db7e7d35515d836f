"""numpy arrays and scalars: dtype, shape, order and the bytes.

The payload is a head in JSON with its length before it, padded so that the items are aligned, and
the items as they are in memory. An array comes back as a read-only view of the bytes that were
read, which costs no copy.
"""

import json
import struct
import sys
from math import prod
from typing import Any, Final

from ormsgpack import Ext

from jinpy_cache_core.serializers.extensions import Tag
from jinpy_cache_core.serializers.refusal import Refusal, instance_of, kind_of

_ALIGNED: Final = 64
_MOST_DIMENSIONS: Final = 64
_LENGTH: Final = struct.Struct(">I")


def _library() -> Any:
    return sys.modules["numpy"]


def own_plan(_: type) -> None:
    """Nothing: arrays and scalars have an extension of their own."""


def _tuples(part: Any) -> Any:
    """A description of a structured dtype as numpy writes it: JSON has lists alone."""
    if not isinstance(part, list):
        return part
    items: list[Any] = part  # pyright: ignore[reportUnknownVariableType]
    return [_field(one) for one in items]


def _field(field: Any) -> Any:
    name, kind, *shape = field
    title: Any = tuple(name) if isinstance(name, list) else name  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return (title, _tuples(kind), *(tuple(one) for one in shape))


def _dtype(description: Any) -> Any:
    dtype = _library().lib.format.descr_to_dtype(_tuples(description))
    if dtype.hasobject:
        message = "a dtype of Python objects"
        raise ValueError(message)
    return dtype


def _described(dtype: Any, kind: type) -> Any:
    """What to write of a dtype.

    Raises:
        Refusal: It would not come back as it is.
    """
    if dtype.hasobject:
        what = f"{instance_of(kind)} of Python objects"
        raise Refusal(what, "Store value.tolist(), or an array of another dtype.")
    try:
        description = json.loads(json.dumps(_library().lib.format.dtype_to_descr(dtype)))
        again = _dtype(description)
    except (TypeError, ValueError, UserWarning):
        description, again = None, _library().dtype("V0")
    if again != dtype or again.isalignedstruct != dtype.isalignedstruct or dtype.metadata:
        what = f"{instance_of(kind)} of dtype {dtype!s:.80}"
        raise Refusal(what, "This dtype has no form on disk: use value.astype(...).")
    return description


def encoder_for(kind: type) -> Any:
    """How an array or scalar is written; `None` for other classes, subclasses included."""
    numpy = _library()
    if kind is numpy.ndarray:
        return encode_array
    if issubclass(kind, numpy.generic) and kind.__module__.partition(".")[0] == "numpy":
        return encode_scalar
    return None


def encode_array(value: Any) -> Ext:
    """An array; what is not contiguous is written in C order."""
    order = "F" if value.flags.f_contiguous and not value.flags.c_contiguous else "C"
    head = [_described(value.dtype, kind_of(value)), list(value.shape), order]
    return Ext(Tag.NDARRAY, _head(head) + value.tobytes(order))


def encode_scalar(value: Any) -> Ext:
    """A scalar, with its own type."""
    array = _library().asarray(value)
    payload = _head([_described(array.dtype, kind_of(value))]) + array.tobytes()
    again = decode(payload)
    equal = again == value or (again != again and value != value)  # noqa: PLR0124 - it may be NaN
    if type(again) is not type(value) or again.dtype != value.dtype or not equal:
        what = instance_of(kind_of(value))
        raise Refusal(what, "Store value.item().")
    return Ext(Tag.NDARRAY, payload)


def _head(head: list[Any]) -> bytes:
    text = json.dumps(head, separators=(",", ":")).encode()
    text += b" " * (-(len(text) + _LENGTH.size) % _ALIGNED)
    return _LENGTH.pack(len(text)) + text


def decode(data: "bytes | memoryview") -> Any:
    """The array, as a read-only view of these bytes, or the scalar."""
    (length,) = _LENGTH.unpack_from(data)
    start = _LENGTH.size + length
    description, *rest = json.loads(bytes(data[_LENGTH.size : start]))
    dtype = _dtype(description)
    shape, order = rest or ((), "C")
    if len(shape) > _MOST_DIMENSIONS or any(type(one) is not int or one < 0 for one in shape):
        message = "no shape"
        raise ValueError(message)
    if len(data) - start != dtype.itemsize * prod(shape):
        message = "another number of bytes than its shape needs"
        raise ValueError(message)
    array = _library().ndarray(tuple(shape), dtype, data, start, order=order)
    return array if rest else array[()]
