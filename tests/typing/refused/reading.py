"""A value read as one type is not another, and a miss is `None`."""

from jinpy_utils.cache import Cache


def shout(cache: Cache) -> str:
    """The value was read as an int."""
    return cache.get("k", "", type=int)  # E


def double(cache: Cache) -> int:
    """A miss was forgotten."""
    return 2 * cache.get("k", type=int)  # E


def length(cache: Cache) -> int:
    """An int has no length."""
    return len(cache.get("k", 0, type=int))  # E


async def forgotten_await(cache: Cache) -> int:
    """The coroutine is taken for its result."""
    return cache.aget("k", 0, type=int)  # E


async def shout_asynchronously(cache: Cache) -> str:
    """The twin refuses the same."""
    return await cache.aget("k", "", type=int)  # E
