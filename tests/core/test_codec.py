"""The codec: integers as text, everything else through the serializer, envelopes and signatures."""

import contextlib
import pickle
import struct
import sys
from collections.abc import Iterator
from typing import Any

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jinpy_cache_core import (
    MISSING,
    CacheConfigurationError,
    CacheSerializationError,
    CacheValueError,
    Secret,
)
from jinpy_cache_core.codec.codec import Codec, parse_integer
from jinpy_cache_core.entries import decisions
from jinpy_cache_core.entries.envelope import Compression, Envelope, NewerEnvelopeError
from jinpy_cache_core.entries.integers import integer_text
from jinpy_cache_core.entries.records import Record
from jinpy_cache_core.serializers import MsgpackSerializer
from jinpy_cache_testing.samples import same

SECRET = "canary-secret-hunter2"


@attrs.frozen
class User:
    """An attrs class."""

    name: str


class Identity:
    """A user's serializer that stores any bytes as they are."""

    def dumps(self, value: bytes, /) -> bytes:
        return value

    def loads(self, payload: bytes, /) -> bytes:
        return payload


class Floats:
    """A user's serializer whose payloads may begin with anything."""

    def dumps(self, value: float, /) -> bytes:
        return struct.pack(">d", value)

    def loads(self, payload: bytes, /) -> float:
        number: float = struct.unpack(">d", payload)[0]
        return number


def codec(serializer: Any = "msgpack", **settings: Any) -> Codec:
    """A codec as a backend's configuration makes it."""
    return Codec.from_settings(serializer, **settings)


def signing(serializer: Any = "pickle", *secrets: str, **settings: Any) -> Codec:
    """A codec that signs."""
    return codec(serializer, secret=[Secret(s) for s in secrets or (SECRET,)], **settings)


CODECS = {
    "msgpack": codec(),
    "json": codec("json"),
    "pickle": codec("pickle", allow_unsigned_pickle=True),
    "signed pickle": signing(),
    "signed msgpack": signing("msgpack"),
    "str": codec("str"),
    "bytes": codec("bytes"),
    "custom": codec(Identity()),
    "native": codec("native", shared_store=False),
}
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner)
    ),
    max_leaves=5,
)


@pytest.mark.parametrize("name", ["msgpack", "json", "pickle", "signed pickle", "signed msgpack"])
@given(value=PLAIN)
def test_a_value_comes_back_exactly(name: str, value: object) -> None:
    """What goes in comes out equal, type included, with every structured serializer."""
    assert same(value, CODECS[name].decode("k", CODECS[name].encode("k", value)))


@pytest.mark.parametrize("name", CODECS)
@given(number=st.integers() | st.sampled_from([0, -1, 2**63, -(2**64), 10**4300 - 1, 1 - 10**4300]))
def test_an_int_is_decimal_text(name: str, number: int) -> None:
    """Exactly an int is its decimal text with every serializer, so that stores can count."""
    payload = CODECS[name].encode("k", number)
    assert number == CODECS[name].decode("k", payload)
    if name.startswith("signed"):
        payload = Envelope.unpack(payload).payload
    assert number == parse_integer(payload)
    if abs(number) < 10**600:
        assert str(number).encode() == payload


@pytest.mark.parametrize("value", [True, False, 1.0, 0.0, -0.0, 12.0, "12", "-7", "0", b"12", [12]])
def test_only_an_int_is_an_int(value: object) -> None:
    """Whatever looks like an integer without being one comes back as what it is."""
    assert same(value, CODECS["msgpack"].decode("k", CODECS["msgpack"].encode("k", value)))
    if type(value) is not bytes:
        assert same(value, CODECS["json"].decode("k", CODECS["json"].encode("k", value)))


MISTAKABLE = [
    b"",
    b"0",
    b"12",
    b"-7",
    b"-0",
    b"007",
    b" 1",
    b"1\n",
    b"\xc1",
    b"\xc1\x01\x00\x00",
    b"x",
]


@pytest.mark.parametrize("payload", MISTAKABLE)
@pytest.mark.parametrize("name", ["bytes", "custom"])
def test_bytes_are_never_mistaken(name: str, payload: bytes) -> None:
    """Bytes that look like an integer or an envelope are put into one, and come back as bytes."""
    stored = CODECS[name].encode("k", payload)
    assert same(payload, CODECS[name].decode("k", stored))
    wrapped = payload in (b"0", b"12", b"-7") or payload.startswith(b"\xc1")
    assert (Envelope(payload=payload).pack() if wrapped else payload) == stored
    assert parse_integer(stored) is None


