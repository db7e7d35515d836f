"""Typed access: keys and views that know what is stored."""

from typing import assert_type

import attrs

from jinpy_utils.cache import Cache, CacheKey, CacheManager, TypedCache


@attrs.frozen
class User:
    """What is stored."""

    name: str


UserKey = CacheKey[User]("user:{id}", ttl=60)


def keys(cache: Cache, manager: CacheManager) -> None:
    """A key tells the type of its value."""
    assert_type(cache.get(UserKey(id=7)), User | None)
    assert_type(cache.get(UserKey(id=7), 0), User | int)
    assert_type(manager.get(UserKey(id=7)), User | None)
    cache.set(UserKey(id=7), User("Ada"))
    assert_type(cache.delete(UserKey(id=7)), bool)
    assert_type(cache.get_many(["a"], type=User), dict[str, User | None])
    assert_type(cache.get_many(["a"], 0, type=User), dict[str, User | int])


async def twins(cache: Cache) -> None:
    """So do the asynchronous twins."""
    assert_type(await cache.aget(UserKey(id=7)), User | None)
    await cache.aset(UserKey(id=7), User("Ada"))
    assert_type(await cache.aget_many(["a"], type=User), dict[str, User | None])


def views(cache: Cache) -> None:
    """A view is of one type."""
    users = cache.typed(User, prefix="user:")
    assert_type(users, TypedCache[User])
    assert_type(users.get("7"), User | None)
    assert_type(users.get_many(["7"], 0), dict[str, User | int])
    users.set("7", User("Ada"))
