"""Caching functions: types pass through `@cached` and `get_or_set`."""

from typing import assert_type

from jinpy_utils.cache import Cache, FactoryContext, cached


@cached
def plain(user_id: int, lang: str = "de") -> list[str]:
    """A function."""
    return [lang] * user_id


@cached(ttl=60, key="user:{user_id}", grace=3600)
async def coroutine(user_id: int) -> dict[str, int]:
    """A coroutine function."""
    return {"id": user_id}


class Shop:
    """Has methods of both kinds."""

    cache_key = "shop"

    @cached(ttl=60)
    def price(self, item: str) -> float:
        """A method."""
        return float(len(item))

    @cached
    async def stock(self, item: str) -> int:
        """A coroutine method."""
        return len(item)


def calls(shop: Shop) -> None:
    """Calls and the wrapper's own methods keep parameters and result."""
    assert_type(plain(1, lang="en"), list[str])
    assert_type(plain.refresh(1), list[str])
    assert_type(plain.invalidate(1), bool)
    assert_type(plain.cache_key(1, "de"), str)
    assert_type(plain.__wrapped__(1), list[str])
    assert_type(shop.price("tea"), float)
    assert_type(shop.price.invalidate("tea"), bool)


async def awaited(shop: Shop) -> None:
    """The same, awaited."""
    assert_type(await coroutine(1), dict[str, int])
    assert_type(await coroutine.invalidate(user_id=1), bool)
    assert_type(await coroutine.refresh(1), dict[str, int])
    assert_type(await shop.stock("tea"), int)
    assert_type(await shop.stock.refresh("tea"), int)


def number() -> int:
    """A factory."""
    return 1


def contextual(context: FactoryContext) -> str:
    """A factory that looks at its context."""
    return context.key


async def later() -> bytes:
    """An asynchronous factory."""
    return b""


async def by_hand(cache: Cache) -> None:
    """Factories of every kind."""
    assert_type(cache.get_or_set("key", number, 60, soft_timeout=1.5), int)
    assert_type(cache.get_or_set("key", contextual), str)
    assert_type(cache.get_or_set("key", lambda: 1.5), float)
    assert_type(await cache.aget_or_set("key", later), bytes)
    assert_type(await cache.aget_or_set("key", number), int)
