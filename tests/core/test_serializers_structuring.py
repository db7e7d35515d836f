"""`type=`: the value as the type that was asked for, never coerced."""

import dataclasses
import datetime as dt
import decimal
import enum
import pathlib
import sys
import typing
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import (
    Annotated,
    Any,
    ClassVar,
    Concatenate,
    Final,
    Literal,
    NamedTuple,
    NewType,
    NotRequired,
    Optional,
    TypedDict,
    Union,
)

import attrs
import pytest

from jinpy_cache_core import CacheSerializationError
from jinpy_cache_core.serializers import (
    JsonSerializer,
    MsgpackSerializer,
    TypeRegistry,
    structure_as,
)
from jinpy_cache_core.serializers.plans import CustomPlan
from jinpy_cache_testing.samples import same

MSGPACK = MsgpackSerializer(TypeRegistry())
JSON = JsonSerializer()


@attrs.frozen
class User:
    """An attrs class."""

    name: str
    age: int = 0
    _note: str | None = None


@dataclasses.dataclass
class Team:
    """A dataclass of attrs instances."""

    users: list[User]
    lead: User | None = None
    by_name: dict[str, User] = dataclasses.field(default_factory=dict)
    anything: Any = None


@dataclasses.dataclass
class Node:
    """A class that refers to itself."""

    value: int
    next: Optional["Node"] = None


@dataclasses.dataclass
class Unresolvable:
    """Its annotation is for type checkers only."""

    item: "NotImportedHere"  # type: ignore[name-defined] # noqa: F821


@dataclasses.dataclass
class Fixed:
    """Its annotation says more than the type."""

    x: Final[int]
    y: Annotated[int, ["not hashable"]] = 1
    z: Concatenate[int, ...] = 1  # type: ignore[valid-type]
    limit: ClassVar[int] = 5


class Colour(enum.Enum):
    """An enum."""

    RED = "red"
    ONE = 1


class Level(enum.IntEnum):
    """An enum of ints."""

    LOW = 3


class Movie(TypedDict):
    """A typed dict."""

    title: str
    year: NotRequired[int]


class Pair(NamedTuple):
    """A named tuple."""

    left: int
    right: int


UserId = NewType("UserId", int)

FITTING: list[tuple[Any, Any]] = [
    (1, int),
    (True, bool),
    (1.5, float),
    (1, float),
    (1, complex),
    ("x", str),
    (b"x", bytes),
    (bytearray(b"x"), bytearray),
    (None, None),
    (None, type(None)),
    (dt.datetime(2024, 1, 1, tzinfo=dt.UTC), dt.datetime),
    (dt.date(2024, 1, 1), dt.date),
    (decimal.Decimal(1), decimal.Decimal),
    (uuid.UUID(int=1), uuid.UUID),
    ([1, "x"], list),
    ([1, "x"], Any),
    ([1, "x"], object),
    ([1, 2], list[int]),
    ([1, 2], Sequence[int]),
    ((1, 2), Sequence[int]),
    ({1, 2}, set[int]),
    (frozenset({1}), frozenset[int]),
    ({"a": 1}, dict),
    ({"a": 1}, dict[str, int]),
    ({"a": 1}, Mapping[str, int]),
    ({1: {2: [3]}}, dict[int, dict[int, list[int]]]),
    ((1, "x"), tuple),
    ((1, "x"), tuple[int, str]),
    ((1, 2, 3), tuple[int, ...]),
    ((), tuple[()]),
    ((1, "x"), typing.Tuple),  # noqa: UP006
    ([1, "x"], typing.List),  # noqa: UP006
    (None, int | None),
    (1, Optional[int]),  # noqa: UP045 - both spellings are in use
    ("x", Union[int, str]),  # noqa: UP007
    (1, int | float),
    (1, float | int),
    ("a", Literal["a", "b"]),
    (5, UserId),
    (5, Annotated[int, "positive"]),
    ({"title": "x"}, Movie),
    ({"title": "x", "year": 1}, Movie),
    ([{"title": "x"}], Movie | list[Movie]),
    ({"movie": {"title": "x"}}, dict[str, Movie]),
    (Fixed(5), Fixed),
    (Colour.RED, Colour),
    (Colour.RED, Literal[Colour.RED]),
    (Level.LOW, Level),
    ([Level.LOW, 3], list[Level | int]),
    (dt.timedelta(1), dt.timedelta),
    ([Colour.RED, None], list[Colour | None]),
    ({Colour.RED: 1}, dict[Colour, int]),
    (User("Ada", 5, "n"), User),
    (User("Ada"), Union[int, User]),  # noqa: UP007
    ([User("Ada"), None], list[User | None]),
    (Team([User("Ada")], User("Bob"), {"c": User("Cy")}), Team),
    (Team([], anything=[1, {2}]), Team),
    (Node(1, Node(2)), Node),
    ({User("Ada")}, set[User]),
    ({User("Ada"): User("Bob")}, dict[User, User]),
    ((User("Ada"), 1), tuple[User, int]),
    (Unresolvable(5), Unresolvable),
    ({"u": User("Ada")}, dict[str, User] | list[User]),
]


