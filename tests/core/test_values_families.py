"""Values of other libraries: exact or refused, and never a reason to import the library."""

# mypy: disable-error-code="misc, no-untyped-call, untyped-decorator"
# pyright: basic

import datetime as dt
import decimal
import enum
import ipaddress
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import cached_property
from typing import Annotated, Any, Generic, Literal, TypeVar

import attrs
import pytest
from ormsgpack import Ext, packb

from jinpy_cache_core import CacheConfigurationError, CacheSerializationError
from jinpy_cache_core.functions.results import allow_results
from jinpy_cache_core.serializers import MsgpackSerializer, TypeRegistry, register_family
from jinpy_cache_core.serializers.extensions import Tag
from jinpy_cache_core.serializers.registry import TYPES, Family

MSGPACK = MsgpackSerializer(TypeRegistry())
T = TypeVar("T")


class Kind(enum.Enum):
    """An enum."""

    A = "a"


@attrs.frozen
class Point:
    """A class that the reader names."""

    x: int


class Shape:
    """The base of a family."""

    def __init__(self, size: Any) -> None:
        self.size = size

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(other) == vars(self)

    __hash__ = None  # type: ignore[assignment]


class Square(Shape):
    """Covered because its base is."""


FAMILY = Family(lambda shape: shape.size, lambda kind, size: kind(size))


def round_trip(value: object, kind: Any) -> Any:
    """What a typed read gives."""
    return MSGPACK.loads_as(MSGPACK.dumps(value), kind)


# -- Families of one's own -------------------------------------------------------------------------


@pytest.fixture
def shapes() -> MsgpackSerializer:
    """A serializer that knows the family of shapes."""
    registry = TypeRegistry()
    registry.register_family(Shape, FAMILY)
    return MsgpackSerializer(registry)


def test_a_family_covers_what_extends_it(shapes: MsgpackSerializer) -> None:
    """Every class of it comes back as itself, named or not, and with what it holds."""
    value = [Shape(1), {"a": Square((2, Square({3})))}]
    payload = shapes.dumps(value)
    assert value == shapes.loads(payload)
    assert value == shapes.loads_as(payload, list[Any])
    assert Square(1) == shapes.loads_as(shapes.dumps(Square(1)), Square)
    assert Square(1) == shapes.loads_as(shapes.dumps(Square(1)), Shape)


def test_a_class_of_the_family_defined_later_is_covered(shapes: MsgpackSerializer) -> None:
    """As classes come and go, they are found by name."""
    shapes.dumps(Square(1))

    class Late(Square):
        pass

    assert Late(1) == shapes.loads(shapes.dumps(Late(1)))


def test_a_class_outside_of_the_family_is_not_read(shapes: MsgpackSerializer) -> None:
    """Only what extends the base is looked up."""
    forged = packb(Ext(Tag.CUSTOM, packb(["subprocess.Popen", "ls"])))
    with pytest.raises(CacheSerializationError, match="no class of that name"):
        shapes.loads(forged)


@pytest.fixture
def families() -> Iterator[None]:
    """The process's own registry, as it was afterwards."""
    yield
    TYPES._families.pop(Shape, None)
    TYPES._derived.clear()


@pytest.mark.usefixtures("families")
def test_register_family_is_checked() -> None:
    """Both functions or neither, once, and for a class."""
    assert Shape is register_family(Shape, FAMILY.encode, FAMILY.decode)  # type: ignore[arg-type]
    register_family(Shape, FAMILY.encode, FAMILY.decode)  # type: ignore[arg-type]
    with pytest.raises(CacheConfigurationError, match="other functions"):
        register_family(Shape, lambda shape: shape.size, lambda kind, size: kind(size))
    with pytest.raises(CacheConfigurationError, match="both or neither"):
        register_family(Shape, lambda shape: shape.size)  # type: ignore[call-overload]
    with pytest.raises(CacheConfigurationError, match="takes a class"):
        register_family(Shape(1))  # type: ignore[call-overload]
    with pytest.raises(CacheConfigurationError, match="class of yours"):
        register_family(dict)


