"""attrs classes, dataclasses, enums and other classes: stored by name, restored as they were."""

import dataclasses
import datetime as dt
import decimal
import enum
import functools
import gc
import threading
import weakref
from collections.abc import Iterator
from typing import Any, Generic, NamedTuple, TypeVar

import attrs
import pytest

from jinpy_cache_core import CacheConfigurationError, CacheSerializationError
from jinpy_cache_core.serializers import MsgpackSerializer, TypeRegistry, register_type
from jinpy_cache_core.serializers.plans import derive_plan
from jinpy_cache_core.serializers.registry import TYPES
from jinpy_cache_testing.samples import same

T = TypeVar("T")


@attrs.define
class User:
    """An attrs class with rich fields."""

    name: str
    born: dt.date
    tags: tuple[str, ...] = ()
    friend: "User | None" = None


@attrs.frozen(cache_hash=True)
class Frozen:
    """Immutable, with a private name and a cached hash."""

    _secret: int
    kept: str = attrs.field(kw_only=True, default="x")


@attrs.define(slots=False, eq=True, unsafe_hash=True, cache_hash=True)
class Unslotted:
    """With a `__dict__`."""

    size: int


@attrs.define
class Shouting:
    """Its converter is not idempotent, so `__init__` must not run again."""

    word: str = attrs.field(converter=lambda word: word + "!")


@attrs.define
class Lazy:
    """Holds a cached property in a slot of its own."""

    size: int

    @functools.cached_property
    def double(self) -> int:
        return self.size * 2


@dataclasses.dataclass
class Point:
    """A dataclass whose `__post_init__` has an effect."""

    x: int
    y: int
    made: int = dataclasses.field(init=False, default=0)
    scale: dataclasses.InitVar[int] = 1

    def __post_init__(self, scale: int) -> None:
        self.x *= scale
        self.made += 1

    @functools.cached_property
    def norm(self) -> int:
        return abs(self.x) + abs(self.y)


@dataclasses.dataclass(frozen=True, slots=True)
class Small:
    """Immutable and slotted."""

    items: list[decimal.Decimal]


@dataclasses.dataclass
class Page(Generic[T]):
    """A generic dataclass."""

    items: list[T]


class Colour(enum.Enum):
    """A plain enum."""

    RED = "red"
    CRIMSON = "red"  # noqa: PIE796 - an alias


class Level(enum.IntEnum):
    """An enum of ints."""

    LOW = 1


class Word(enum.StrEnum):
    """An enum of words."""

    A = "a"


class Access(enum.Flag):
    """Members that combine."""

    READ = 1
    WRITE = 2


INSTANCES = [
    User("Ada", dt.date(1815, 12, 10), ("a", "b"), User("Bob", dt.date(2000, 1, 1))),
    Frozen(7, kept="y"),
    Unslotted(3),
    Shouting("hello"),
    Lazy(4),
    Point(1, 2, scale=3),
    Small([decimal.Decimal("1.10")]),
    Page([1, "a"]),
    Page[int]([1]),
    Colour.RED,
    Colour.CRIMSON,
    Level.LOW,
    Word.A,
    Access.READ | Access.WRITE,
    Access(0),
]


@pytest.fixture
def registry() -> TypeRegistry:
    """An empty registry."""
    return TypeRegistry()


@pytest.fixture
def msgpack(registry: TypeRegistry) -> MsgpackSerializer:
    """A serializer that knows no class but those of `registry`."""
    return MsgpackSerializer(registry)


@pytest.fixture
def allowed() -> Iterator[Any]:
    """`register_type`, undone afterwards."""
    before = TYPES.named
    kinds: list[type] = []

    def allow(kind: Any = None, /, **options: Any) -> Any:
        if kind is None:
            return lambda decorated: allow(decorated, **options)
        kinds.append(kind)
        return register_type(kind, **options)

    yield allow
    for kind in kinds:
        TYPES.unregister(kind)
    assert before == TYPES.named


