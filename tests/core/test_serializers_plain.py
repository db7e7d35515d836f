"""`"json"`, `"str"`, `"bytes"`, `"pickle"` and serializers of users' own."""

import contextlib
import datetime as dt
import json
import math
import pickle
import sys
from collections import OrderedDict
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jinpy_cache_core import CacheSerializationError
from jinpy_cache_core.serializers import (
    BytesSerializer,
    JsonSerializer,
    PickleSerializer,
    Serializer,
    StrSerializer,
)
from jinpy_cache_core.serializers.custom import GuardedSerializer
from jinpy_cache_testing.samples import deep_list, looped_list, same

JSON = JsonSerializer()
STR = StrSerializer()
BYTES = BytesSerializer()
PICKLE = PickleSerializer()

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | TEXT,
        lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
        max_leaves=10,
    )
)
def test_json_comes_back_exactly(value: object) -> None:
    """What JSON carries comes back equal, type included, and any JSON reader reads the same."""
    payload = JSON.dumps(value)
    assert same(value, JSON.loads(payload))
    assert same(value, json.loads(payload))


def test_json_is_compact_utf8() -> None:
    """No spaces, no escapes beyond what JSON demands."""
    assert '{"é":[1,2.5,null,"漢"]}'.encode() == JSON.dumps({"é": [1, 2.5, None, "漢"]})


class Word(str):
    """A `str` by inheritance."""

    __slots__ = ()


class Pair(NamedTuple):
    """A tuple by inheritance."""

    left: int


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ((1,), "a tuple"),
        ({"a": [1, 2, {3}]}, r"a set at \$\.a\[2\]"),
        ({"a b": {"c": b"x"}}, r"a bytes at \$\['a b'\]\.c"),
        ({1: "x"}, r"an int as a key at \$\[1\]"),
        ({"a": {(1,): 2}}, r"a tuple as a key at \$\.a\[<tuple>\]"),
        ({Word("k"): 1}, "Word as a key"),
        ([Word("x")], r"Word at \$\[0\]"),
        ([Pair(1)], r"Pair at \$\[0\]"),
        (OrderedDict(a=1), "OrderedDict"),
        ([True, [math.nan]], r"the float nan at \$\[1\]\[0\]"),
        (math.inf, "the float inf"),
        (-math.inf, "the float -inf"),
        (Decimal(1), "Decimal"),
        (dt.date(2024, 1, 1), "date"),
        ("\ud800", "lone surrogate"),
        ({"\ud800": 1}, "lone surrogate"),
        ([10**4300], r"4,300 digits at \$\[0\]"),
        (lambda: None, "a function"),
    ],
    ids=lambda value: None if isinstance(value, str) else type(value).__name__,
)
def test_json_refuses_what_it_would_change(value: object, complaint: str) -> None:
    """The error names the type, the place inside the value, and the serializer that carries it."""
    with pytest.raises(CacheSerializationError, match=complaint) as caught:
        JSON.dumps(value)
    assert "serializer='msgpack'" in str(caught.value)


@pytest.mark.parametrize("make", [looped_list, deep_list])
@pytest.mark.parametrize("serializer", [JSON, STR, BYTES], ids=repr)
def test_depth_is_refused(serializer: Serializer, make: Any) -> None:
    """Circular and very deep values end in the documented error."""
    with pytest.raises(CacheSerializationError):
        serializer.dumps(make())


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{",
        b"[1,]",
        b"NaN",
        b"[Infinity]",
        b"-Infinity",
        b"\xff",
        b"1 2",
        b"\x80\x04K\x01.",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"1" * 5000,
        '"\ud800"'.encode("utf-8", "surrogatepass"),
        b"\xff\xfe1\x00",
    ],
    ids=lambda payload: repr(payload[:12]),
)
def test_json_refuses_other_bytes(payload: bytes) -> None:
    """What is not one strict JSON text is the documented error, whatever it would take to read."""
    with pytest.raises(CacheSerializationError, match="cannot be read by the serializer 'json'"):
        JSON.loads(payload)


@pytest.fixture
def short_digits() -> Iterator[None]:
    """An interpreter that converts no more than 640 digits."""
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(640)
    yield
    sys.set_int_max_str_digits(before)


@pytest.mark.usefixtures("short_digits")
def test_json_follows_the_interpreter_on_digits() -> None:
    """Where the interpreter converts fewer digits, the error is still the documented one."""
    with pytest.raises(CacheSerializationError):
        JSON.dumps([10**1000])
    with pytest.raises(CacheSerializationError):
        JSON.loads(b"[" + b"1" * 1000 + b"]")


@given(TEXT)
def test_text_is_stored_as_utf8(text: str) -> None:
    """Any text comes back, and is stored as nothing but its UTF-8."""
    assert text.encode() == STR.dumps(text)
    assert text == STR.loads(STR.dumps(text))


@given(st.binary())
def test_bytes_are_stored_as_they_are(payload: bytes) -> None:
    """Any bytes come back, and are stored as they are."""
    assert payload == BYTES.dumps(payload)
    assert payload == BYTES.loads(payload)


