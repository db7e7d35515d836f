"""The server is not there, goes away, hangs, or comes back: one object survives it all."""

import asyncio
import math
import socket
import threading
import time

import pytest
from tests.redis.conftest import COUNTLESS, LATE
from tests.redis.servers import PATIENCE, free_port, until

from jinpy_cache_core import CacheConnectionError, CacheException, CacheTimeoutError


def answers(port: int) -> bool:
    """Whether a server answers a PING soon."""
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.settimeout(0.05)
        sock.sendall(b"PING\r\n")
        try:
            return bool(sock.recv(10))
        except TimeoutError:
            return False


def answer(call):
    """What a call returns in the end, though a slow machine lets it time out before."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return call()
        except CacheTimeoutError:
            if time.monotonic() > deadline:
                raise


def test_a_server_that_appears_later(half, start_server):
    """Nothing is connected at construction; operations fail after four attempts, and work later."""
    port = free_port()
    cache = half(f"redis://127.0.0.1:{port}", retries=3, operation_timeout=LATE)
    for _ in range(2):
        with pytest.raises(CacheConnectionError, match=r"\(4 attempts\)") as caught:
            cache.get("k")
    assert caught.value.errno == 111
    assert caught.value.__cause__ is not None
    assert cache.is_healthy() is False
    start_server(port=str(port))
    cache.set("k", {"n": 1})
    assert {"n": 1} == cache.get("k")


def test_a_name_that_does_not_resolve(half):
    """A host that nobody knows is a connection error within the budget."""
    cache = half("redis://no-such-host.invalid:6379", retries=0)
    with pytest.raises(CacheConnectionError, match=r"no-such-host\.invalid"):
        cache.get("k")


def test_a_name_with_two_addresses(half, server):
    """Where one of a name's addresses is dead, the other one is used."""
    cache = half(f"redis://localhost:{server.port}")
    cache.set("k", 1)
    assert 1 == cache.get("k")


def test_a_black_hole(half):
    """A server whose accept queue is full answers no connection: the budget holds.

    Without it, a thousand attempts of 0.2 s would follow the first.
    """
    with socket.socket() as hole:
        hole.bind(("127.0.0.1", 0))
        hole.listen(0)
        port = hole.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        try:
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex(("127.0.0.1", port))
            cache = half(
                f"redis://127.0.0.1:{port}",
                connect_timeout=0.2,
                operation_timeout=0.6,
                retries=COUNTLESS,
            )
            began = time.monotonic()
            with pytest.raises(CacheTimeoutError):
                cache.get("k")
            assert time.monotonic() - began < LATE
        finally:
            for filler in fillers:
                filler.close()


def test_a_restart_is_not_noticed(half, server):
    """The next operation after a restart succeeds on the same object; what was there is lost."""
    cache = half(server.url)
    cache.set("k", 1)
    for _ in range(3):
        server.kill()
        server.start()
        assert cache.get("k") is None
        cache.set("k", 2)
        assert 3 == cache.incr("k")


def test_idle_connections_that_the_server_closes(half, server):
    """Whether idle connections were killed or timed out, no caller sees it, counters included."""
    cache = half(server.url)
    cache.set("n", 0)
    for expected in range(1, 6):
        server.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        assert expected == cache.incr("n")
        server.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        assert expected == cache.get("n")


def test_idle_connections_that_are_reset(half, proxy):
    """A reset on an idle connection is one of our errors or none at all."""
    cache = half(proxy.url)
    proxy.reset = True
    cache.set("k", 1)
    for _ in range(5):
        proxy.cut()
        assert 1 == cache.get("k")


HANG = 4.0
"""Seconds for which a server hangs that cannot be told to go on."""


def hang_up(server, way):
    """Let a server hang; the moment until which it surely does."""
    since = time.monotonic()
    if way == "stop":
        server.pause()
        return math.inf
    if way == "pause":
        server.ask("CLIENT", "PAUSE", int(1000 * HANG))
    else:
        with socket.create_connection(("127.0.0.1", server.port)) as sleeper:
            sleeper.sendall(f"DEBUG SLEEP {HANG}\r\n".encode())
    while answers(server.port) and time.monotonic() < since + HANG:
        pass
    return since + HANG


def outcome(call):
    """What a call returns, or the kind of error it ends in."""
    try:
        return call()
    except CacheException as error:
        return type(error)


@pytest.mark.parametrize("way", ["stop", "pause", "sleep"])
def test_a_server_that_hangs(half, make, server, way):
    """Operations time out within their budget; afterwards no reply of then reaches anyone.

    Without one they would go on, for a hundred seconds, until the server answers and they succeed.
    What a machine is too slow to see before the server answers says nothing, so it looks again.
    """
    make(server.url).set_many({f"k{number}": {"k": number} for number in range(50)})
    cache = half(server.url, command_timeout=0.1, operation_timeout=0.3, retries=COUNTLESS)
    assert {"k": 0} == answer(lambda: cache.get("k0"))
    calls = [lambda: cache.get("k1"), lambda: cache.incr("n"), lambda: cache.set("k2", 2)]
    for _ in range(5):
        hanging = hang_up(server, way)
        seen = []
        for call in calls:
            began = time.monotonic()
            seen.append(outcome(call))
            assert time.monotonic() - began < LATE
        seen.append(cache.is_healthy())
        if time.monotonic() < hanging:
            break
        until(cache.is_healthy, "the server answers again")
    else:
        pytest.fail("each time the server answered before all calls had ended")
    assert [CacheTimeoutError, CacheTimeoutError, CacheTimeoutError, False] == seen
    if way == "stop":
        server.resume()
    until(cache.is_healthy, "the server answers again")
    for number in range(3, 50):
        assert {"k": number} == answer(lambda n=number: cache.get(f"k{n}"))