def allow(registry: TypeRegistry, *kinds: type, name: str | None = None) -> None:
    """Register classes under what they imply."""
    for kind in kinds:
        plan = derive_plan(kind, name)
        assert plan is not None
        registry.register(plan)


@pytest.mark.parametrize("instance", INSTANCES, ids=repr)
def test_an_instance_comes_back_as_its_type(msgpack: MsgpackSerializer, instance: Any) -> None:
    """`type=` names the class, so nothing need be registered; every field is as it was."""
    restored = msgpack.loads_as(msgpack.dumps(instance), type(instance))
    assert type(instance) is type(restored)
    assert instance == restored
    assert repr(instance) == repr(restored)


@pytest.mark.parametrize("instance", INSTANCES, ids=repr)
def test_an_unregistered_class_is_not_read_untyped(
    msgpack: MsgpackSerializer, instance: Any
) -> None:
    """Nothing named in stored bytes is looked up, and the error says what to do."""
    payload = msgpack.dumps([instance])
    with pytest.raises(CacheSerializationError) as caught:
        msgpack.loads(payload)
    assert f"{__name__}.{type(instance).__qualname__}" in str(caught.value)
    assert "type=" in str(caught.value)
    assert "register_type" in str(caught.value)


@pytest.mark.parametrize("instance", INSTANCES, ids=repr)
@pytest.mark.parametrize("wrap", [lambda v: v, lambda v: {"a": [v]}, lambda v: (v,)])
def test_a_registered_class_is_read_untyped(
    msgpack: MsgpackSerializer, registry: TypeRegistry, instance: Any, wrap: Any
) -> None:
    """Once registered, an instance comes back wherever it is nested."""
    allow(registry, User, Frozen, Unslotted, Shouting, Lazy, Point, Small, Page)
    allow(registry, Colour, Level, Word, Access)
    assert same(wrap(instance), msgpack.loads(msgpack.dumps(wrap(instance))))


def test_restoring_runs_no_code_of_the_class(msgpack: MsgpackSerializer) -> None:
    """Converters and `__post_init__` ran when the instance was made, and do not run again."""
    assert "hello!" == msgpack.loads_as(msgpack.dumps(Shouting("hello")), Shouting).word
    point = msgpack.loads_as(msgpack.dumps(Point(1, 2, scale=3)), Point)
    assert (3, 1) == (point.x, point.made)


def test_a_restored_instance_hashes_and_computes(msgpack: MsgpackSerializer) -> None:
    """Cached hashes and cached properties work on what was restored."""
    for instance in (Frozen(7), Unslotted(3)):
        hash(instance)
        assert hash(instance) == hash(msgpack.loads_as(msgpack.dumps(instance), type(instance)))
    lazy, point = Lazy(4), Point(1, 2)
    assert (8, 3) == (lazy.double, point.norm)
    assert 8 == msgpack.loads_as(msgpack.dumps(lazy), Lazy).double
    assert 3 == msgpack.loads_as(msgpack.dumps(point), Point).norm


def test_nested_classes_need_no_registration_either(msgpack: MsgpackSerializer) -> None:
    """Annotations lead from class to class, through containers, unions and type arguments."""
    user = User("Ada", dt.date(1815, 12, 10), friend=User("Bob", dt.date(2000, 1, 1)))
    assert user == msgpack.loads_as(msgpack.dumps(user), User)
    page = Page([user])
    assert page == msgpack.loads_as(msgpack.dumps(page), Page[User])
    with pytest.raises(CacheSerializationError, match="register"):
        msgpack.loads_as(msgpack.dumps(page), Page)


def version(name: str, **fields: Any) -> type:
    """A release's idea of an attrs class."""
    kind = attrs.make_class("Record", fields)
    kind.__module__, kind.__qualname__ = "app", name
    return kind


