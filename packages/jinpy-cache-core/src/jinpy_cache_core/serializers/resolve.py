"""From the word in a configuration to a serializer."""

import difflib
import pickle
from collections.abc import Callable
from typing import Any, Final, Never, cast

from jinpy_cache_core.exceptions import CacheConfigurationError
from jinpy_cache_core.serializers.custom import GuardedSerializer
from jinpy_cache_core.serializers.exact import BytesSerializer, StrSerializer
from jinpy_cache_core.serializers.json import JsonSerializer
from jinpy_cache_core.serializers.msgpack import MsgpackSerializer
from jinpy_cache_core.serializers.native import (
    Freezer,
    NativeSerializer,
    ReferenceSerializer,
    SerializedFreezer,
)
from jinpy_cache_core.serializers.pickle import PickleSerializer
from jinpy_cache_core.serializers.protocol import Serializer, SerializerSpec

ENTRY_POINT_GROUP: Final = "jinpy_cache.serializers"
"""Where other distributions publish theirs: a name, and a serializer or a class of one."""

_BUILT_IN: Final[dict[str, Callable[[], Serializer]]] = {
    "msgpack": MsgpackSerializer,
    "json": JsonSerializer,
    "pickle": PickleSerializer,
    "str": StrSerializer,
    "bytes": BytesSerializer,
}
_IN_PROCESS: Final[dict[str, Callable[[], Serializer]]] = {"native": NativeSerializer}
_TRUSTED: Final = (
    MsgpackSerializer,
    JsonSerializer,
    PickleSerializer,
    StrSerializer,
    BytesSerializer,
    NativeSerializer,
    ReferenceSerializer,
    GuardedSerializer,
)


def resolve_serializer(spec: SerializerSpec, *, shared_store: bool = True) -> Serializer:
    """The serializer that a configuration asks for.

    Args:
        spec: A built-in's name, a name that another distribution publishes in the entry-point group
            `jinpy_cache.serializers`, an object with `dumps` and `loads`, or `None`.
        shared_store: Whether others could write to the store; `"native"` and `None` are for stores
            inside one process only.

    Raises:
        CacheConfigurationError: There is no such serializer, or not for this kind of store.
    """
    if isinstance(spec, str):
        return _named(spec, shared_store=shared_store)
    if spec is None:
        if shared_store:
            _in_process_only("None")
        return ReferenceSerializer()
    if cast("object", spec) is pickle:
        return PickleSerializer()
    if isinstance(spec, (NativeSerializer, ReferenceSerializer)) and shared_store:
        _in_process_only(spec.name)
    if type(spec) in _TRUSTED:
        return spec
    return _guarded(spec, f"serializer={spec!r:.80}")


def resolve_freezer(spec: SerializerSpec) -> Freezer:
    """What an in-process store keeps values with: the same words as `resolve_serializer`.

    Raises:
        CacheConfigurationError: There is no such serializer.
    """
    serializer = resolve_serializer(spec, shared_store=False)
    if isinstance(serializer, (NativeSerializer, ReferenceSerializer)):
        return serializer
    return SerializedFreezer(serializer)


def _named(name: str, *, shared_store: bool) -> Serializer:
    make = _BUILT_IN.get(name)
    if make is not None:
        return make()
    if name in _IN_PROCESS:
        if shared_store:
            _in_process_only(repr(name))
        return _IN_PROCESS[name]()
    from importlib.metadata import entry_points  # noqa: PLC0415 - slow, and rarely needed

    published = entry_points(group=ENTRY_POINT_GROUP)
    for entry_point in published:
        if entry_point.name == name:
            return _published(name, entry_point.load)
    names = [*_BUILT_IN, *_IN_PROCESS, *sorted({entry_point.name for entry_point in published})]
    close = difflib.get_close_matches(name.lower(), names, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    message = (
        f"There is no serializer named {name!r}.{hint} Choose one of "
        f"{', '.join(map(repr, names))}, or pass an object with dumps and loads."
    )
    raise CacheConfigurationError(message)


def _published(name: str, load: Callable[[], Any]) -> Serializer:
    try:
        found = load()
        serializer = found() if isinstance(found, type) else found
    except Exception as error:
        message = (
            f"The serializer {name!r} is published by an installed distribution but cannot be "
            f"loaded: {type(error).__name__}: {error}"
        )
        raise CacheConfigurationError(message) from error
    return _guarded(serializer, f"The serializer {name!r}")


def _guarded(candidate: object, shown: str) -> Serializer:
    if isinstance(candidate, type) or not isinstance(candidate, Serializer):
        message = f"{shown} is no serializer: it needs to be an object with dumps and loads."
        raise CacheConfigurationError(message)
    return GuardedSerializer(candidate)


def _in_process_only(name: str) -> Never:
    message = (
        f"The serializer {name} is for stores inside one process (memory). Choose 'msgpack', "
        "'json', 'str', 'bytes', or 'pickle' with a secret."
    )
    raise CacheConfigurationError(message)