@pytest.mark.parametrize(
    ("operation", "again"),
    [
        ("get", True),
        ("set", True),
        ("delete", True),
        ("get_many", True),
        ("set_many", True),
        ("delete_many", True),
        ("exists", True),
        ("ttl", True),
        ("touch", False),
        ("incr", False),
        ("decr", False),
        ("add", False),
        ("pop", False),
    ],
)
def test_a_reply_that_is_lost(half, proxy, operation, again):
    """What may be repeated is; a counter, `add` and `pop` say that their outcome is unknown."""
    cache = half(proxy.url)
    calls = {
        "get": lambda: cache.get("n"),
        "set": lambda: cache.set("n", 5),
        "delete": lambda: cache.delete("other"),
        "get_many": lambda: cache.get_many(["n", "m"]),
        "set_many": lambda: cache.set_many({"n": 5, "m": 6}),
        "delete_many": lambda: cache.delete_many(["other", "m"]),
        "exists": lambda: cache.exists("n"),
        "ttl": lambda: cache.ttl("n"),
        "touch": lambda: cache.touch("n", 60),
        "incr": lambda: cache.incr("n"),
        "decr": lambda: cache.decr("n", ttl=60),
        "add": lambda: cache.add("new", 1),
        "pop": lambda: cache.pop("n"),
    }
    cache.set("n", 5)
    cache.backend.clear()
    cache.set("n", 5)
    # Guarded transactions look first; the reply to that is let through, the second one is lost.
    looks = {"touch": 40, "pop": 20}
    proxy.cut_after = looks.get(operation, 2)
    if again:
        calls[operation]()
    else:
        with pytest.raises(CacheConnectionError, match="outcome is unknown"):
            calls[operation]()
    count = cache.get("n")
    assert count is None or 4 <= count <= 6
    assert cache.is_healthy()


def test_a_kill_under_load(server, make):
    """On one object, sync and async: no wrong value, and errors only while the server is down.

    What begins after its return succeeds. Time limits are long, so that what fails is not the
    machine; nothing waits for them.
    """
    backend = make(server.url, command_timeout=LATE, operation_timeout=LATE, pool_timeout=LATE)
    backend.set_many({f"k{n}": {"k": n, "seq": 0} for n in range(20)})
    ended = threading.Event()
    wrong: list[object] = []
    errors: list[tuple[str, float, float]] = []
    successes: list[tuple[str, float]] = []

    def note(half: str, began: float, error: CacheException | None) -> None:
        if error is None:
            successes.append((half, began))
        else:
            errors.append((half, began, time.monotonic()))

    def check(number: int, value: object) -> None:
        if value is not None and (not isinstance(value, dict) or value.get("k") != number):
            wrong.append((number, value))

    def work(seed: int) -> None:
        step = seed
        while not ended.is_set():
            step += 1
            number = step % 20
            began = time.monotonic()
            try:
                if step % 3:
                    check(number, backend.get(f"k{number}"))
                else:
                    backend.set(f"k{number}", {"k": number, "seq": step})
            except CacheException as error:
                note("sync", began, error)
            else:
                note("sync", began, None)

    async def atask(seed: int) -> None:
        step = seed
        while not ended.is_set():
            step += 1
            number = step % 20
            began = time.monotonic()
            try:
                if step % 3:
                    check(number, await backend.aget(f"k{number}"))
                else:
                    await backend.aset(f"k{number}", {"k": number, "seq": step})
            except CacheException as error:
                note("async", began, error)
            else:
                note("async", began, None)

    async def awork() -> None:
        await asyncio.gather(*[atask(1000 * n) for n in range(4)])

    def succeeded(since: float) -> bool:
        return {"sync", "async"} == {half for half, began in list(successes) if began > since}

    def failed(since: float) -> bool:
        return {"sync", "async"} == {half for half, began, _ in list(errors) if began > since}

    threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
    threads.append(threading.Thread(target=lambda: asyncio.run(awork())))
    for thread in threads:
        thread.start()
    downs: list[tuple[float, float]] = []
    try:
        until(lambda: succeeded(0.0), "the load runs")
        for _ in range(2):
            down = time.monotonic()
            server.kill()
            until(lambda d=down: failed(d), "operations fail while it is down")
            server.start()
            up = time.monotonic()
            downs.append((down, up))
            until(lambda u=up: succeeded(u), "operations succeed again")
    finally:
        ended.set()
        for thread in threads:
            thread.join(2 * LATE)
    assert [] == wrong
    assert [] == [
        (began, failed)
        for _, began, failed in errors
        if not any(down <= failed and began <= up for down, up in downs)
    ]