@pytest.mark.parametrize("typed", [True, False])
def test_a_field_added_later_takes_its_default(
    msgpack: MsgpackSerializer, registry: TypeRegistry, *, typed: bool
) -> None:
    """An entry of the release before reads with defaults for what it did not know."""
    old = version("Record", x=attrs.field())
    new = version(
        "Record",
        x=attrs.field(),
        y=attrs.field(default=5),
        z=attrs.field(factory=list),
        w=attrs.field(default=attrs.Factory(lambda self: self.x + 1, takes_self=True)),
    )
    payload = msgpack.dumps(old(1))
    if not typed:
        allow(registry, new)
    restored = msgpack.loads_as(payload, new) if typed else msgpack.loads(payload)
    assert new(1, 5, [], 2) == restored


@pytest.mark.parametrize("typed", [True, False])
@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        ({"x": attrs.field()}, {"x": attrs.field(), "y": attrs.field()}, "'y'.*no default"),
        ({"x": attrs.field(), "y": attrs.field(default=1)}, {"x": attrs.field()}, "no field 'y'"),
    ],
)
def test_a_class_that_no_longer_fits_is_an_error(
    msgpack: MsgpackSerializer,
    registry: TypeRegistry,
    before: Any,
    after: Any,
    complaint: str,
    *,
    typed: bool,
) -> None:
    """A removed field, or a new one without a default, is never guessed over."""
    payload = msgpack.dumps(version("Record", **before)(1))
    new = version("Record", **after)
    if not typed:
        allow(registry, new)
    with pytest.raises(CacheSerializationError, match=complaint):
        msgpack.loads_as(payload, new) if typed else msgpack.loads(payload)


def test_a_renamed_class_is_not_taken_for_the_other(
    msgpack: MsgpackSerializer, registry: TypeRegistry
) -> None:
    """A class of another name is refused even with the same fields, unless given the old name."""
    cat, dog = version("Cat", x=attrs.field()), version("Dog", x=attrs.field())
    payload = msgpack.dumps(cat(1))
    with pytest.raises(CacheSerializationError, match=r"app\.Cat where app\.Dog is wanted"):
        msgpack.loads_as(payload, dog)
    allow(registry, dog, name="app.Cat")
    assert dog(1) == msgpack.loads(payload) == msgpack.loads_as(payload, dog)


def test_a_class_that_became_another_kind_is_an_error(
    msgpack: MsgpackSerializer, registry: TypeRegistry
) -> None:
    """An enum's name may not bring back a record."""
    payload = msgpack.dumps(Colour.RED)
    allow(registry, User, name=f"{__name__}.Colour")
    with pytest.raises(CacheSerializationError, match="another kind of class"):
        msgpack.loads(payload)


def test_a_member_that_is_gone_is_an_error(
    msgpack: MsgpackSerializer, registry: TypeRegistry
) -> None:
    """An enum member or flag that no longer exists is never guessed."""
    payload = msgpack.dumps([Colour.RED])
    allow(registry, enum.Enum("Colour", ["BLUE"], module=__name__))
    with pytest.raises(CacheSerializationError, match="RED"):
        msgpack.loads(payload)


@attrs.define
class Titled(dict[str, int]):
    """Fields beside a builtin's own content."""

    title: str


@attrs.define
class Failure(Exception):
    """An exception with fields."""

    code: int


class HiddenSlot:
    """State that no field declares."""

    __slots__ = ("hidden",)


@attrs.define
class Hiding(HiddenSlot):
    """Inherits hidden state."""

    shown: int


@pytest.mark.parametrize("instance", [Titled("x"), Failure(1), Hiding(1)], ids=repr)
def test_a_class_with_more_than_its_fields_is_refused(
    msgpack: MsgpackSerializer, instance: object
) -> None:
    """Content of a builtin base or of undeclared slots would be lost, so nothing is stored."""
    with pytest.raises(CacheSerializationError, match=r"register_type\(T, encode="):
        msgpack.dumps(instance)


def test_an_undeclared_attribute_is_refused(msgpack: MsgpackSerializer) -> None:
    """An attribute that is no field would be lost, so it is an error that names it."""
    point = Point(1, 2)
    point.extra = 1  # type: ignore[attr-defined]
    with pytest.raises(CacheSerializationError, match="'extra' that is not a field"):
        msgpack.dumps(point)


