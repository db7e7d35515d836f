"""Load for a minute while what is underneath is moved, killed and frozen."""

import random
import threading
import time
from collections import Counter
from typing import Self

import pytest
import trustme
from redis.crc import key_slot
from tests.redis.certified import encrypted_server, secure_url
from tests.redis.servers import Cluster, SentinelGroup, str_of, until

from jinpy_cache_core import CacheException

SECONDS = 60.0
BUDGET = {"operation_timeout": 3.0, "command_timeout": 1.0, "connect_timeout": 1.0}
SLACK = 1.0
"""Seconds beyond its budget that a call may take on a machine that is busy."""

STEADY_KEYS = 500

COMPUTING = "get_or_set"

LEASE = 5.0
"""Seconds that a call may wait for a computation whose lease was lost with its connection."""


class Load:
    """Threads that read, write and count, and what came of it.

    Args:
        cache: The backend.
    """

    def __init__(self, cache) -> None:
        self.cache = cache
        self.longest: Counter[str] = Counter()
        self.calls = 0
        self.errors: Counter[str] = Counter()
        self.wrong: list[object] = []
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(n,)) for n in range(4)]

    def _work(self, number: int) -> None:
        chance = random.Random(number)
        calls = {
            "get": lambda key: self._compare(key, self.cache.get(key)),
            "set": lambda key: self.cache.set(key, key, 600),
            "pop": lambda key: self._compare(key, self.cache.pop(key)),
            "touch": lambda key: self.cache.touch(key, 600),
            "incr": lambda key: self.cache.incr(f"n{key}", ttl=600),
            COMPUTING: lambda key: self._compare(key, self.cache.get_or_set(key, lambda: key, 600)),
            "get_many": lambda key: [
                self._compare(*one) for one in self.cache.get_many([key, "w1"]).items()
            ],
        }
        while not self._end.is_set():
            key = f"w{chance.randrange(2000)}"
            name = chance.choice(list(calls))
            began = time.monotonic()
            try:
                calls[name](key)
            except CacheException as error:
                self.errors[f"{name} {type(error).__name__}"] += 1
            self.calls += 1
            self.longest[name] = max(self.longest[name], time.monotonic() - began)

    def _compare(self, key: str, value: object) -> None:
        if value not in {None, key}:
            self.wrong.append((key, value))

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()

    def judge(self, what: str) -> None:
        """No wrong value, and no call beyond its budget."""
        longest = {name: round(took, 2) for name, took in self.longest.items()}
        figures = f"{self.calls} calls, longest {longest}, errors {dict(self.errors)}"
        print(f"{what}: {figures}")  # noqa: T201 - the figures are what it is run for
        assert [] == self.wrong
        allowed = BUDGET["operation_timeout"] + SLACK
        late = {name for name, took in longest.items() if took > allowed}
        assert late <= {COMPUTING}
        assert longest[COMPUTING] < 2 * allowed + LEASE


def scans(walker, seconds: float) -> tuple[int, int]:
    """Walk for so long: how many walks ended, and how many of them missed a key."""
    ended = short = 0
    until_then = time.monotonic() + seconds
    while time.monotonic() < until_then:
        try:
            seen = set(walker.scan("steady"))
        except CacheException:
            continue
        ended += 1
        short += len(seen) != STEADY_KEYS
    return ended, short


def move_slots(group: Cluster, end: threading.Event) -> int:
    """Move slots with their keys from the first primary to the second and back, until told."""
    moved = 0
    first, second = group.servers[:2]
    pairs = [(first, second), (second, first)]
    slots = range(400)
    while not end.is_set():
        for source, target in pairs:
            with source.admin() as giver, target.admin() as taker:
                here, there = (
                    str_of(one.execute_command("CLUSTER", "MYID")) for one in (giver, taker)
                )
                for slot in slots:
                    if group.owner_of(source, slot) != source.port:
                        continue
                    taker.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", here)
                    giver.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", there)
                    while keys := giver.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 100):
                        giver.execute_command(
                            "MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys
                        )
                    taker.execute_command("CLUSTER", "SETSLOT", slot, "NODE", there)
                    giver.execute_command("CLUSTER", "SETSLOT", slot, "NODE", there)
                    moved += 1
    return moved


@pytest.mark.soak
def test_a_cluster_whose_slots_move(tmp_path, make):
    """Half of the time slots move; then a primary is frozen, and another is killed."""
    group = Cluster(tmp_path / "cluster", 2000)
    try:
        group.start()
        cache, walker = make(group.url, **BUDGET), make(group.url, **BUDGET)
        prefix = cache._commands.prefix
        cache.set_many({f"steady{n}": n for n in range(STEADY_KEYS)})
        assert any(key_slot(prefix + b"steady%d" % n) < 400 for n in range(STEADY_KEYS))
        end = threading.Event()
        counts: list[int] = []
        mover = threading.Thread(target=lambda: counts.append(move_slots(group, end)))
        with Load(cache) as load:
            mover.start()
            ended, short = scans(walker, SECONDS / 2)
            end.set()
            mover.join()
            group.servers[1].pause()
            time.sleep(SECONDS / 12)
            group.servers[1].resume()
            group.servers[2].kill()
            time.sleep(SECONDS / 3)
        load.judge(f"cluster, {counts[0]} slots moved, {ended} walks of which {short} missed a key")
        assert (0, True) == (short, ended > 10)
        until(walker.is_healthy, "the cluster is healthy")
        walker.clear()
        assert [] == list(make(group.url).scan())
    finally:
        for server in group.servers:
            if server.process is not None:
                server.resume()
        group.stop()


@pytest.mark.soak
def test_sentinels_through_failovers(tmp_path, make):
    """The primary is killed while everybody is at work."""
    group = SentinelGroup(tmp_path / "sentinels", 1500)
    try:
        group.start()
        cache = make(group.url, **BUDGET)
        with Load(cache) as load:
            time.sleep(SECONDS / 6)
            group.primary.kill()
            time.sleep(SECONDS * 5 / 6)
        load.judge("sentinels, one failover")
        assert cache.is_healthy() is True
    finally:
        group.stop()


@pytest.mark.soak
def test_tls_with_connections_that_are_cut(tmp_path, make):
    """Encrypted, while the server closes every connection again and again."""
    authority = trustme.CA()
    server = encrypted_server(tmp_path, authority, authority.issue_cert("127.0.0.1")).start()
    try:
        cache = make(secure_url(server), ssl_ca_certs=tmp_path / "ca", **BUDGET)
        cache.set_many({f"steady{n}": n for n in range(STEADY_KEYS)})
        with Load(cache) as load:
            ended = short = 0
            for _ in range(20):
                more, missed = scans(cache, SECONDS / 20)
                ended, short = ended + more, short + missed
                server.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        load.judge(f"TLS, {ended} walks of which {short} missed a key")
        assert 0 == short
    finally:
        server.kill()
