"""What a function says that it returns is what its stored values come back as."""

import asyncio
import dataclasses
import enum
import logging
from typing import Any

import attrs
import pytest

from jinpy_cache_core import CacheSerializationError, cached, register_type
from jinpy_cache_core.serializers.registry import TYPES


class Colour(enum.Enum):
    RED = 1


class Size(enum.IntFlag):
    SMALL = 1
    LARGE = 2


@dataclasses.dataclass(frozen=True)
class Point:
    x: int
    colour: Colour = Colour.RED


@attrs.frozen
class Shape:
    points: "list[Point]"
    size: Size = Size.SMALL
    parent: "Shape | None" = None


@dataclasses.dataclass(frozen=True)
class Hidden:
    x: int


@pytest.fixture
def backend(shelf) -> Any:
    """A store of bytes, which others could share."""
    with shelf() as backend:
        yield backend


@pytest.fixture(autouse=True)
def _as_in_a_new_process():
    yield
    for kind in (Colour, Size, Point, Shape, Hidden):
        TYPES.unregister(kind)


def _colour() -> Colour:
    return Colour.RED


def _perhaps(x: int) -> "Point | None":
    return Point(x) if x else None


def _points(x: int) -> list[Point]:
    return [Point(x)]


def _by_name(x: int) -> dict[str, "tuple[Size, Point]"]:
    return {"a": (Size.SMALL | Size.LARGE, Point(x))}


def _nested(x: int) -> Shape:
    return Shape([Point(x)], parent=Shape([], Size.LARGE))


@pytest.mark.parametrize(
    ("function", "args"),
    [
        (_colour, ()),
        (_perhaps, (1,)),
        (_perhaps, (0,)),
        (_points, (1,)),
        (_by_name, (1,)),
        (_nested, (1,)),
    ],
)
def test_the_return_annotation_is_the_type(backend, function, args):
    """Nothing was registered, and a second call finds an equal value of the same class."""
    calls = []

    def counted(*given):
        calls.append(given)
        return function(*given)

    counted.__annotations__ = function.__annotations__
    decorated = cached(backend=backend, key="key")(counted)
    first, second = decorated(*args), decorated(*args)

    assert first == second == function(*args)
    assert type(first) is type(second)
    assert [args] == calls


def test_that_of_a_coroutine_function_and_of_a_method(backend):
    """Each is resolved when it is called first, when all that it names is there."""

    class Maker:
        cache_key = "maker"

        @cached(backend=backend)
        async def make(self, x: int) -> "Point":
            return Point(x)

    async def main():
        maker = Maker()
        return [await maker.make(1), await maker.make(1), await maker.make.cache_contains(1)]

    assert [Point(1), Point(1), True] == asyncio.run(main())


@pytest.mark.parametrize("wrap", [lambda value: value, lambda value: [{"in": value}]])
def test_what_could_not_be_read_back_is_refused_at_the_first_write(backend, caplog, wrap):
    """The value is returned, nothing is stored, and one line says what to do."""

    @cached(backend=backend, key="key:{x}")
    def unsaid(x: int):
        return wrap(Hidden(x))

    with caplog.at_level(logging.WARNING):
        assert [wrap(Hidden(n)) for n in (1, 1, 2)] == [unsaid(n) for n in (1, 1, 2)]

    assert [] == list(backend.scan())
    assert 3 == backend.stats().unstored
    assert 1 == sum("Hidden" in line and "register_type" in line for line in caplog.messages)
    with pytest.raises(CacheSerializationError, match="Hidden"):
        backend.get_or_set("key", lambda: wrap(Hidden(1)), on_error="raise")

    register_type(Hidden)
    assert wrap(Hidden(1)) == unsaid(1) == unsaid(1)
    assert ["key:1"] == list(backend.scan())


def test_what_is_read_with_a_type_needs_no_annotation(backend):
    """`type=` says how it is read, so it is stored."""
    assert Hidden(1) == backend.get_or_set("key", lambda: Hidden(1), type=Hidden)
    assert Hidden(1) == backend.get("key", type=Hidden)


def test_annotations_that_cannot_be_resolved_allow_nothing(backend):
    """Names that are imported for type checkers only are no error."""

    def function(x: int) -> "Elsewhere":  # noqa: F821
        return x

    assert 1 == cached(backend=backend, key="key:{x}")(function)(1)