def test_an_unset_field_is_refused(msgpack: MsgpackSerializer) -> None:
    """A field that was deleted cannot be stored, and the error names it."""
    user = User("Ada", dt.date(1815, 12, 10))
    del user.tags
    with pytest.raises(CacheSerializationError, match="'tags' is not set"):
        msgpack.dumps([user])


class Vector:
    """A class with no declared shape."""

    def __init__(self, *parts: float) -> None:
        self.parts = parts

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vector) and self.parts == other.parts

    def __hash__(self) -> int:
        return hash(self.parts)


class Pair(NamedTuple):
    """A named tuple."""

    left: int
    right: Any


def test_any_class_can_be_taught(allowed: Any) -> None:
    """`encode` and `decode` carry a class that says nothing about itself, typed and untyped."""
    allowed(Vector, encode=lambda vector: vector.parts, decode=lambda parts: Vector(*parts))
    serializer = MsgpackSerializer()
    value = {"v": [Vector(1.0, 2.0)], Vector(1.0): (Vector(),)}
    payload = serializer.dumps(value)
    assert value == serializer.loads(payload)
    assert value == serializer.loads_as(payload, dict)
    assert value["v"] == serializer.loads_as(serializer.dumps(value["v"]), list[Vector])


def test_a_named_tuple_can_be_registered(allowed: Any) -> None:
    """A registered named tuple comes back as one, with what it holds."""
    allowed(Pair)
    serializer = MsgpackSerializer()
    payload = serializer.dumps([Pair(1, {2})])
    assert same([Pair(1, {2})], serializer.loads(payload))
    assert same([Pair(1, {2})], serializer.loads_as(payload, list[Pair]))


def test_register_type_decorates(allowed: Any) -> None:
    """With or without arguments it returns the class itself."""

    @allowed
    @attrs.define
    class Plain:
        x: int

    @allowed(name="app.Other")
    @attrs.define
    class Named:
        x: int

    serializer = MsgpackSerializer()
    assert [Plain(1), Named(2)] == serializer.loads(serializer.dumps([Plain(1), Named(2)]))
    assert b"app.Other" in serializer.dumps(Named(2))


def test_register_type_decorates_with_arguments() -> None:
    """`@register_type(name=...)` gives the class back."""

    @register_type(name="app.Decorated")
    @attrs.define
    class Decorated:
        x: int

    try:
        assert Decorated(1) == MsgpackSerializer().loads(MsgpackSerializer().dumps(Decorated(1)))
    finally:
        TYPES.unregister(Decorated)


def test_registering_again_changes_nothing(allowed: Any) -> None:
    """The same class may be registered twice, as a module that is imported twice does."""
    assert allowed(User) is allowed(User) is User


def test_a_name_belongs_to_one_class(allowed: Any) -> None:
    """Another class under a taken name is an error that says how to go on."""
    first = allowed(version("Record", x=attrs.field()))
    second = version("Record", y=attrs.field())
    with pytest.raises(
        CacheConfigurationError, match=r"'app\.Record' is already registered.*name="
    ):
        allowed(second)
    assert allowed(second, replace=True) is second
    serializer = MsgpackSerializer()
    assert second(1) == serializer.loads(serializer.dumps(second(1)))
    with pytest.raises(CacheSerializationError, match="no field 'x'"):
        serializer.loads(serializer.dumps(first(1)))


def test_a_class_has_one_name(allowed: Any) -> None:
    """The same class under a second name is an error, or takes the place of the first."""
    allowed(User, name="app.User")
    with pytest.raises(CacheConfigurationError, match=r"already registered, as 'app\.User'"):
        allowed(User, name="app.Person")
    allowed(User, name="app.Person", replace=True)
    assert TYPES.named("app.User") is None