@pytest.mark.parametrize(("value", "kind"), FITTING, ids=repr)
def test_a_value_of_the_type_is_given_back(value: Any, kind: Any) -> None:
    """Whatever the annotation, a value that fits it comes back exactly as it was stored."""
    assert same(value, MSGPACK.loads_as(MSGPACK.dumps(value), kind))


@pytest.mark.parametrize(("value", "kind"), FITTING, ids=repr)
def test_a_value_in_memory_is_given_back(value: Any, kind: Any) -> None:
    """A value that never was bytes passes the same check, and is not copied."""
    assert structure_as(value, kind) is value


MISFITS: list[tuple[Any, Any, str]] = [
    ("12", int, "a str where int is wanted"),
    (True, int, "a bool where int is wanted"),
    (1, bool, "an int where bool is wanted"),
    (1.0, int, "a float where int is wanted"),
    ("1.5", float, "a str where float is wanted"),
    (True, float, "a bool where float is wanted"),
    (1, str, "where str is wanted"),
    (b"x", str, "a bytes where str is wanted"),
    ("x", bytes, "a str where bytes is wanted"),
    (b"x", bytearray, "where bytearray is wanted"),
    (None, int, "a NoneType where int is wanted"),
    (0, None, "where None is wanted"),
    (
        dt.datetime(2024, 1, 1, tzinfo=dt.UTC),
        dt.date,
        r"a datetime\.datetime where datetime\.date is wanted",
    ),
    ("2024-01-01", dt.date, "where datetime.date is wanted"),
    ([1, "2"], list[int], r"a str at \$\[1\] where int is wanted"),
    ((1, 2), list[int], "a tuple where"),
    ([1, 2], tuple[int, int], "a list where"),
    ((1, 2), tuple[int, int, int], "a tuple where"),
    ((1,), tuple[()], "a tuple where"),
    ((1, "2"), tuple[int, ...], r"a str at \$\[1\]"),
    ([1], set[int], "a list where"),
    ({1}, list, "a set where list is wanted"),
    ("ab", Sequence[str], "a str where"),
    (b"ab", Iterable[int], "a bytes where"),
    ({"a": "1"}, dict[str, int], r"a str at \$\.a where int is wanted"),
    ({1: 1}, dict[str, int], r"an int at \$\[1\] where str is wanted"),
    ([1], dict, "a list where dict is wanted"),
    ({"a": {"b": [1, None]}}, dict[str, dict[str, list[int]]], r"at \$\.a\.b\[1\]"),
    ("x", int | None, "a str where int is wanted"),
    ("x", int | bytes, r"a str where int \| bytes is wanted"),
    ("c", Literal["a", "b"], "a str where"),
    (True, Literal[1], "a bool where"),
    ("blue", Colour, "a str where .*Colour is wanted"),
    (True, Colour, "a bool where .*Colour is wanted"),
    (Colour.ONE, Literal[Colour.RED], "Colour where"),
    (Colour.RED, User, "Colour where .*User is wanted"),
    (User("Ada"), Colour, "User where .*Colour is wanted"),
    (User("Ada"), int, "User where int is wanted"),
    (User("Ada"), dict, "User where dict is wanted"),
    (User("Ada"), Node, "User where .*Node is wanted"),
    (User("Ada", "5"), User, r"a str at \$\.age where int is wanted"),  # type: ignore[arg-type]
    ([User("Ada")], list[Node], r"User at \$\[0\] where .*Node is wanted"),
    (Team(["x"]), Team, r"a str at \$\.users\[0\] where .*User is wanted"),  # type: ignore[list-item]
    ((1, 2), Pair, "a tuple where .*Pair is wanted"),
    ("x", uuid.UUID, "a str where uuid.UUID is wanted"),
    ([], Exception, "a list where Exception is wanted"),
    (User("Ada"), Literal[Colour.RED], "User where"),
    (1.5, Colour | User, "a float where"),
    ("x", pathlib.Path, r"a str where pathlib\..*Path is wanted"),
    (1, Level, "an int where .*Level is wanted"),
    ("1", Level, "a str where .*Level is wanted"),
    ([1], Movie, "a list where .*Movie is wanted"),
    ({}, Movie, r"a dict without \.title where .*Movie is wanted"),
    ({"title": 1}, Movie, r"an int at \$\.title where str is wanted"),
    ({"title": "x", "rating": 1}, Movie, r"a dict with \.rating where .*Movie is wanted"),
    ([{"title": "x", "year": "1"}], list[Movie], r"a str at \$\[0\]\.year where int is wanted"),
    ("x", Movie | list[Movie], "a str where"),
]


@pytest.mark.parametrize(("value", "kind", "complaint"), MISFITS, ids=repr)
def test_a_value_of_another_type_is_an_error(value: Any, kind: Any, complaint: str) -> None:
    """Nothing is coerced: the error names what was stored, what was wanted, and where."""
    with pytest.raises(CacheSerializationError, match=complaint):
        MSGPACK.loads_as(MSGPACK.dumps(value), kind)


