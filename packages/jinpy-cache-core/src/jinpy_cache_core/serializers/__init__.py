"""How values become bytes and come back equal, type included."""

from jinpy_cache_core.serializers.exact import BytesSerializer, StrSerializer
from jinpy_cache_core.serializers.json import JsonSerializer
from jinpy_cache_core.serializers.msgpack import MsgpackSerializer
from jinpy_cache_core.serializers.native import (
    IMMUTABLE,
    Freezer,
    NativeSerializer,
    ReferenceSerializer,
    SerializedFreezer,
)
from jinpy_cache_core.serializers.pickle import PickleSerializer
from jinpy_cache_core.serializers.protocol import Serializer, SerializerSpec, serializer_name
from jinpy_cache_core.serializers.registry import TypeRegistry, register_family, register_type
from jinpy_cache_core.serializers.resolve import resolve_freezer, resolve_serializer
from jinpy_cache_core.serializers.structuring import structure_as

__all__ = [
    "IMMUTABLE",
    "BytesSerializer",
    "Freezer",
    "JsonSerializer",
    "MsgpackSerializer",
    "NativeSerializer",
    "PickleSerializer",
    "ReferenceSerializer",
    "SerializedFreezer",
    "Serializer",
    "SerializerSpec",
    "StrSerializer",
    "TypeRegistry",
    "register_family",
    "register_type",
    "resolve_freezer",
    "resolve_serializer",
    "serializer_name",
    "structure_as",
]