@pytest.mark.parametrize(
    ("arguments", "options", "complaint"),
    [
        ((dict,), {}, "nothing to register"),
        ((dt.datetime,), {"encode": str, "decode": str}, "nothing to register"),
        ((Vector,), {}, "encode=.*decode="),
        ((Vector,), {"encode": str}, "only encode="),
        ((Vector,), {"decode": str}, "only decode="),
        ((Hiding,), {}, "'hidden' is not a field"),
        (("User",), {}, "takes a class, not 'User'"),
    ],
)
def test_what_cannot_be_registered(arguments: Any, options: Any, complaint: str) -> None:
    """A registration that could not work is refused where it is made."""
    with pytest.raises(CacheConfigurationError, match=complaint):
        register_type(*arguments, **options)


def test_a_taught_class_that_fails_is_a_serialization_error(allowed: Any) -> None:
    """Whatever `encode` or `decode` raises is the cause of the documented error."""

    def fail(_: Any) -> Any:
        message = "no luck"
        raise LookupError(message)

    serializer = MsgpackSerializer()
    allowed(Vector, encode=fail, decode=fail)
    with pytest.raises(CacheSerializationError, match="no luck") as caught:
        serializer.dumps([Vector()])
    assert isinstance(caught.value.__cause__, LookupError)
    allowed(Vector, encode=lambda vector: vector.parts, decode=fail, replace=True)
    with pytest.raises(CacheSerializationError, match="no luck"):
        serializer.loads(serializer.dumps([Vector()]))


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, MemoryError])
def test_what_ends_the_program_passes_through(allowed: Any, error: type[BaseException]) -> None:
    """Interrupts and exhausted memory are not turned into anything else, in either direction."""

    def fail(_: Any) -> Any:
        raise error

    serializer = MsgpackSerializer()
    allowed(Vector, encode=lambda vector: vector.parts, decode=fail)
    payload = serializer.dumps([(Vector(),)])
    with pytest.raises(error):
        serializer.loads(payload)
    assert [1] == serializer.loads(serializer.dumps([1]))
    allowed(Vector, encode=fail, decode=fail, replace=True)
    with pytest.raises(error):
        serializer.dumps([(Vector(),)])


def test_an_error_in_one_read_is_not_reported_by_the_next(allowed: Any) -> None:
    """What a decoder raised belongs to the read that called it."""
    serializer = MsgpackSerializer()

    def read_damaged(_: Any) -> Any:
        with pytest.raises(CacheSerializationError):
            serializer.loads(b"\xd4\x09x")
        return Vector()

    allowed(Vector, encode=lambda _: None, decode=read_damaged)
    assert [Vector()] == serializer.loads(serializer.dumps([Vector()]))
    with pytest.raises(CacheSerializationError, match="more bytes follow"):
        serializer.loads(b"\x01\x01")


def test_an_endless_encode_is_refused(allowed: Any) -> None:
    """An `encode` that returns an instance again ends in the documented error."""
    allowed(Vector, encode=lambda vector: [vector], decode=lambda parts: parts)
    with pytest.raises(CacheSerializationError, match="nested too deeply"):
        MsgpackSerializer().dumps(Vector())


def test_threads_register_and_store_at_once(registry: TypeRegistry) -> None:
    """Registrations from many threads are all there, and reads never see half of one."""
    serializer = MsgpackSerializer(registry)
    kinds = [version(f"Record{number}", x=attrs.field()) for number in range(200)]
    barrier = threading.Barrier(4)
    failures: list[BaseException] = []

    def work(mine: list[type]) -> None:
        barrier.wait()
        try:
            for kind in mine:
                allow(registry, kind)
                assert kind(1) == serializer.loads(serializer.dumps(kind(1)))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(kinds[n::4],)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [] == failures
    assert all(registry.named(f"app.Record{number}") is not None for number in range(200))


def test_classes_made_on_the_fly_are_forgotten(registry: TypeRegistry) -> None:
    """A process that makes classes without end does not keep each for ever."""
    serializer = MsgpackSerializer(registry)
    first = version("First", x=attrs.field())
    reference = weakref.ref(first)
    serializer.dumps(first(1))
    del first
    for number in range(1100):
        serializer.dumps(version(f"Record{number}", x=attrs.field())(1))
    gc.collect()
    assert reference() is None
