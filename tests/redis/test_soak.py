"""Load for a minute while what is underneath is moved, killed and frozen."""

import asyncio
import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Self

import pytest
import trustme
from redis.crc import key_slot
from tests.redis.certified import encrypted_server, secure_url
from tests.redis.servers import Cluster, SentinelGroup, Server, str_of, until

from jinpy_cache_core import CacheException

SECONDS = 60.0
BUDGET = {"operation_timeout": 3.0, "command_timeout": 1.0, "connect_timeout": 1.0}
SLACK = 1.0
"""Seconds beyond its budget that a call may take on a machine that is busy."""

STEADY_KEYS = 500

MOVING = range(400)
"""The slots that move."""

WORKERS = 4
"""How many threads, and how many tasks of one event loop, are at work."""


class Load:
    """Threads and tasks that read, write and count, and what came of it.

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
        self._threads = [threading.Thread(target=self._work, args=(n,)) for n in range(WORKERS)]
        self._threads.append(threading.Thread(target=lambda: asyncio.run(self._work_on_a_loop())))

    def _work(self, number: int) -> None:
        chance = random.Random(number)
        cache = self.cache
        while not self._end.is_set():
            name, arguments, key = self._choice(chance)
            began = time.monotonic()
            try:
                self._compare(key, getattr(cache, name)(*arguments))
            except CacheException as error:
                self._note_error(name, error)
            self._note(name, began)

    async def _work_on_a_loop(self) -> None:
        cache = self.cache

        async def work(number: int) -> None:
            chance = random.Random(number)
            while not self._end.is_set():
                name, arguments, key = self._choice(chance)
                began = time.monotonic()
                try:
                    self._compare(key, await getattr(cache, f"a{name}")(*arguments))
                except CacheException as error:
                    self._note_error(f"a{name}", error)
                self._note(f"a{name}", began)

        await asyncio.gather(*(work(WORKERS + number) for number in range(WORKERS)))

    def _choice(self, chance: random.Random) -> tuple[str, tuple[object, ...], str]:
        """What to call, with what, and the key whose value comes of it, if one does."""
        key = f"w{chance.randrange(2000)}"
        calls: list[tuple[str, tuple[object, ...], str]] = [
            ("get", (key,), key),
            ("set", (key, key, 600), ""),
            ("pop", (key,), key),
            ("touch", (key, 600), ""),
            ("incr", (f"n{key}", 1, 600), ""),
            ("get_or_set", (key, lambda: key, 600), key),
            ("get_many", ([key, "w1"],), key),
        ]
        return chance.choice(calls)

    def _compare(self, key: str, came: object) -> None:
        for name, value in came.items() if isinstance(came, dict) else [(key, came)]:
            if name and value not in {None, name}:
                self.wrong.append((name, value))

    def _note(self, name: str, began: float) -> None:
        self.calls += 1
        self.longest[name] = max(self.longest[name], time.monotonic() - began)

    def _note_error(self, name: str, error: CacheException) -> None:
        self.errors[f"{name} {type(error).__name__}"] += 1

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
        assert {} == {name: took for name, took in longest.items() if took > allowed}


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


def move_slots(group: Cluster, end: threading.Event, source: Server, target: Server) -> int:
    """Move slots with their keys from one primary to another and back, until told; how many."""
    moved = 0
    while True:
        for giver, taker in ((source, target), (target, source)):
            for slot in MOVING:
                if end.is_set():
                    return moved
                moved += give(group, slot, giver, taker)


def give(group: Cluster, slot: int, source: Server, target: Server) -> bool:
    """Move one slot with its keys; whether the first of the two had it."""
    if group.owner_of(source, slot) != source.port:
        return False
    with source.admin() as giver, target.admin() as taker:
        here, there = (str_of(one.execute_command("CLUSTER", "MYID")) for one in (giver, taker))
        taker.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", here)
        giver.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", there)
        while keys := giver.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 100):
            giver.execute_command("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
        taker.execute_command("CLUSTER", "SETSLOT", slot, "NODE", there)
        giver.execute_command("CLUSTER", "SETSLOT", slot, "NODE", there)
    return True


@pytest.mark.soak
def test_a_cluster_whose_slots_move(tmp_path, make):
    """Slots move, a node is added and gets some, a primary is frozen, and another is killed."""
    group = Cluster(tmp_path / "cluster", 2000)
    try:
        group.start()
        cache, walker = make(group.url, **BUDGET), make(group.url, **BUDGET)
        prefix = cache._commands.prefix
        cache.set_many({f"steady{n}": n for n in range(STEADY_KEYS)})
        going = {n for n in range(STEADY_KEYS) if key_slot(prefix + b"steady%d" % n) in MOVING}
        assert going
        with Load(cache) as load:
            back_and_forth, ended, short = walked_while(
                walker,
                lambda end: move_slots(group, end, *group.servers[:2]),
                SECONDS / 4,
            )
            added = group.add()
            given, more, missed = walked_while(
                walker,
                lambda end: move_slots(group, end, group.servers[0], added),
                SECONDS / 4,
            )
            group.servers[1].pause()
            time.sleep(SECONDS / 12)
            group.servers[1].resume()
            group.servers[2].kill()
            time.sleep(SECONDS / 3)
        load.judge(
            f"cluster, {back_and_forth} slots moved, {given} more to and from a node that was "
            f"added, {ended + more} walks of which {short + missed} missed a key"
        )
        assert (0, True, True) == (short + missed, ended > 10, more > 10)
        assert (True, True) == (back_and_forth > 0, given > 0)
        until(walker.is_healthy, "the cluster is healthy")
        walker.clear()
        assert [] == list(make(group.url).scan())
    finally:
        for server in group.servers:
            if server.process is not None:
                server.resume()
        group.stop()


def walked_while(walker, disturb, seconds: float) -> tuple[int, int, int]:
    """Walk for so long while a thread disturbs until told: its result, and that of `scans`."""
    end = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        disturbing = pool.submit(disturb, end)
        try:
            ended, short = scans(walker, seconds)
        finally:
            end.set()
        return disturbing.result(), ended, short


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
