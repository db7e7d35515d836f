"""Typed access: keys that know what is stored under them, views of one type, bulk reads by type."""

import inspect
from collections.abc import Iterator
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jinpy_cache_core import (
    MISSING,
    Cache,
    CacheConfigurationError,
    CacheKey,
    CacheManager,
    CacheManagerConfig,
    CacheSerializationError,
    CacheValueError,
    TypedKey,
)
from jinpy_cache_core.exceptions import CacheKeyTypeError
from jinpy_cache_memory import MemoryCacheConfig


@attrs.frozen
class User:
    """A class that is not registered."""

    name: str


UserKey = CacheKey[User]("user:{id}", ttl=60)
ADA = User("Ada")


@pytest.fixture(params=["native", "portable", "counted"])
def cache(request: pytest.FixtureRequest) -> Iterator[Cache]:
    """A cache in memory, with and without what wraps or encodes."""
    settings = {
        "native": {},
        "portable": {"portable": True},
        "counted": {"portable": True, "statistics": True},
    }[request.param]
    config = MemoryCacheConfig(name="typed", **settings)
    with CacheManager(CacheManagerConfig(backends=[config], enable_singleton=False)) as manager:
        yield Cache("typed", manager=manager)


async def called(result: Any) -> Any:
    """What a call returned, awaited if need be."""
    return await result if inspect.isawaitable(result) else result


@pytest.mark.parametrize("prefix", ["", "a"])
async def test_a_typed_key_reads_and_writes(cache: Cache, prefix: str) -> None:
    """With its type and its ttl, through every operation, by position and by name."""

    async def do(name: str, *args: Any, **kwargs: Any) -> Any:
        return await called(getattr(cache, f"{prefix}{name}")(*args, **kwargs))

    key = UserKey(id=7)
    assert await do("get", key) is None
    assert await do("get", key, MISSING) is MISSING
    await do("set", key, ADA)
    assert ADA == await do("get", key)
    assert ADA == await do("get", key=key)
    assert ADA == await do("get", "user:7", type=User)
    assert 50 < await do("ttl", key) <= 60
    await do("set", key, ADA, 10)
    assert await do("ttl", key) <= 10
    await do("set", key=key, value=ADA, ttl=None)
    assert 50 < await do("ttl", key) <= 60
    assert await do("exists", key) is True
    assert await do("add", key, ADA) is False
    assert await do("touch", key, 5) is True
    assert await do("delete", key) is True
    assert await do("add", key, ADA) is True
    assert 50 < await do("ttl", key) <= 60
    await do("set", "user:7", "no user")
    with pytest.raises(CacheSerializationError, match="User"):
        await do("get", key)
    assert await do("get_or_set", CacheKey[int]("n:{x}")(x=1), lambda: 5) == 5


def test_a_manager_takes_typed_keys(cache: Cache) -> None:
    """With `backend=`, too."""
    manager: Any = cache._manager
    manager.set(UserKey(id=7), ADA, backend="typed")
    assert ADA == manager.get(UserKey(id=7))
    assert manager.delete(UserKey(id=7)) is True


def test_a_key_is_no_str() -> None:
    """But has a text, and equals its like."""
    key = UserKey(7)
    assert "user:7" == str(key)
    assert UserKey(id=7) == key
    assert hash(UserKey(id=7)) == hash(key)
    assert key != "user:7"
    assert CacheKey[str]("user:{id}")(7) != key
    assert "'user:7'" in repr(key)
    assert User is key.kind
    assert CacheKey("plain")().kind is None
    assert isinstance(key, TypedKey)


texts = st.text(max_size=8) | st.integers() | st.booleans() | st.none() | st.floats()


@given(texts, texts, texts, texts)
def test_no_two_sets_of_values_make_one_key(a: object, b: object, c: object, d: object) -> None:
    """Whatever is filled in."""
    template = CacheKey[str]("x:{one}:{two}")
    same = [repr(v) for v in (a, b)] == [repr(v) for v in (c, d)]
    assert same == (str(template(one=a, two=b)) == str(template(one=c, two=d)))


def test_templates_are_checked() -> None:
    """When they are written, not when they are used."""
    for template in ("{a}{b}", "x:{a!r}", "x:{a:>3}", "x:{}", "x:{a.b}", "x:{a", 5):
        with pytest.raises(CacheConfigurationError):
            CacheKey[str](template)  # type: ignore[arg-type]
    with pytest.raises(CacheValueError):
        CacheKey[str]("x", ttl=float("nan"))
    with pytest.raises(TypeError):
        UserKey(name="x")
    with pytest.raises(CacheKeyTypeError):
        UserKey(id=object())


@pytest.mark.parametrize("prefix", ["", "a"])
async def test_many_are_read_by_type(cache: Cache, prefix: str) -> None:
    """Each value is of it, misses carry the default, and nothing is coerced."""

    async def get_many(*args: Any, **kwargs: Any) -> Any:
        return await called(getattr(cache, f"{prefix}get_many")(*args, **kwargs))

    cache.set("a", ADA)
    assert {"a": ADA, "b": None} == await get_many(["a", "b"], type=User)
    assert {"a": ADA, "b": 0} == await get_many(["a", "b"], 0, type=User)
    cache.set("b", 5)
    with pytest.raises(CacheSerializationError, match="User"):
        await get_many(["a", "b"], type=User)


@pytest.mark.parametrize("prefix", ["", "a"])
async def test_a_view_is_of_one_type(cache: Cache, prefix: str) -> None:
    """Its keys get the prefix, and come back without it."""
    users = cache.typed(User, prefix="user:", ttl=60)

    async def do(name: str, *args: Any, **kwargs: Any) -> Any:
        return await called(getattr(users, f"{prefix}{name}")(*args, **kwargs))

    assert await do("get", "7") is None
    await do("set", "7", ADA)
    assert ADA == await do("get", "7")
    assert ADA == cache.get(UserKey(id=7))
    assert 50 < (cache.ttl("user:7") or 0) <= 60
    assert await do("add", "7", ADA) is False
    await do("set_many", {"8": ADA, "9": ADA}, 5)
    assert {"7": ADA, "8": ADA, "x": None} == await do("get_many", ["7", "8", "x"])
    assert ["7", "8", "9"] == sorted(users.scan())
    assert ADA == await do("get_or_set", "10", lambda: ADA)
    assert await do("exists", "10") is True
    assert 2 == await do("delete_many", ["8", "9", "x"])
    assert await do("delete", "7") is True
    cache.set("user:7", "no user")
    with pytest.raises(CacheSerializationError):
        await do("get", "7")
    assert "user:" in repr(users)