@given(
    st.binary()
    | st.integers().map(lambda number: b"%d" % number)
    | st.binary().map(b"\xc1".__add__)
)
def test_any_bytes_come_back(payload: bytes) -> None:
    """No bytes collide with the codec's own forms."""
    for name in ("bytes", "custom"):
        assert payload == CODECS[name].decode("k", CODECS[name].encode("k", payload))


class Impostor(Identity):
    """A user's serializer that goes by the name of a built-in."""

    name = "json"


@pytest.mark.parametrize("payload", MISTAKABLE)
def test_a_name_grants_nothing(payload: bytes) -> None:
    """Only the built-ins themselves are trusted never to write an integer or an envelope."""
    impostor = codec(Impostor())
    assert same(payload, impostor.decode("k", impostor.encode("k", payload)))


class Shouting(MsgpackSerializer):
    """A built-in that a user refined."""

    def dumps(self, value: object, /) -> bytes:
        return super().dumps(f"{value}!")


def test_a_refined_built_in_is_used_as_it_is() -> None:
    """The fast path is for the built-in itself; what a subclass overrides is called."""
    refined = codec(Shouting())
    assert "x!" == refined.decode("k", refined.encode("k", "x"))
    assert "x!" == refined.decode_as("k", refined.encode("k", "x"), str)


@given(st.text(st.characters(exclude_categories=["Cs"])) | st.integers().map(str))
def test_any_text_comes_back(text: str) -> None:
    """Digits as text stay text."""
    assert same(text, CODECS["str"].decode("k", CODECS["str"].encode("k", text)))


@given(st.floats(allow_nan=False))
def test_a_custom_serializer_may_write_anything(value: float) -> None:
    """Binary payloads of a user's serializer are told apart from integers and envelopes."""
    floats = codec(Floats())
    assert same(value, floats.decode("k", floats.encode("k", value)))


@pytest.mark.parametrize(
    ("payload", "number"),
    [
        (b"0", 0),
        (b"7", 7),
        (b"-7", -7),
        (b"9223372036854775808", 2**63),
        (b"1" * 4300, int("1" * 4300)),
        (b"-" + b"9" * 4300, 1 - 10**4300),
        (b"1" + b"0" * 600, 10**600),
        (b"1" + b"0" * 4299, 10**4299),
        (b"-0", None),
        (b"00", None),
        (b"01", None),
        (b"-01", None),
        (b"+1", None),
        (b"", None),
        (b"-", None),
        (b"--1", None),
        (b"1 ", None),
        (b" 1", None),
        (b"1\n", None),
        (b"1_0", None),
        (b"1.0", None),
        (b"1e5", None),
        ("\u0661".encode(), None),
        (b"1" * 4301, None),
        (b"\xa15", None),
        (Envelope(payload=b"1").pack(), None),
        (Envelope(payload=b"1", integer=True).pack(), None),
    ],
    ids=lambda part: repr(part)[:30] if isinstance(part, bytes) else "",
)
def test_only_canonical_text_is_an_integer(payload: bytes, number: int | None) -> None:
    """`-?(0|[1-9][0-9]*)`, no `-0`, at most 4,300 digits; an envelope is no integer."""
    assert number == parse_integer(payload)


@pytest.fixture(params=[640, 4300, 0])
def digits(request: pytest.FixtureRequest) -> Iterator[int]:
    """The interpreter's limit for converting text; 0 for none."""
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(request.param)
    yield request.param
    sys.set_int_max_str_digits(before)


@pytest.mark.usefixtures("digits")
@pytest.mark.parametrize("number", [10**639, 10**640, 10**2000 + 7, 10**4300 - 1])
def test_the_interpreters_limit_does_not_matter(number: int) -> None:
    """4,300 digits are stored and read whatever the interpreter is set to, and no more."""
    for signed in (number, -number):
        assert signed == parse_integer(integer_text(signed))
    for refused in (10**4300, -(10**4300), 10**5000):
        with pytest.raises(CacheSerializationError, match="4,300 digits"):
            CODECS["msgpack"].encode("k", refused)


@pytest.mark.parametrize("name", ["msgpack", "json", "str", "bytes", "custom", "signed msgpack"])
def test_a_payload_over_the_limit_is_refused(name: str) -> None:
    """The error names both sizes; a payload of exactly the limit is stored."""
    serializer: Any = CODECS[name].serializer
    value: Any = "x" * 300 if name not in ("bytes", "custom") else b"x" * 300
    size = len(CODECS[name].encode("k", value))
    settings = {"secret": Secret(SECRET)} if name.startswith("signed") else {}
    assert codec(serializer, max_value_bytes=size, **settings).encode("k", value)
    with pytest.raises(CacheValueError, match=f"{size:,} bytes; max_value_bytes={size - 1:,}"):
        codec(serializer, max_value_bytes=size - 1, **settings).encode("k", value)


