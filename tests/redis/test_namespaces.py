"""`clear` removes this cache's keys, whatever their neighbours are called, and nothing else."""

import asyncio
import threading

import pytest
from tests.redis.servers import Server

from jinpy_cache_core import CacheConfigurationError

NAMES = ["app", "app2", "app[1]*", "app?", "ap", "a*", "\\app", "^app", "app-x"]


def test_only_the_exact_namespace_is_cleared(half, server):
    """Characters of patterns in a namespace or prefix mean themselves."""
    for name in NAMES:
        for other in NAMES:
            half(server.url, namespace=other).set("k", other)
        half(server.url, namespace=name).clear()
        for other in NAMES:
            assert (None if other == name else other) == half(server.url, namespace=other).get("k")


def test_no_command_that_spares_nobody(half, server):
    """Neither FLUSHDB, FLUSHALL nor KEYS is ever sent, and nothing but what is documented."""
    cache = half(server.url)
    cache.set("k", 1, ttl=5)
    cache.incr("n", ttl=5)
    list(cache.scan())
    cache.clear()
    stats = server.ask("INFO", "commandstats")
    sent = {name.removeprefix("cmdstat_") for name in stats}
    assert {"flushdb", "flushall", "keys", "eval", "evalsha"} & sent == set()
    assert {"set", "incrby", "multi", "exec", "scan", "unlink"} <= sent


def test_raw_keys_are_not_cleared(half, server):
    """Without a namespace keys are raw, and `clear` is refused before anything is removed."""
    cache = half(server.url, namespace=None)
    cache.set("k", 1)
    assert b"1" == server.ask("GET", "k")
    with pytest.raises(CacheConfigurationError, match="namespace=None"):
        cache.clear()
    assert 1 == cache.get("k")
    assert ["k"] == list(cache.scan())


def test_the_namespace_is_the_name_by_default(make, server):
    """Keys begin with the backend's name and a colon."""
    make(server.url, name="shop").set("k", 1)
    assert [b"shop:k"] == server.ask("KEYS", "*")


def test_clearing_a_large_namespace_while_others_write(half, server):
    """Every key that was there is removed, in pages, however many come meanwhile."""
    cache = half(server.url)
    for batch in range(10):
        cache.set_many({f"k{batch}-{n}": n for n in range(2000)})
    other = half(server.url, namespace="other")
    ended = threading.Event()
    writer_cache = other.backend

    def write() -> None:
        number = 0
        while not ended.is_set():
            number += 1
            writer_cache.set(f"k{number % 500}", number)

    writer = threading.Thread(target=write)
    writer.start()
    cache.clear()
    ended.set()
    writer.join()
    assert [] == list(cache.scan())
    assert other.get("k1") is not None
    with server.admin() as admin:
        assert all(entry["duration"] < 100_000 for entry in admin.slowlog_get(5))


async def test_clearing_can_be_cancelled(make, server):
    """A cancelled `aclear` stops between pages and leaves the cache usable."""
    cache = make(server.url)
    for batch in range(5):
        await cache.aset_many({f"k{batch}-{n}": n for n in range(2000)})
    task = asyncio.create_task(cache.aclear())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await cache.aclear()
    assert [] == [key async for key in cache.ascan()]


def test_counters_of_many_clients(make, server: Server):
    """50 clients count one key with a lifetime: the exact total, and the lifetime is set once."""
    patient = {"pool_timeout": 60.0, "command_timeout": 60.0, "operation_timeout": 60.0}
    caches = [make(server.url, pool_size=2, **patient) for _ in range(10)]
    for cache in caches:
        assert cache._config.namespace == caches[0]._config.namespace

    def count(cache) -> None:
        for _ in range(200):
            cache.incr("n", ttl=500)

    threads = [threading.Thread(target=count, args=(caches[n % 10],)) for n in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 10_000 == caches[0].get("n")
    left = caches[0].ttl("n")
    assert left is not None
    assert 400 < left <= 500


def test_a_counter_with_a_lifetime_is_one_transaction(make, server):
    """The server's monitor sees one MULTI ... EXEC, so no counter can be left without lifetime."""
    cache = make(server.url)
    with server.admin() as admin, admin.monitor() as monitor:
        cache.incr("n", 3, ttl=60)
        seen = []
        for entry in monitor.listen():
            seen.append(entry["command"].split()[0].upper())
            if seen[-1] == "EXEC":
                break
    assert ["MULTI", "SET", "INCRBY", "EXEC"] == seen[-4:]
