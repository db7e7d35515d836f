"""Types of the standard library whose values hold no others, stored as text or bytes.

Those of modules that few programs import (`ipaddress`, `array`) are found by name once a value of
them is met, and their modules are imported for reading only when a stored value is one.
"""

import sys
from collections.abc import Callable
from pathlib import PosixPath, PurePath, PurePosixPath, PureWindowsPath, WindowsPath
from types import EllipsisType, NotImplementedType
from typing import Any, Final
from zoneinfo import ZoneInfo

from ormsgpack import Ext

from jinpy_cache_core.exceptions import CacheSerializationError
from jinpy_cache_core.serializers.extensions import Tag
from jinpy_cache_core.serializers.refusal import Refusal, instance_of

_ADDRESSES: Final = (
    "IPv4Address",
    "IPv6Address",
    "IPv4Network",
    "IPv6Network",
    "IPv4Interface",
    "IPv6Interface",
)
_PATHS: Final[dict[str, type[PurePath]]] = {
    kind.__name__: kind for kind in (PosixPath, PurePosixPath, WindowsPath, PureWindowsPath)
}
_SINGLETONS: Final[dict[bytes, object]] = {
    b"Ellipsis": Ellipsis,
    b"NotImplemented": NotImplemented,
}


def _named(kind: str, text: str) -> bytes:
    return f"{kind} {text}".encode("utf-8", "surrogatepass")


def _parted(data: bytes) -> tuple[str, str]:
    kind, _, text = data.decode("utf-8", "surrogatepass").partition(" ")
    return kind, text


def _encode_path(value: PurePath) -> Ext:
    kind, text = type(value), str(value)
    if isinstance(value, PureWindowsPath) and PureWindowsPath(text) != PureWindowsPath(value):
        what = f"{instance_of(kind)} whose text is another path"
        raise Refusal(what, "Store its parts.")
    return Ext(Tag.PATH, _named(kind.__name__, text))


def _decode_path(data: bytes) -> PurePath:
    kind, text = _parted(data)
    try:
        return _PATHS[kind](text)
    except NotImplementedError as error:
        message = (
            f"The stored value holds a {kind}, which only exists on the system that wrote it. "
            "Store PurePath(path), or its text."
        )
        raise CacheSerializationError(message) from error


def _encode_zone(value: ZoneInfo) -> Ext:
    key: object = value.key
    if not isinstance(key, str):  # from_file makes such
        what = f"{instance_of(ZoneInfo)} without a key"
        raise Refusal(what, "Use zoneinfo.ZoneInfo(name), which can be restored exactly.")
    return Ext(Tag.ZONE, key.encode())


def _bytes_of(value: memoryview) -> bytes:
    if value.ndim == 1 and value.format in {"B", "b", "c"}:
        return value.tobytes()
    what = f"a memoryview of format {value.format!r} in {value.ndim} dimensions"
    raise Refusal(what, "Only plain bytes are stored: use value.tobytes(), or an array.array.")


def _encode_address(value: Any) -> Ext:
    return Ext(Tag.ADDRESS, _named(type(value).__name__, str(value)))


def _decode_address(data: bytes) -> object:
    import ipaddress  # noqa: PLC0415 - rarely needed

    kind, text = _parted(data)
    if kind not in _ADDRESSES:
        message = "no type of address"
        raise ValueError(message)
    made: object = getattr(ipaddress, kind)(text)
    return made


def _encode_array(value: Any) -> Ext:
    if sys.byteorder == "big":
        value = value[:]
        value.byteswap()
    return Ext(Tag.ARRAY, f"{value.typecode}{value.itemsize} ".encode() + value.tobytes())


def _decode_array(data: bytes) -> object:
    import array  # noqa: PLC0415 - rarely needed

    head, _, items = data.partition(b" ")
    make: Any = array.array
    made = make(head[:1].decode())
    if str(made.itemsize) != head[1:].decode():
        message = f"items of {made.itemsize} bytes here"
        raise ValueError(message)
    made.frombytes(items)
    if sys.byteorder == "big":
        made.byteswap()
    if made.typecode in "uw":
        made.tounicode()  # raises for what is no character
    restored: object = made
    return restored


SCALARS: Final[dict[type, Callable[[Any], object]]] = {
    **dict.fromkeys(_PATHS.values(), _encode_path),
    EllipsisType: lambda value: Ext(Tag.SINGLETON, repr(value).encode()),
    NotImplementedType: lambda value: Ext(Tag.SINGLETON, repr(value).encode()),
    ZoneInfo: _encode_zone,
    memoryview: _bytes_of,
}
"""How they are written, by exact type; a `memoryview` comes back as bytes."""

SCALAR_DECODERS: Final[dict[int, Callable[[bytes], object]]] = {
    Tag.PATH: _decode_path,
    Tag.SINGLETON: _SINGLETONS.__getitem__,
    Tag.ZONE: lambda data: ZoneInfo(data.decode()),
    Tag.ADDRESS: _decode_address,
    Tag.ARRAY: _decode_array,
}
"""How they are read, by tag; each raises whatever it likes on damaged bytes."""

_LATE: Final[dict[str, tuple[frozenset[str], Callable[[Any], object]]]] = {
    "ipaddress": (frozenset(_ADDRESSES), _encode_address),
    "array": (frozenset(("array",)), _encode_array),
}


def late_scalar(kind: type) -> Callable[[Any], object] | None:
    """How a type of a module that is not imported here is written, if it is one that we know."""
    library = kind.__module__
    if library == "numpy" and library in sys.modules:
        from jinpy_cache_core.serializers.families import numpy  # noqa: PLC0415 - it is imported

        encode: Callable[[Any], object] | None = numpy.encoder_for(kind)
        return encode
    names, known = _LATE.get(library, (frozenset[str](), None))
    if (
        kind.__name__ not in names
        or getattr(sys.modules.get(library), kind.__name__, None) is not kind
    ):
        return None
    return known


def decode_ndarray(data: "bytes | memoryview") -> object:
    """A numpy array or scalar, which needs numpy to be imported by the program."""
    if "numpy" not in sys.modules:
        message = (
            "The stored value holds a numpy array, and numpy is not imported in this process: "
            "import numpy where the cache is read."
        )
        raise CacheSerializationError(message)
    from jinpy_cache_core.serializers.families import numpy  # noqa: PLC0415 - it is imported

    array: object = numpy.decode(data)
    return array


SCALAR_DECODERS[Tag.NDARRAY] = decode_ndarray