@pytest.mark.parametrize("value", [12345, "abcd", [1, 2, 3, 4], {"a": 10**30}, b"abcd", None])
def test_a_small_limit_holds_for_small_values(value: object) -> None:
    """The limit holds on every path: integers, short text, extensions."""
    size = len(CODECS["msgpack"].encode("k", value))
    assert codec(max_value_bytes=size).encode("k", value)
    if size > 1:
        with pytest.raises(CacheValueError, match="Nothing was stored"):
            codec(max_value_bytes=size - 1).encode("k", value)


def test_pickle_on_a_shared_store_needs_a_secret() -> None:
    """Without a secret or the explicit opt-out, the configuration is refused."""
    for spec in ("pickle", pickle):
        with pytest.raises(CacheConfigurationError, match=r"secret=.*allow_unsigned_pickle=True"):
            codec(spec)
        assert codec(spec, allow_unsigned_pickle=True)
        assert codec(spec, shared_store=False)
        assert codec(spec, secret=Secret(SECRET))


class Unsafe(Identity):
    """A user's serializer that says of itself that reading can run code."""

    needs_signature = True


def test_a_custom_serializer_can_demand_a_secret() -> None:
    """The guard holds for any serializer that declares the need."""
    with pytest.raises(CacheConfigurationError, match="'Unsafe'"):
        codec(Unsafe())
    assert codec(Unsafe(), secret=Secret(SECRET))


class Bomb:
    """Unpickling it leaves a trace."""

    exploded = False

    def __reduce__(self) -> Any:
        return (setattr, (Bomb, "exploded", True))


@pytest.mark.parametrize(
    "forge",
    [
        lambda payload: payload,
        lambda payload: Envelope(payload=payload).pack(),
        lambda payload: Envelope(payload=payload, signature=bytes(32)).pack(),
        lambda payload: signing("pickle", "another secret").encode("k", Bomb()),
        lambda payload: signing(namespace="other").encode("k", Bomb()),
        lambda payload: signing().encode("other", Bomb()),
        lambda payload: signing().encode("k", Bomb()) + b"x",
        lambda payload: Envelope(payload=payload, tags=("x",)).pack(),
    ],
)
def test_nothing_unsigned_is_unpickled(forge: Any) -> None:
    """Unsigned, forged and moved entries are refused before any of their code runs."""
    with pytest.raises(CacheSerializationError, match="refused before decoding"):
        signing().decode("k", forge(pickle.dumps(Bomb())))
    with pytest.raises(CacheSerializationError, match="refused before decoding"):
        signing().decode_as("k", forge(pickle.dumps(Bomb())), dict)
    assert not Bomb.exploded


def test_signed_entries_cannot_change_places() -> None:
    """An entry moved to another key or namespace is refused, with any serializer."""
    here = signing("msgpack", namespace="app")
    payload = here.encode("a", "x")
    assert "x" == here.decode("a", payload)
    for key, other in (
        ("b", here),
        ("a", signing("msgpack", namespace="app2")),
        ("a", signing("msgpack")),
    ):
        with pytest.raises(CacheSerializationError, match="for another key"):
            other.decode(key, payload)
    assert "x" == signing("msgpack").decode("app:a", payload)


@pytest.mark.parametrize(
    "writer",
    [
        signing("bytes"),
        signing("str"),
        signing("json"),
        signing("msgpack"),
        signing(store="redis"),
        signing(namespace="other"),
        signing("pickle", "another secret"),
    ],
)
def test_a_signature_is_for_one_reader(writer: Codec) -> None:
    """What was signed for another serializer, store, namespace or secret is not decoded."""
    signed = writer.encode("k", "text" if writer.serializer.name in {"str", "json"} else b"bytes")
    with pytest.raises(CacheSerializationError, match="refused before decoding"):
        signing("pickle", store="file").decode("k", signed)


class Versioned:
    """A serializer whose bytes mean something else since its second version."""

    name = "versioned"
    loads = staticmethod(bytes)
    dumps = staticmethod(bytes)

    def __init__(self, version: int) -> None:
        self.version = version


