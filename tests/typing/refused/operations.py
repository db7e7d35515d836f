"""Wrong keys, ttls and amounts are seen before anything runs."""

from jinpy_utils.cache import AsyncCacheClient, Cache, CacheClient, CacheInterface, CacheKey


def wrong_keys(cache: Cache) -> None:
    """A key is a str."""
    cache.get(1)  # E
    cache.set(b"k", 1)  # E
    cache.delete(None)  # E
    cache.get_many([1, 2])  # E
    cache.set_many({1: "x"})  # E


def wrong_lifetimes(cache: Cache) -> None:
    """A ttl is a number of seconds or a timedelta."""
    cache.set("k", 1, ttl="60")  # E
    cache.touch("k", "60")  # E
    cache.touch("k")  # E


def wrong_amounts(cache: Cache) -> None:
    """A counter is an integer."""
    cache.incr("k", 1.5)  # E
    cache.decr("k", "1")  # E


def wrong_results(cache: Cache) -> tuple[list[str], int]:
    """An operation does not return what another one does."""
    removed: list[str] = cache.delete_many(["a"])  # E
    seconds: int = cache.ttl("k")  # E
    return removed, seconds


def wrong_twins(client: CacheClient, async_client: AsyncCacheClient) -> None:
    """A client has the operations of its own kind only."""
    client.aget("k")  # E
    async_client.get("k")  # E
    needs_cache(async_client)  # E
    needs_cache(client)


def needs_cache(cache: CacheInterface) -> None:
    """Take any synchronous cache."""
    cache.set("k", 1)


def wrong_values_of_typed_keys(cache: Cache) -> None:
    """What a key says is stored is what is stored."""
    number = CacheKey[int]("n:{x}")
    cache.set(number(x=1), "text")  # E
    text: str | None = cache.get(number(x=1))  # E
    cache.typed(int, prefix="n:").set("1", "text")  # E
    assert text