def test_no_library_is_imported() -> None:
    """Neither by importing the serializers, nor by what is stored or read."""
    program = """
import sys
from ormsgpack import Ext, packb
from jinpy_cache_core import CacheSerializationError
from jinpy_cache_core.serializers import MsgpackSerializer
from jinpy_cache_core.serializers.extensions import Tag
serializer = MsgpackSerializer()
serializer.loads(serializer.dumps({1: (2, {3})}))
for name in ("pandas.Series", "polars.Series", "pydantic.SecretStr", "os.system", "msgspec.UNSET"):
    try:
        serializer.loads(packb(Ext(Tag.LIBRARY, packb([name, b""]))))
    except CacheSerializationError as error:
        print(error)
try:
    serializer.loads(packb(Ext(Tag.NDARRAY, b"[]")))
except CacheSerializationError as error:
    print(error)
libraries = {"pydantic", "msgspec", "numpy", "pandas", "polars", "pyarrow"}
assert not libraries & sys.modules.keys(), libraries & sys.modules.keys()
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert "" == done.stderr
    for library in ("pandas", "polars", "pydantic", "msgspec", "numpy"):
        assert f"import {library} where the cache is read" in done.stdout


# -- Pydantic --------------------------------------------------------------------------------------


def models() -> Any:
    """Models that use what Pydantic offers."""
    pydantic = pytest.importorskip("pydantic", minversion="2.7")

    class Address(pydantic.BaseModel):
        street: str
        kind: Kind = Kind.A

    class Villa(Address):
        pool: bool

    class Cat(pydantic.BaseModel):
        what: Literal["cat"] = "cat"

    class Dog(pydantic.BaseModel):
        what: Literal["dog"] = "dog"
        name: str

    class Page(pydantic.BaseModel, Generic[T]):
        items: list[T]

    class Numbers(pydantic.RootModel[list[int]]):
        pass

    class User(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(extra="allow", arbitrary_types_allowed=True)

        id: int = pydantic.Field(alias="ID")
        name: str
        password: pydantic.SecretStr = pydantic.SecretStr("hidden")
        address: Address | None = None
        pets: list[Annotated[Cat | Dog, pydantic.Field(discriminator="what")]] = []  # noqa: RUF012
        born: dt.date | None = None
        site: pydantic.HttpUrl | None = None
        code: pydantic.Base64Str = ""
        point: Point | None = None
        price: decimal.Decimal = decimal.Decimal("1.0")
        host: ipaddress.IPv4Address | None = None
        seen: pydantic.AwareDatetime | None = None
        size: pydantic.ByteSize = pydantic.ByteSize(1)
        hidden: int = pydantic.Field(default=1, exclude=True)
        _private: int = pydantic.PrivateAttr(default=3)

        @pydantic.computed_field
        @property
        def double(self) -> int:
            return self.id * 2

        @cached_property
        def half(self) -> float:
            return self.id / 2

        @pydantic.field_validator("name")
        @classmethod
        def shout(cls, name: str) -> str:
            return f"{name}!"

    for kind in (Address, Villa, Cat, Dog, Page, Numbers, User):
        kind.__module__ = "app"
    User.model_rebuild(_types_namespace={**globals(), **locals()})
    return type("Models", (), locals())


@pytest.fixture
def user() -> Any:
    """A model with everything set."""
    kinds = models()
    made = kinds.User(
        ID=1,
        name="Ada",
        address=kinds.Villa(street="x", pool=True),
        pets=[kinds.Cat(), kinds.Dog(name="d")],
        born="2020-01-01",
        site="https://example.org/",
        code="aGk=",
        point=Point(2),
        host="192.0.2.1",
        seen=dt.datetime(2024, 1, 1, tzinfo=dt.UTC),
        size="3kb",
        more=(1, {2}),
    )
    made._private = 7
    assert made.half == 0.5
    return made


def test_a_model_comes_back_as_it_was(user: Any) -> None:
    """Without its validators, with all that is not a field, and its fields of exact types."""
    kind = type(user)
    without_subclass = user.model_copy(
        update={"address": kind.model_fields["address"].annotation.__args__[0](street="x")}
    )
    read = round_trip(without_subclass, kind)
    assert without_subclass == read
    assert without_subclass.model_fields_set == read.model_fields_set
    assert "hidden" == read.password.get_secret_value()
    assert [type(pet) for pet in user.pets] == [type(pet) for pet in read.pets]
    assert {"more": (1, {2})} == read.model_extra
    assert 7 == read._private
    assert [without_subclass] == round_trip([without_subclass], list[kind])


def test_a_subclass_in_a_field_needs_to_be_known(user: Any) -> None:
    """It is never taken for its base; registered, it comes back as it was."""
    payload = MSGPACK.dumps(user)
    with pytest.raises(CacheSerializationError, match="Villa"):
        MSGPACK.loads_as(payload, type(user))
    registry = TypeRegistry()
    registry.register_family(pytest.importorskip("pydantic").BaseModel, Family())
    registry.register_family(Kind, Family())
    known = MsgpackSerializer(registry)
    villa = user.address
    assert villa == known.loads_as(known.dumps(villa), type(villa).__mro__[1])


def test_generic_and_root_models_come_back() -> None:
    """A parametrised model is a class of its own."""
    kinds = models()
    page = kinds.Page[kinds.Dog](items=[kinds.Dog(name="a")])
    assert page == round_trip(page, kinds.Page[kinds.Dog])
    assert kinds.Numbers([1]) == round_trip(kinds.Numbers([1]), kinds.Numbers)
    with pytest.raises(CacheSerializationError, match="does not fit"):
        round_trip(page, kinds.Page[kinds.Cat])


def test_a_return_annotation_allows_a_model_and_its_fields() -> None:
    """What a decorated function says it returns comes back without `type=`."""
    pydantic = pytest.importorskip("pydantic")

    class Inner(pydantic.BaseModel):
        kind: Kind

    outer = pydantic.create_model("Outer", inner=(Inner, ...))

    def load() -> list[Any]:
        return []

    load.__annotations__["return"] = list[outer]
    value = [outer(inner=Inner(kind=Kind.A))]
    serializer = MsgpackSerializer()
    try:
        allow_results(load)
        assert value == serializer.loads(serializer.dumps(value))
    finally:
        for kind in (outer, Inner, Kind):
            TYPES.unregister(kind)


def test_plain_data_becomes_a_model_by_its_own_rules() -> None:
    """As a program in another language stores it; the message quotes no value."""
    kinds = models()
    assert "Ada!" == round_trip({"ID": 1, "name": "Ada"}, kinds.User).name
    with pytest.raises(CacheSerializationError, match="ID is refused") as caught:
        round_trip({"ID": "private-text", "name": "Ada"}, kinds.User)
    assert "private-text" not in str(caught.value)


def test_a_model_that_changed_reads_with_its_defaults_or_not() -> None:
    """A new field takes its default; one that is gone or has another type is an error."""
    pydantic = pytest.importorskip("pydantic")

    def version(fields: dict[str, Any]) -> Any:
        return pydantic.create_model("Item", __module__="app", **fields)

    old = version({"a": (int, ...)})
    payload = MSGPACK.dumps(old(a=1))
    assert 5 == MSGPACK.loads_as(payload, version({"a": (int, ...), "b": (int, 5)})).b
    for fields in ({"a": (str, ...)}, {"b": (int, 5)}, {"a": (int, ...), "b": (int, ...)}):
        with pytest.raises(CacheSerializationError):
            MSGPACK.loads_as(payload, version(fields))


def test_what_a_model_cannot_carry_is_named_by_its_place() -> None:
    """Never dropped."""
    pydantic = pytest.importorskip("pydantic")
    holder = pydantic.create_model("Holder", conn=(Any, ...))
    with pytest.raises(CacheSerializationError, match=r"lock at \$\.a\.conn"):
        MSGPACK.dumps({"a": holder(conn=threading.Lock())})


# -- msgspec ---------------------------------------------------------------------------------------


def test_structs_come_back_as_they_were() -> None:
    """Frozen, tagged, generic, renamed; a `__post_init__` changes nothing that was stored."""
    msgspec = pytest.importorskip("msgspec")

    class Node(msgspec.Struct, frozen=True, tag=True):
        value: Any
        child: "Node | None" = None
        unset: Any = msgspec.UNSET

    class Grown(msgspec.Struct, rename="camel"):
        my_items: list[Point]

        def __post_init__(self) -> None:
            self.my_items = [*self.my_items, Point(99)]

    class Box(msgspec.Struct, Generic[T]):
        item: T

    Node.__annotations__["child"] = Node | None
    assert Node((1,), Node({2})) == round_trip(Node((1,), Node({2})), Node)
    grown = Grown([Point(1)])
    assert grown == round_trip(grown, Grown)
    assert Box(Point(1)) == round_trip(Box(Point(1)), Box[Point])
    assert Box("a") == round_trip({"item": "a"}, Box[str])
    with pytest.raises(CacheSerializationError):
        round_trip(Box(1), Box[str])


# -- numpy -----------------------------------------------------------------------------------------


def arrays() -> list[Any]:
    """Arrays of every kind that has a form on disk."""
    np = pytest.importorskip("numpy")
    return [
        np.arange(6).reshape(2, 3),
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.arange(20)[::2],
        np.array(5),
        np.zeros((0, 3)),
        np.zeros(100_000),
        np.array(["a", "bcd"]),
        np.array([b"x"]),
        np.array([1], ">f8"),
        np.array([True]),
        np.array([1 + 2j]),
        np.array(["2020-01-01"], "M8[D]"),
        np.array([(1, [2.0, 3.0])], dtype=[("a", "i4"), ("b", "f8", (2,))]),
    ]


def test_arrays_come_back_as_they_were() -> None:
    """Type of items, shape, order and content, alone and inside; a view that cannot be written."""
    for value in arrays():
        for read in (round_trip(value, type(value)), MSGPACK.loads(MSGPACK.dumps([value]))[0]):
            assert type(value) is type(read)
            assert value.dtype == read.dtype
            assert value.shape == read.shape
            assert value.flags.f_contiguous == read.flags.f_contiguous or not value.flags.contiguous
            assert value.tobytes() == read.tobytes()
            assert not read.flags.writeable


def test_numpy_scalars_come_back_as_they_were() -> None:
    """They pass for numbers and text, and are none."""
    np = pytest.importorskip("numpy")
    for value in (
        *(np.float64(1.5), np.int8(3), np.bool_(True), np.complex64(1j), np.longdouble(1)),
        *(np.str_("abc"), np.str_(""), np.bytes_(b"a"), np.void(b"abc")),
        *(np.datetime64("2020-01-01"), np.timedelta64(3, "s")),
    ):
        read = MSGPACK.loads(MSGPACK.dumps({"key": value}))["key"]
        assert type(value) is type(read)
        assert value.dtype == read.dtype
        assert value == read


def test_arrays_without_a_form_are_refused() -> None:
    """Objects, subclasses, and what numpy itself cannot describe."""
    np = pytest.importorskip("numpy")
    aligned = np.dtype([("a", "i1"), ("b", "i4")], align=True)
    for value in (
        *(np.array([object()]), np.ma.array([1]), np.rec.array([(1,)]), np.zeros(1, aligned)),
        *(np.str_("a\0"), np.zeros(1, np.dtype("i4", metadata={"a": 1}))),
    ):
        with pytest.raises(CacheSerializationError):
            MSGPACK.dumps([value])


@pytest.mark.parametrize(
    "head",
    [
        b'["|O",[1],"C"]',
        b'["<f8",[9],"C"]',
        b'["<f8",[-1],"C"]',
        b'["<f8",[4294967296,4294967296],"C"]',
        b'["<f8",[1],"X"]',
        b'["<f8"',
        b"{}",
        b'["<f8",' + b"[" * 5000,
        b'[[["a","|O"]],[1],"C"]',
    ],
)
def test_forged_arrays_are_refused(head: bytes) -> None:
    """Nothing is made of pointers, and no length is believed."""
    pytest.importorskip("numpy")
    payload = len(head).to_bytes(4, "big") + head + bytes(8)
    for forged in (payload, payload[:-1], b"\xff" * 4 + payload):
        with pytest.raises(CacheSerializationError):
            MSGPACK.loads(packb([Ext(Tag.NDARRAY, forged)]))
        long = b"\xc9" + len(forged).to_bytes(4, "big") + bytes((Tag.NDARRAY,)) + forged
        for read in (MSGPACK.loads, lambda payload: MSGPACK.loads_as(payload, object)):
            with pytest.raises(CacheSerializationError):
                read(long)


# -- Frames ----------------------------------------------------------------------------------------


def test_pandas_comes_back_as_it_was() -> None:
    """Indexes, columns, dtypes and names; what Arrow would change is refused."""
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frames = [
        pd.DataFrame({"a": [1, 2], "b": ["x", None], "c": pd.to_datetime(["2020", "2021"])}),
        pd.DataFrame({"a": pd.Categorical(["u", "v"])}, index=pd.Index(["r", "s"], name="n")),
        pd.DataFrame(),
        pd.DataFrame([[1, 2.5], [3, 4.5]]),
        pd.DataFrame({("a", "b"): [1], ("a", "c"): [2]}),
        pd.DataFrame({"x": [1, 2]}, index=pd.date_range("2020", periods=2)),
    ]
    for value in frames:
        pd.testing.assert_frame_equal(value, round_trip(value, pd.DataFrame), check_freq=True)
    for value in (
        *(pd.Series([1, 2], name="n"), pd.Series([1.5, float("nan")], name=(1, "a"))),
        pd.Series([dt.date(2020, 1, 1)]),
    ):
        pd.testing.assert_series_equal(value, MSGPACK.loads(MSGPACK.dumps([value]))[0])
    for value in (
        *(pd.DataFrame({"x": [[1], [2]]}), pd.DataFrame({"x": [1, "a"]})),
        *(pd.DataFrame([[1, 2]], columns=["a", "a"]), pd.Series([object()])),
    ):
        with pytest.raises(CacheSerializationError):
            MSGPACK.dumps([value])


def test_polars_comes_back_as_it_was() -> None:
    """Frames and series of every dtype but objects."""
    pl = pytest.importorskip("polars")
    for value in (
        pl.DataFrame({"a": [1, None], "b": ["x", "y"], "c": [[1], [2, 3]]}),
        pl.DataFrame({"e": pl.Series(["a"], dtype=pl.Enum(["a"]))}),
        pl.DataFrame(),
    ):
        read = round_trip(value, pl.DataFrame)
        assert value.schema == read.schema
        assert value.equals(read)
    series = pl.Series("s", [1, None])
    assert series.equals(MSGPACK.loads(MSGPACK.dumps([series]))[0], check_names=True)
    with pytest.raises(CacheSerializationError):
        MSGPACK.dumps(pl.Series([object()], dtype=pl.Object))


@pytest.mark.parametrize("name", ["pandas.DataFrame", "pandas.Series", "polars.DataFrame"])
def test_forged_frames_are_refused(name: str) -> None:
    """Bytes that are no Arrow end in our error."""
    pytest.importorskip(name.partition(".")[0])
    pytest.importorskip("pyarrow")
    for content in (b"", b"ARROW1\x00\x00" + bytes(100), [None, b"\xff" * 8, None, None], 1):
        with pytest.raises(CacheSerializationError):
            MSGPACK.loads(packb([Ext(Tag.LIBRARY, packb([name, content]))]))


# -- What stays refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "advice"),
    [
        (iter([1]), "store list"),
        ({1: 2}.keys(), "store set"),
        (ValueError("x"), "repr"),
        (print, "Code is not stored"),
        (threading.Lock(), "open in this process"),
        (type("Text", (str,), {})("x"), "plain str"),
        (type("Response", (), {"__module__": "httpx"})(), "response"),
        (type("Model", (), {"__module__": "django.db.models.base"})(), "model_to_dict"),
        (type("Row", (), {"__mapper__": None})(), "ORM"),
    ],
    ids=lambda one: type(one).__name__,
)
def test_a_refusal_says_what_to_store_instead(value: object, advice: str) -> None:
    """By what it is, though its library was never imported."""
    with pytest.raises(CacheSerializationError, match=advice):
        MSGPACK.dumps({"key": value})
