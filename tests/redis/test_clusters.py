"""Clusters and sentinels: slots that move, nodes that die, primaries that change."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from redis.crc import key_slot
from tests.redis.conftest import LATE, QUICK
from tests.redis.servers import BRITTLE, Cluster, SentinelGroup, role_of, str_of, until

from jinpy_cache_core import CacheException
from jinpy_cache_redis import RedisCacheBackend, RedisCacheConfig
from jinpy_cache_testing.sync_view import new_runner


@pytest.fixture
def own_cluster(tmp_path):
    """A cluster for one test alone."""
    group = Cluster(tmp_path / "cluster", BRITTLE)
    try:
        yield group.start()
    finally:
        group.stop()


@pytest.fixture
def own_sentinels(tmp_path):
    """Sentinels for one test alone."""
    group = SentinelGroup(tmp_path / "sentinels", BRITTLE // 2)
    try:
        yield group.start()
    finally:
        group.stop()


def test_keys_on_every_node(half, cluster):
    """Bulk operations of any keys, scans, counters and `clear` cover all primaries."""
    cache = half(cluster.url)
    cache.set_many({f"k{n}": n for n in range(300)}, ttl=60)
    assert {f"k{n}": n for n in range(300)} == cache.get_many([f"k{n}" for n in range(300)])
    assert {f"k{n}" for n in range(300)} == set(cache.scan())
    assert 100 == cache.delete_many([f"k{n}" for n in range(0, 300, 3)])
    assert (5, 6) == (cache.incr("n", 5, ttl=60), cache.incr("n"))
    assert (6, None) == (cache.pop("n"), cache.pop("n"))
    assert cache.is_healthy() is True
    cache.clear()
    assert [] == list(cache.scan())


def test_one_round_trip_to_each_node(make, cluster):
    """A bulk read asks each primary exactly once."""
    cache = make(cluster.url)
    keys = [f"k{n}" for n in range(100)]
    cache.set_many(dict.fromkeys(keys, 1))
    trips = []
    for pool in cache._sync._pools.values():
        exchange = pool.exchange
        pool.exchange = lambda *a, e=exchange, **k: (trips.append(1), e(*a, **k))[1]
    cache.get_many(keys)
    assert 3 == len(trips)


def maps_read(cluster: Cluster) -> int:
    """How many times any node was asked for the map of slots."""
    asked = 0
    for server in cluster.servers:
        stats = server.ask("INFO", "commandstats")
        asked += sum(
            one["calls"]
            for name, one in stats.items()
            if name.startswith("cmdstat_cluster") and not name.endswith(("info", "nodes"))
        )
    return asked


def test_a_burst_of_first_uses_reads_the_map_once(cluster, make):
    """However many tasks or threads find that nothing is known yet: one asks for all of them."""
    before = maps_read(cluster)
    tasks = make(cluster.url)
    with new_runner() as runner:

        async def burst():
            return await asyncio.gather(*(tasks.aget(f"k{n}") for n in range(500)))

        assert [None] * 500 == runner.run(burst())
        runner.run(tasks.aclose())
    assert 1 == maps_read(cluster) - before

    before = maps_read(cluster)
    threads, gate = make(cluster.url), threading.Barrier(50)
    with ThreadPoolExecutor(50) as pool:
        found = [pool.submit(lambda n=n: (gate.wait(), threads.get(f"k{n}"))[1]) for n in range(50)]
        assert [None] * 50 == [one.result() for one in found]
    assert 5 > maps_read(cluster) - before, "a late thread may just not see that it is known by now"


def test_who_waits_for_the_map_of_another_can_go(own_cluster, make):
    """A task that is cancelled leaves the others, and the last one leaves nothing behind."""
    cache = make(own_cluster.url, **QUICK)
    for server in own_cluster.servers:
        server.pause()

    async def main():
        first, second, third = [asyncio.create_task(cache.aget("k")) for _ in range(3)]
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert not second.done()
        for server in own_cluster.servers:
            server.resume()
        assert [None, None] == await asyncio.gather(second, third)

    with new_runner() as runner:
        runner.run(main())
        runner.run(cache.aclose())


def test_a_slot_on_its_way_and_then_moved(half, cluster):
    """ASK and MOVED are followed, for single keys, bulk operations and counters."""
    cache = half(cluster.url)
    slot = key_slot(f"{cache.backend.name}:{{tag}}a".encode())
    source = next(s for s in cluster.primaries() if cluster.owner_of(s, slot) == s.port)
    target = next(s for s in cluster.primaries() if s is not source)
    ids = {s: str_of(s.ask("CLUSTER", "MYID")) for s in (source, target)}
    cache.set("{tag}a", 1)
    cache.set("{tag}n", 5)
    target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[source])
    source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[target])
    try:
        cache.set("{tag}new", 2)
        assert 2 == cache.get("{tag}new")
        assert cache.exists("{tag}new") is True
        assert {"{tag}a": 1, "{tag}new": 2} == cache.get_many(["{tag}a", "{tag}new"])
        assert 1 == cache.delete_many(["{tag}new"])
        assert 1 == cache.incr("{tag}fresh")
        stored = [f"{cache.backend.name}:{{tag}}{one}" for one in ("a", "n")]
        source.ask("MIGRATE", "127.0.0.1", target.port, "", 0, 1000, "KEYS", *stored)
        assert 1 == cache.get("{tag}a")
    finally:
        for server in cluster.primaries():
            server.ask("CLUSTER", "SETSLOT", slot, "NODE", ids[target])
    assert {"{tag}a": 1, "{tag}n": 5} == cache.get_many(["{tag}a", "{tag}n"])
    assert 6 == cache.incr("{tag}n", ttl=60)
    assert 6 == cache.pop("{tag}n")
    cache.clear()
    source.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[target])
    for server in (source, target, *cluster.primaries()):
        server.ask("CLUSTER", "SETSLOT", slot, "NODE", ids[source])


ENOUGH = 20
"""Operations of each half that are under load, or that show a recovery."""

PATIENT = {"connect_timeout": LATE, "command_timeout": LATE, "operation_timeout": LATE}
"""Time limits that a slow machine keeps; a killed server refuses at once, so nothing waits."""


def load(backend: RedisCacheBackend, disturb, rate: float = 200.0):
    """Use a backend from a thread and a loop while it is disturbed.

    Returns:
        Wrong values, the errors that are not ours, and those of operations that began after
        `disturb` had returned. Each half succeeded often enough after that.
    """
    wrong: list[object] = []
    foreign: list[BaseException] = []
    errors: list[tuple[float, CacheException]] = []
    successes: dict[str, list[float]] = {"sync": [], "async": []}
    ended = threading.Event()

    def judge(number: int, value: object) -> None:
        if value is not None and (not isinstance(value, dict) or value.get("k") != number):
            wrong.append((number, value))

    def work() -> None:
        step = 0
        while not ended.wait(2 / rate):
            step += 1
            number = step % 30
            began = time.monotonic()
            try:
                if step % 2:
                    judge(number, backend.get(f"k{number}"))
                else:
                    backend.set(f"k{number}", {"k": number})
                successes["sync"].append(began)
            except CacheException as error:
                errors.append((began, error))
            except BaseException as error:
                foreign.append(error)

    async def awork() -> None:
        step = 0
        while not ended.is_set():
            step += 1
            number = step % 30
            await asyncio.sleep(2 / rate)
            began = time.monotonic()
            try:
                if step % 2:
                    judge(number, await backend.aget(f"k{number}"))
                else:
                    await backend.aset(f"k{number}", {"k": number})
                successes["async"].append(began)
            except CacheException as error:
                errors.append((began, error))
            except BaseException as error:
                foreign.append(error)

    def enough(since: float) -> bool:
        return all(sum(began > since for began in half) > ENOUGH for half in successes.values())

    threads = [threading.Thread(target=work), threading.Thread(target=lambda: asyncio.run(awork()))]
    for thread in threads:
        thread.start()
    try:
        until(lambda: enough(0.0), "the load runs")
        disturb()
        disturbed = time.monotonic()
        until(lambda: enough(disturbed), "both halves recover")
    finally:
        ended.set()
        for thread in threads:
            thread.join(2 * LATE)
    return wrong, foreign, [error for began, error in errors if began > disturbed]


def test_sentinels_name_a_new_primary(own_sentinels):
    """When the primary dies under load, errors end with the failover, and no value is wrong."""
    group = own_sentinels
    config = RedisCacheConfig(url=group.url, name="failover", **QUICK | PATIENT)

    def disturb() -> None:
        group.primary.kill()
        until(lambda: role_of(group.replica) == "master", "the replica is promoted")
        for sentinel in group.sentinels:
            until(
                lambda s=sentinel: group.named_by(s) == group.replica.port, "all name the new one"
            )

    with RedisCacheBackend(config) as backend:
        backend.set_many({f"k{n}": {"k": n} for n in range(30)})
        until(lambda: group.replica.ask("DBSIZE") == 30, "the replica has it all")
        assert ([], [], []) == load(backend, disturb)
        assert backend.is_healthy() is True
        assert {"k": 1} == backend.get("k1")


@pytest.mark.soak
def test_a_cluster_fails_over_under_load(own_cluster):
    """A primary dies under 200 operations a second: no wrong value, and errors end with that."""
    victim = own_cluster.servers[0]
    heir = own_cluster.servers[3]
    config = RedisCacheConfig(url=own_cluster.url, name="failover", **QUICK | PATIENT)

    def disturb() -> None:
        victim.kill()
        until(lambda: role_of(heir) == "master", "the replica is promoted", 30)
        for server in own_cluster.servers[1:]:
            until(lambda s=server: own_cluster.owner_of(s, 0) == heir.port, "all know the heir")

    with RedisCacheBackend(config) as backend:
        backend.set_many({f"k{n}": {"k": n} for n in range(30)})
        assert ([], [], []) == load(backend, disturb)


@pytest.fixture
def migrating(cluster):
    """A key whose slot is on its way from the first primary to the second, and is put back."""
    source, target = cluster.servers[:2]
    here, there = (str_of(one.ask("CLUSTER", "MYID")) for one in (source, target))

    def start(stored: bytes) -> None:
        slot = key_slot(stored)
        target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", here)
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", there)
        begun.append(slot)

    begun: list[int] = []
    yield start
    for slot in begun:
        source.ask("CLUSTER", "SETSLOT", slot, "STABLE")
        target.ask("CLUSTER", "SETSLOT", slot, "STABLE")


TRANSACTIONS = {
    "get_or_set": (lambda cache, key: cache.get_or_set(key, lambda: "v", 60), "v"),
    "pop": (lambda cache, key: cache.pop(key), None),
    "touch": (lambda cache, key: cache.touch(key, 60), False),
    "incr": (lambda cache, key: cache.incr(key, 3, ttl=60), 3),
    "add": (lambda cache, key: cache.add(key, 1, 60), True),
    "get": (lambda cache, key: cache.get(key), None),
}


@pytest.mark.parametrize("name", TRANSACTIONS)
def test_a_key_that_is_not_there_while_its_slot_moves(half, cluster, migrating, name):
    """Transactions follow to the node that the slot is on its way to, in a few commands."""
    cache = half(cluster.url)
    cache.get("x")
    prefix = cache.backend._commands.prefix
    key = next(k for k in map(str, range(9**9)) if key_slot(prefix + k.encode()) < 5000)
    migrating(prefix + key.encode())
    call, expected = TRANSACTIONS[name]
    before = sum(commands_of(server) for server in cluster.servers[:3])

    assert expected == call(cache, key)

    assert sum(commands_of(server) for server in cluster.servers[:3]) - before < 60
    assert cache.is_healthy() is True
    if name in {"get_or_set", "incr", "add"}:
        assert cache.exists(key) is True
        assert key in set(cache.scan())
    cache.clear()
    assert cache.exists(key) is False


def commands_of(server) -> int:
    """How many commands a server has executed."""
    with server.admin() as client:
        return int(client.info("stats")["total_commands_processed"])


def test_a_process_with_an_old_map(own_cluster, half, make):
    """After a node was added and has got slots, `scan` sees every key, and `clear` leaves none."""
    old, new = half(own_cluster.url), make(own_cluster.url)
    keys = {f"k{number}" for number in range(1000)}
    old.get("x")
    source = own_cluster.servers[0]
    added = own_cluster.add()
    hand_over(range(2000), source, added)
    for server in [*own_cluster.servers[:3], added]:
        until(lambda s=server: own_cluster.owner_of(s, 0) == added.port, "every primary knows")
    new.set_many(dict.fromkeys(keys, 1))

    assert keys == set(old.scan())
    old.clear()
    assert [] == list(new.scan())
    assert 0 == added.ask("DBSIZE")


def hand_over(slots: range, source, target) -> None:
    """Give slots without keys from one node to another."""
    with source.admin() as giver, target.admin() as taker:
        name, before = (str_of(one.execute_command("CLUSTER", "MYID")) for one in (taker, giver))
        for slot in slots:
            taker.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", before)
            taker.execute_command("CLUSTER", "SETSLOT", slot, "NODE", name)
            giver.execute_command("CLUSTER", "SETSLOT", slot, "NODE", name)


def test_a_node_that_hangs_while_the_map_is_asked_for(own_cluster, half):
    """Another node is asked soon, so that the keys of the others do not wait for it."""
    frozen = own_cluster.servers[0]
    cache = half(own_cluster.url, operation_timeout=10.0, command_timeout=10.0)
    prefix = cache.backend._commands.prefix
    key = next(k for k in map(str, range(9**9)) if key_slot(prefix + k.encode()) > 12_000)
    frozen.pause()
    try:
        began = time.monotonic()
        cache.set(key, 1)
        took = time.monotonic() - began
    finally:
        frozen.resume()
    assert took < 5.0, "who waits for the one that hangs waits for ten"


def test_health_follows_a_failover(own_cluster, half):
    """Once a replica has taken over, the cluster is healthy again, for who knew the old one too."""
    cache = half(own_cluster.url)
    assert cache.is_healthy() is True
    own_cluster.servers[0].kill()
    until(cache.is_healthy, "the cluster is healthy")


def test_an_address_map(cluster, half):
    """Addresses that a cluster tells and that lead nowhere from here are replaced."""
    from tests.redis.proxy import Proxy

    proxies = {server.port: Proxy(server.port) for server in cluster.servers}
    try:
        mapped = {f"127.0.0.1:{port}": f"localhost:{one.port}" for port, one in proxies.items()}
        cache = half(cluster.url, address_map=mapped)
        cache.set_many({f"k{n}": n for n in range(50)}, ttl=60)
        assert 50 == len(list(cache.scan()))
        cache.clear()
        assert all(one.accepted for port, one in proxies.items() if port in primaries(cluster))
        cache.backend.close()
    finally:
        for one in proxies.values():
            one.close()


def primaries(group) -> set[int]:
    """The ports of those that hold slots."""
    return {server.port for server in group.primaries()}