@pytest.mark.parametrize(
    ("serializer", "value", "complaint"),
    [
        (STR, b"x", "a bytes.*exactly str"),
        (STR, 1.5, "a float.*exactly str"),
        (STR, None, "a NoneType"),
        (STR, Word("x"), "Word"),
        (STR, "a\ud800", "lone surrogate.*index 1"),
        (BYTES, "x", "a str.*exactly bytes"),
        (BYTES, bytearray(b"x"), "a bytearray"),
        (BYTES, memoryview(b"x"), "a memoryview"),
        (BYTES, None, "a NoneType"),
    ],
)
def test_only_the_exact_type_is_taken(serializer: Serializer, value: Any, complaint: str) -> None:
    """Anything that would come back as another type is refused by name."""
    with pytest.raises(CacheSerializationError, match=complaint):
        serializer.dumps(value)


def test_text_refuses_other_bytes() -> None:
    """Bytes that are not UTF-8 were not written by it."""
    with pytest.raises(CacheSerializationError, match="not UTF-8 at byte 1"):
        STR.loads(b"a\xff")


class Breaking:
    """Its pickling runs into an error of its own."""

    def __reduce__(self) -> Any:
        message = "not today"
        raise ValueError(message)


@pytest.mark.parametrize(
    "value", [{"a": (1, {2})}, OrderedDict(a=1), Word("x"), Pair(1), [Decimal(1)]]
)
def test_pickle_carries_subclasses(value: object) -> None:
    """Whatever pickles comes back as its own type."""
    assert same(value, PICKLE.loads(PICKLE.dumps(value)))


@pytest.mark.parametrize("make", [lambda: lambda: None, Breaking, deep_list])
def test_pickle_refuses_what_does_not_pickle(make: Any) -> None:
    """Whatever pickling raises, the error is the documented one."""
    with pytest.raises(CacheSerializationError, match="cannot store this"):
        PICKLE.dumps(make())


@pytest.mark.parametrize(
    "payload", [b"", b"x", b"\x80\x05", b"{}", b"cno.such.module\nX\n.", pickle.dumps([1])[:-1]]
)
def test_pickle_refuses_other_bytes(payload: bytes) -> None:
    """Whatever unpickling raises, the error is the documented one."""
    with pytest.raises(CacheSerializationError, match="cannot be read by the serializer 'pickle'"):
        PICKLE.loads(payload)


class Scripted:
    """Returns or raises what it is told to."""

    def __init__(self, outcome: Any) -> None:
        self.outcome = outcome

    def dumps(self, _value: object, /) -> bytes:
        return self._act()

    def loads(self, _payload: bytes, /) -> object:
        return self._act()

    def _act(self) -> Any:
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome


@pytest.mark.parametrize("error", [ValueError("bad"), RecursionError(), OSError(5, "I/O")])
def test_errors_of_a_users_serializer_are_mapped(error: Exception) -> None:
    """Whatever it raises is the cause of the documented error, which names the serializer."""
    serializer = GuardedSerializer(Scripted(error))
    for call in (lambda: serializer.dumps([1]), lambda: serializer.loads(b"x")):
        with pytest.raises(CacheSerializationError, match="'Scripted'") as caught:
            call()
        assert caught.value.__cause__ is error


class Typed(Scripted):
    """Reads by type, too."""

    def loads_as(self, _payload: bytes, _kind: Any, /) -> object:
        return self._act()


def test_a_typed_read_is_passed_on_and_mapped() -> None:
    """`loads_as` exists where the user's serializer has it, with the same kind of error."""
    assert GuardedSerializer(Scripted(1)).loads_as is None
    reading, failing = GuardedSerializer(Typed(5)), GuardedSerializer(Typed(ValueError("bad")))
    assert reading.loads_as is not None
    assert failing.loads_as is not None
    assert 5 == reading.loads_as(b"x", int)
    with pytest.raises(CacheSerializationError, match="'Typed': ValueError: bad"):
        failing.loads_as(b"x", int)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(), MemoryError()])
def test_what_ends_the_program_passes_through(error: BaseException) -> None:
    """Interrupts and exhausted memory are not turned into anything else."""
    serializer = GuardedSerializer(Scripted(error))
    for call in (lambda: serializer.dumps([1]), lambda: serializer.loads(b"x")):
        with pytest.raises(type(error)):
            call()


def test_its_own_refusals_stay_as_they_are() -> None:
    """A user's serializer may raise our error with its own words."""
    error = CacheSerializationError("No.")
    with pytest.raises(CacheSerializationError, match="No") as caught:
        GuardedSerializer(Scripted(error)).dumps(1)
    assert caught.value is error


@pytest.mark.parametrize("outcome", ["text", None, bytearray(b"x"), 5])
def test_anything_but_bytes_is_refused(outcome: object) -> None:
    """A serializer that returns no bytes stores nothing."""
    with pytest.raises(CacheSerializationError, match=rf"returned {type(outcome).__name__}"):
        GuardedSerializer(Scripted(outcome)).dumps(1)


@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(payload: bytes) -> None:
    """Whatever a store holds, reading ends in a value or in the documented error."""
    for serializer in (JSON, STR, BYTES):
        with contextlib.suppress(CacheSerializationError):
            serializer.loads(payload)


@pytest.mark.parametrize("serializer", [JSON, STR, BYTES, PICKLE], ids=repr)
def test_a_serializer_says_what_it_is(serializer: Any) -> None:
    """Each has the word of the configuration, and shows it."""
    assert serializer.name.lower() in repr(serializer).lower()
    assert isinstance(serializer, Serializer)