@pytest.mark.parametrize(
    ("value", "kind", "complaint"),
    [row for row in MISFITS if not isinstance(row[0], (User, Team))],
    ids=repr,
)
def test_a_value_in_memory_is_checked_alike(value: Any, kind: Any, complaint: str) -> None:
    """A value that never was bytes is refused with the same words."""
    with pytest.raises(CacheSerializationError, match=complaint):
        structure_as(value, kind)


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        ({"name": "Ada"}, User, User("Ada")),
        ({"name": "Ada", "age": 5, "_note": "n"}, User, User("Ada", 5, "n")),
        ([{"name": "Ada"}], list[User], [User("Ada")]),
        ({"a": {"name": "Ada"}}, dict[str, User], {"a": User("Ada")}),
        ({"name": "Ada"}, User | None, User("Ada")),
        ({"name": "Ada"}, User | dict[str, str], {"name": "Ada"}),
        ({"value": 1, "next": {"value": 2}}, Node, Node(1, Node(2))),
        (
            {"users": [{"name": "Ada"}], "lead": None, "by_name": {"b": {"name": "Bob"}}},
            Team,
            Team([User("Ada")], None, {"b": User("Bob")}),
        ),
        ("red", Colour, Colour.RED),
        (1, Colour, Colour.ONE),
        (["red"], list[Colour], [Colour.RED]),
    ],
)
@pytest.mark.parametrize("serializer", [JSON, MSGPACK], ids=repr)
def test_plain_data_becomes_an_instance(
    serializer: Any, value: Any, kind: Any, expected: Any
) -> None:
    """What JSON or another program wrote as plain data is structured into the class."""
    assert same(expected, structure_as(serializer.loads(serializer.dumps(value)), kind))


@pytest.mark.parametrize(
    ("value", "kind", "complaint"),
    [
        ({}, User, r"a dict without \.name where .*User"),
        ({"name": 1}, User, r"an int at \$\.name where str is wanted"),
        ({"name": "Ada", "size": 1}, User, r"a dict with \.size where"),
        ({"users": [{"name": "A"}, {"name": None}]}, Team, r"a NoneType at \$\.users\[1\]\.name"),
        ({"value": 1, "next": {"value": "2"}}, Node, r"a str at \$\.next\.value where int"),
    ],
)
def test_plain_data_that_does_not_fit_is_an_error(value: Any, kind: Any, complaint: str) -> None:
    """A missing, superfluous or wrong field is named with its path."""
    with pytest.raises(CacheSerializationError, match=complaint):
        structure_as(value, kind)


def test_open_annotations_need_registered_classes() -> None:
    """Where no annotation names the class, it must have been registered."""
    payload = MSGPACK.dumps(Team([], anything=User("Ada")))
    with pytest.raises(CacheSerializationError, match=r"User.*register_type"):
        MSGPACK.loads_as(payload, Team)


def test_an_impossible_annotation_is_an_error() -> None:
    """What is no type at all ends in the documented error, not in another library's."""
    with pytest.raises(CacheSerializationError, match="does not fit type=5"):
        structure_as(1, 5)


@pytest.mark.parametrize("kind", [User, Colour, uuid.UUID, dict, list[Any]])
def test_a_registered_class_of_another_kind_does_not_fit(kind: Any) -> None:
    """What is registered is known by name, and still has to be of the type that was asked for."""
    registry = TypeRegistry()
    serializer = MsgpackSerializer(registry)
    registry.register(CustomPlan(Pair, "app.Pair", tuple, Pair._make))
    payload = serializer.dumps(Pair(1, 2))
    assert Pair(1, 2) == serializer.loads_as(payload, Pair)
    assert Pair(1, 2) == serializer.loads_as(payload, tuple)
    with pytest.raises(CacheSerializationError, match=r"Pair where"):
        serializer.loads_as(payload, kind)


@attrs.frozen
class Money:
    """Read through a field that holds a TypedDict of instances."""

    amounts: dict[str, decimal.Decimal]


class Receipt(TypedDict):
    """A typed dict that holds an instance."""

    total: Money


def test_instances_inside_a_typed_dict_are_restored() -> None:
    """A typed dict's annotations name classes as any others do."""
    receipt = {"total": Money({"EUR": decimal.Decimal("1.10")})}
    assert same(receipt, MSGPACK.loads_as(MSGPACK.dumps(receipt), Receipt))


@pytest.mark.skipif(sys.version_info < (3, 12), reason="type aliases came with Python 3.12")
def test_a_type_alias_is_what_it_stands_for() -> None:
    """`type Users = list[User]` reads as the list."""
    namespace: dict[str, Any] = {"User": User}
    exec("type Users = list[User]", namespace)
    payload = MSGPACK.dumps([User("Ada")])
    assert [User("Ada")] == MSGPACK.loads_as(payload, namespace["Users"])