def test_a_signature_is_for_one_version_of_a_serializer() -> None:
    """What an older version wrote is not read as what a newer one would have written."""
    payload = signing(Versioned(1)).encode("k", b"value")
    assert b"value" == signing(Versioned(1)).decode("k", payload)
    with pytest.raises(CacheSerializationError, match="refused before decoding"):
        signing(Versioned(2)).decode("k", payload)


@pytest.mark.parametrize("forged", [b"0", b"42", Envelope(payload=b"42", integer=True).pack()])
def test_an_integer_needs_a_signature_too(forged: bytes) -> None:
    """Who cannot sign cannot put a number in the place of a value, nor count with one."""
    codec_that_signs = signing("msgpack")
    with pytest.raises(CacheSerializationError, match="refused before decoding"):
        codec_that_signs.decode("k", forged)
    with pytest.raises(CacheSerializationError, match="refused before decoding"):
        decisions.counting(1, 60, codec_that_signs.integer_form("k"))(Record(forged), 0.0)


def test_signed_integers_count() -> None:
    """A counter under a secret is signed at every step, for its own key alone."""
    form = signing("msgpack").integer_form("k")
    change, total = decisions.counting(5, 60, form)(None, 0.0)
    again, sum_ = decisions.counting(-7, 60, form)(change, 0.0)
    assert (5, -2) == (total, sum_)
    assert -2 == signing("msgpack").decode("k", again.payload)
    with pytest.raises(CacheSerializationError, match="refused before decoding"):
        signing("msgpack").decode("other", again.payload)


def test_secrets_rotate() -> None:
    """The first secret signs, every secret verifies, and a dropped one no longer does."""
    old, both, new = (
        signing("pickle", "old"),
        signing("pickle", "new", "old"),
        signing("pickle", "new"),
    )
    assert {1} == both.decode("k", old.encode("k", {1}))
    assert {1} == new.decode("k", both.encode("k", {1}))
    with pytest.raises(CacheSerializationError, match="known secret"):
        new.decode("k", old.encode("k", {1}))


def test_no_secret_is_shown() -> None:
    """Secrets are in no repr and in no error."""
    signed = signing()
    with pytest.raises(CacheSerializationError) as caught:
        signed.decode("k", b"\x80\x05N.")
    assert SECRET not in repr(signed) + str(caught.value) + repr(caught.value.to_dict())


@pytest.mark.parametrize("name", ["msgpack", "json", "str", "bytes", "custom"])
def test_an_envelope_is_opened(name: str) -> None:
    """What a feature wrote around a value is no part of the value."""
    value: Any = b"x" if name in ("bytes", "custom") else "x"
    inner = CODECS[name].serializer.dumps(value)
    envelope = Envelope(payload=inner, soft_expiry=1.0, tags=("a",), fill_cost=0.5)
    assert value == CODECS[name].decode("k", envelope.pack())
    assert value == CODECS[name].decode_as("k", envelope.pack(), type(value))


@pytest.mark.parametrize("name", ["msgpack", "json", "bytes"])
def test_an_integer_in_an_envelope_is_an_int(name: str) -> None:
    """The flag says that the payload is an integer's text and not the serializer's."""
    stored = Envelope(payload=b"12", tags=("a",), integer=True).pack()
    assert same(12, CODECS[name].decode("k", stored))
    assert same(12, CODECS[name].decode_as("k", stored, int))
    with pytest.raises(CacheSerializationError, match="announces an integer"):
        CODECS[name].decode("k", Envelope(payload=b"x", integer=True).pack())


@pytest.mark.parametrize("name", CODECS)
def test_a_lease_reads_as_a_miss(name: str) -> None:
    """An entry that only marks who is computing it has no value yet."""
    stored = Envelope(payload=b"", lease=bytes(16)).pack()
    assert CODECS[name].decode("k", stored) is MISSING
    assert CODECS[name].decode_as("k", stored, int) is MISSING


@pytest.mark.parametrize(
    "stored",
    [
        b"\xc1\x02\x00\x00",
        b"\xc1\x01\x80\x00",
        Envelope(payload=b"x", compression=Compression(9, 1)).pack(),
    ],
)
def test_what_a_newer_release_wrote_is_told_apart(stored: bytes) -> None:
    """Backends can tell what to leave in place from what is damaged."""
    with pytest.raises(NewerEnvelopeError) as caught:
        CODECS["msgpack"].decode("k", stored)
    assert "k" == caught.value.key


