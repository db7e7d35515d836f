"""Every kind of function that people decorate keeps its type."""

import json
from typing import Any, NoReturn, TypeVar, assert_type

from jinpy_utils.cache import CachedFunction, cached

T = TypeVar("T")


@cached
def load(path: str) -> Any:
    """Returns anything, which is no coroutine."""
    return json.loads(path)


@cached
def never(code: int) -> NoReturn:
    """Returns nothing."""
    raise SystemExit(code)


@cached
def same(value: T) -> T:
    """Returns what it is given."""
    return value


@cached(ttl=60)
async def fetch(number: int) -> str:
    """Returns a coroutine."""
    return str(number)


class Base:
    """Has methods of every kind."""

    cache_key = "base"

    @cached
    def method(self, number: int) -> str:
        """Takes the object."""
        return str(number)

    @cached
    async def coroutine(self, number: int) -> str:
        """Takes the object, and is awaited."""
        return str(number)

    @classmethod
    @cached
    def of_class(cls, number: int) -> str:
        """Takes the class."""
        return f"{cls} {number}"

    @staticmethod
    @cached
    def static(number: int) -> str:
        """Takes neither."""
        return str(number)


def functions() -> None:
    """Called with what they take, they give what they return."""
    load("a")
    assert_type(load("a")["key"], Any)
    assert_type(load.invalidate("a"), bool)
    assert_type(load.cache_clear(), int)
    assert_type(same(1), int)
    assert_type(same("a"), str)
    assert_type(load.__name__, str)
    assert_type(never.cache_key(1), str)


def methods(base: Base) -> None:
    """Through the object and through the class."""
    assert_type(base.method(1), str)
    assert_type(Base.method(base, 1), str)
    assert_type(base.method.invalidate(1), bool)
    assert_type(Base.of_class(1), str)
    assert_type(base.of_class(1), str)
    assert_type(Base.of_class.invalidate(1), bool)
    assert_type(Base.of_class.refresh(1), str)
    assert_type(Base.static(1), str)
    assert_type(base.static(1), str)
    assert_type(base.static.cache_contains(1), bool)


async def awaited(base: Base) -> None:
    """What is awaited gives the same."""
    assert_type(await fetch(1), str)
    assert_type(await base.coroutine(1), str)
    assert_type(await base.coroutine.cache_contains(1), bool)
    assert_type(await fetch.cache_clear(), int)


def taking(function: CachedFunction[Any]) -> str:
    """A decorated function can be passed on."""
    return function.__qualname__


taking(load)
