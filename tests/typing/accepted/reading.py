"""What a read returns is known, whether or not a type is asked for."""

from typing import Any, assert_type

from jinpy_utils.cache import MISSING, Cache


def untyped(cache: Cache) -> None:
    """Without a type, a value can be anything."""
    assert_type(cache.get("k"), Any)
    assert_type(cache.get("k", 0), Any)
    assert_type(cache.pop("k"), Any)


def typed(cache: Cache) -> None:
    """With a type, it is that type or the default."""
    assert_type(cache.get("k", type=int), int | None)
    assert_type(cache.get("k", 0, type=int), int)
    assert_type(cache.get("k", "none", type=int), int | str)
    assert_type(cache.get("k", type=list[str]), list[str] | None)


def narrowed(cache: Cache) -> int:
    """`MISSING` is told apart from every value by identity."""
    value = cache.get("k", MISSING, type=int)
    if value is MISSING:
        return 0
    assert_type(value, int)
    return value


async def typed_asynchronously(cache: Cache) -> None:
    """The twins promise the same."""
    assert_type(await cache.aget("k"), Any)
    assert_type(await cache.aget("k", type=int), int | None)
    assert_type(await cache.aget("k", 0, type=int), int)