@pytest.mark.parametrize(
    "name", ["msgpack", "json", "str", "bytes", "signed pickle", "signed msgpack"]
)
@given(payload=st.binary(max_size=40) | st.binary(max_size=40).map(b"\xc1\x01".__add__))
def test_any_bytes_are_read_or_refused(name: str, payload: bytes) -> None:
    """Whatever a store holds, decoding ends in a value or in the documented error."""
    with contextlib.suppress(CacheSerializationError):
        CODECS[name].decode("k", payload)
    with contextlib.suppress(CacheSerializationError):
        CODECS[name].decode_as("k", payload, dict)


WRITTEN = {
    name: CODECS[name].encode("k", "text \u00e9" if name != "bytes" else b"x\x00y")
    for name in ("msgpack", "json", "pickle", "signed msgpack", "str", "bytes")
}


@pytest.mark.parametrize("reader", ["msgpack", "json"])
@pytest.mark.parametrize("writer", ["msgpack", "json", "pickle", "str", "bytes"])
def test_what_another_serializer_wrote_is_never_wrong(reader: str, writer: str) -> None:
    """After a change of serializer old entries are errors, never other values."""
    if reader == writer:
        assert "text \u00e9" == CODECS[reader].decode("k", WRITTEN[writer])
    else:
        with pytest.raises(CacheSerializationError, match="another serializer"):
            CODECS[reader].decode("k", WRITTEN[writer])


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
@example("12")
@example("-7")
@example("007")
def test_text_of_another_program_is_never_a_number(text: str) -> None:
    """No text, not even of one letter, reads as MessagePack; digits are an integer everywhere."""
    payload = text.encode()
    number = parse_integer(payload)
    for read in (CODECS["msgpack"].decode, lambda k, p: CODECS["msgpack"].decode_as(k, p, int)):
        if number is None:
            with pytest.raises(CacheSerializationError, match="another serializer"):
                read("k", payload)
        else:
            assert number == read("k", payload)


@pytest.mark.parametrize("name", ["msgpack", "json", "pickle", "signed pickle"])
def test_a_typed_read_is_checked(name: str) -> None:
    """`decode_as` gives the type or an error that names both, with every serializer."""
    chosen = CODECS[name]
    assert [1, 2] == chosen.decode_as("k", chosen.encode("k", [1, 2]), list[int])
    assert 5 == chosen.decode_as("k", chosen.encode("k", 5), int)
    for value, kind in (("12", int), (12, str), (True, int), ([1], dict), (5, bool)):
        with pytest.raises(CacheSerializationError, match="does not fit type=") as caught:
            chosen.decode_as("k", chosen.encode("k", value), kind)
        assert "k" == caught.value.key


@pytest.mark.parametrize(
    ("name", "value"),
    [("msgpack", User("Ada")), ("pickle", User("Ada")), ("json", {"name": "Ada"})],
)
def test_a_class_is_read_by_type(name: str, value: object) -> None:
    """An attrs class comes back by `type=`, from its own record or from plain data."""
    stored = CODECS[name].encode("k", value)
    assert User("Ada") == CODECS[name].decode_as("k", stored, User)
    assert User("Ada") == CODECS[name].decode_as("k", stored, User | None)


@pytest.mark.parametrize("name", ["msgpack", "json", "str", "bytes", "signed pickle", "pickle"])
def test_an_error_knows_its_key(name: str) -> None:
    """What cannot be stored or read is reported with the key that it was for."""
    with pytest.raises(CacheSerializationError) as caught:
        CODECS[name].encode("the key", lambda: None)
    assert "the key" == caught.value.key
    with pytest.raises(CacheSerializationError) as caught:
        CODECS["msgpack"].decode("the key", b"\x92")
    assert "the key" == caught.value.key


def test_an_interrupt_while_reading_passes_through() -> None:
    """The fast path lets through what an extension's decoder was interrupted by."""

    class Interrupting(Identity):
        def loads(self, payload: bytes, /) -> bytes:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        codec(Interrupting()).decode("k", b"x")


def test_a_reference_has_no_bytes() -> None:
    """`None` is for stores that hold objects: a codec of it stores nothing."""
    with pytest.raises(CacheSerializationError, match="in-process"):
        codec(None, shared_store=False).encode("k", [1])


def test_a_codec_is_immutable_and_comparable() -> None:
    """Equal settings give equal codecs, and nothing can be changed afterwards."""
    serializer = codec().serializer
    assert codec(serializer, namespace="a") == codec(serializer, namespace="a")
    assert codec(serializer, namespace="a") != codec(serializer, namespace="b")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        codec().namespace = "x"  # type: ignore[misc]
