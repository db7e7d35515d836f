"""From the word in a configuration to a serializer."""

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from jinpy_cache_core import CacheConfigurationError
from jinpy_cache_core.serializers import (
    JsonSerializer,
    MsgpackSerializer,
    NativeSerializer,
    PickleSerializer,
    ReferenceSerializer,
    Serializer,
    resolve_freezer,
    resolve_serializer,
)
from jinpy_cache_core.serializers.custom import GuardedSerializer


class Reversing:
    """Writes text backwards."""

    name = "reversing"

    def dumps(self, value: str, /) -> bytes:
        return value[::-1].encode()

    def loads(self, payload: bytes, /) -> str:
        return payload.decode()[::-1]


def publish(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """Put a distribution with one serializer on the path."""
    info = folder / "third_party-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: third-party\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[jinpy_cache.serializers]\n{name} = {value}\n")
    monkeypatch.syspath_prepend(str(folder))


@pytest.mark.parametrize("name", ["msgpack", "json", "pickle", "str", "bytes"])
def test_a_built_in_is_found_by_name(name: str) -> None:
    """The names of the documentation give serializers of these names."""
    serializer: Any = resolve_serializer(name)
    assert name == serializer.name
    assert isinstance(serializer, Serializer)


@pytest.mark.parametrize("spec", ["native", None, NativeSerializer(), ReferenceSerializer()])
def test_references_are_for_one_process(spec: Any) -> None:
    """`"native"` and `None` work inside one process, and are refused on a shared store."""
    assert isinstance(
        resolve_serializer(spec, shared_store=False), (NativeSerializer, ReferenceSerializer)
    )
    with pytest.raises(CacheConfigurationError, match="inside one process"):
        resolve_serializer(spec)


@pytest.mark.parametrize(
    ("name", "suggestion"), [("msgpck", "'msgpack'"), ("JSON", "'json'"), ("picle", "'pickle'")]
)
def test_a_misspelt_name_is_corrected(name: str, suggestion: str) -> None:
    """The error suggests the nearest name and lists them all."""
    with pytest.raises(CacheConfigurationError, match=f"Did you mean {suggestion}") as caught:
        resolve_serializer(name)
    assert "'bytes'" in str(caught.value)


def test_an_unknown_name_is_an_error() -> None:
    """A name that resembles nothing lists what there is."""
    with pytest.raises(CacheConfigurationError, match="no serializer named 'xyz'"):
        resolve_serializer("xyz")


def test_a_published_name_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another distribution's entry point is loaded when its name is asked for."""
    (tmp_path / "third_party_serializer.py").write_text(
        "class Upper:\n"
        "    def dumps(self, value, /): return value.upper().encode()\n"
        "    def loads(self, payload, /): return payload.decode()\n"
    )
    publish(tmp_path, monkeypatch, "upper", "third_party_serializer:Upper")
    assert b"ABC" == resolve_serializer("upper").dumps("abc")
    with pytest.raises(CacheConfigurationError, match="Did you mean 'upper'"):
        resolve_serializer("uper")


@pytest.mark.parametrize("value", ["no_such_module_anywhere:X", "json:no_such_name"])
def test_a_published_name_that_fails_to_load_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    """A broken distribution is named, with the reason as the cause."""
    publish(tmp_path, monkeypatch, "broken", value)
    with pytest.raises(CacheConfigurationError, match=r"'broken'.*cannot be loaded") as caught:
        resolve_serializer("broken")
    assert isinstance(caught.value.__cause__, (ImportError, AttributeError))


def test_any_object_with_both_methods_is_a_serializer() -> None:
    """An object is wrapped so that its errors are ours; a module such as `json` is one too."""
    serializer = resolve_serializer(Reversing())
    assert isinstance(serializer, GuardedSerializer)
    assert ("reversing", b"cba") == (serializer.name, serializer.dumps("abc"))
    assert "abc" == serializer.loads(b"cba")
    assert "reversing" in repr(serializer)
    assert [1] == resolve_serializer(json).loads(b"[1]")  # type: ignore[arg-type]


@pytest.mark.parametrize("serializer", [MsgpackSerializer(), JsonSerializer()], ids=repr)
def test_our_own_objects_are_taken_as_they_are(serializer: Any) -> None:
    """Passing an instance of a built-in is the same as naming it."""
    assert resolve_serializer(serializer) is serializer


def test_the_pickle_module_is_the_pickle_serializer() -> None:
    """The module has both methods too, and must not slip past the guard."""
    assert isinstance(resolve_serializer(pickle), PickleSerializer)  # type: ignore[arg-type]


@pytest.mark.parametrize("spec", [5, object(), Reversing, ["json"]])
def test_anything_else_is_refused(spec: Any) -> None:
    """What has not both methods, or is a class of such, is an error that says what is needed."""
    with pytest.raises(CacheConfigurationError, match="dumps and loads"):
        resolve_serializer(spec)


@pytest.mark.parametrize("spec", ["native", None])
def test_references_freeze_themselves(spec: Any) -> None:
    """An in-process store gets the built-ins that keep objects."""
    assert isinstance(resolve_freezer(spec), (NativeSerializer, ReferenceSerializer))
