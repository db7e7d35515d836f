"""Errors that a server answers with: which become what, and what may be tried again."""

import pytest
from tests.redis.rights import documented
from tests.redis.servers import link_up, until

from jinpy_cache_core import (
    MISSING,
    CacheBackendError,
    CacheConnectionError,
    CacheSerializationError,
    CacheValueError,
)

CANARY = "canary-p@ss:w/rd"


def flat(error):
    """Everything that an error and its causes say."""
    texts = []
    while error is not None:
        texts += [str(error), repr(error), repr(getattr(error, "to_dict", dict)())]
        error = error.__cause__ or error.__context__
    return "\n".join(texts)


def test_memory_is_full(half, start_server):
    """Writes are refused with the server's code, half-applied never; reads and deletes go on."""
    server = start_server()
    cache = half(server.url)
    cache.set("kept", {"n": 1})
    cache.set("counter", 7)
    server.ask("CONFIG", "SET", "maxmemory", 1)
    for call in (
        lambda: cache.set("new", "x" * 100),
        lambda: cache.incr("fresh", ttl=60),
        lambda: cache.incr("counter"),
        lambda: cache.set_many({"a": 1, "b": 2}),
        lambda: cache.add("added", 1),
    ):
        with pytest.raises(CacheBackendError) as caught:
            call()
        assert "OOM" == caught.value.server_code
    assert cache.is_healthy() is False
    assert {"kept": {"n": 1}, "counter": 7} == cache.get_many(["kept", "counter"])
    assert not cache.exists("fresh")
    assert cache.delete("kept") is True
    server.ask("CONFIG", "SET", "maxmemory", 0)
    cache.set("new", 1)
    assert cache.is_healthy() is True


def test_evicted_keys_are_misses(half, start_server):
    """What the server evicts reads as a miss."""
    server = start_server(maxmemory="3mb", maxmemory_policy="allkeys-lru")
    cache = half(server.url)
    for batch in range(20):
        cache.set_many({f"k{batch}-{n}": "x" * 2000 for n in range(100)})
    values = cache.get_many([f"k{batch}-{n}" for batch in range(20) for n in range(100)])
    assert {"x" * 2000, None} == set(values.values())


def test_a_primary_that_is_demoted(half, start_server):
    """Writes to what has become a replica are connection errors; reads work; it heals by itself."""
    primary, server = start_server(), start_server()
    cache = half(server.url, retries=1)
    cache.set("k", 1)
    server.ask("REPLICAOF", "127.0.0.1", primary.port)
    for call in (lambda: cache.set("k", 2), lambda: cache.incr("n"), lambda: cache.incr("n", 1, 9)):
        with pytest.raises(CacheConnectionError) as caught:
            call()
        assert "READONLY" == caught.value.server_code
    assert cache.is_healthy() is False
    until(lambda: link_up(server), "the replica follows")
    assert cache.get("k") is None
    server.ask("REPLICAOF", "NO", "ONE")
    cache.set("k", 3)
    assert 3 == cache.get("k")
    assert cache.is_healthy() is True


def test_too_many_clients(half, start_server):
    """A server that takes no more clients is one that cannot be reached, until it can."""
    server = start_server()
    with server.admin() as admin:
        admin.ping()
        admin.config_set("maxclients", 1)
        cache = half(server.url, retries=1)
        with pytest.raises(CacheConnectionError):
            cache.get("k")
        admin.config_set("maxclients", 100)
    assert cache.get("k") is None


@pytest.mark.parametrize("times", [2, 99])
def test_a_server_that_loads(half, fake, times):
    """A server that still loads its data is waited for within the budget, counters included."""
    left = [times]

    def answer(command):
        left[0] -= 1
        if left[0] >= 0:
            return b"-LOADING Redis is loading the dataset in memory\r\n"
        return b":1\r\n"

    server = fake(answer)
    cache = half(server.url)
    if times == 2:
        assert 1 == cache.incr("n")
        assert 3 == len(server.commands)
    else:
        with pytest.raises(CacheConnectionError) as caught:
            cache.incr("n")
        assert "LOADING" == caught.value.server_code
        assert 4 == len(server.commands)


@pytest.mark.parametrize(
    ("code", "attempts"),
    [
        ("MISCONF", 1),
        ("BUSY", 1),
        ("NOREPLICAS", 1),
        ("ERR", 1),
        ("MASTERDOWN", 4),
        ("TRYAGAIN", 4),
        ("CLUSTERDOWN", 4),
    ],
)
def test_any_error_reply(half, fake, code, attempts):
    """Each keeps its code; only states that pass are waited for."""
    server = fake(lambda _: f"-{code} something is wrong\r\n".encode())
    cache = half(server.url)
    with pytest.raises(CacheBackendError) as caught:
        cache.get("k")
    assert code == caught.value.server_code
    assert "something is wrong" in str(caught.value)
    assert attempts == len(server.commands)


@pytest.mark.parametrize("given", [CANARY, "", None], ids=["wrong", "user only", "none"])
def test_a_wrong_password(half, start_server, caplog, given):
    """It is refused at once, tried once, and seen nowhere."""
    server = start_server(requirepass="right")
    settings = {} if given is None else {"password": given or "wrong", "username": "somebody"}
    cache = half(server.url, **settings)
    with caplog.at_level("DEBUG"), pytest.raises(CacheConnectionError) as caught:
        cache.get("k")
    assert CANARY not in flat(caught.value) + caplog.text + repr(cache.backend.config)
    if given is not None:
        with server.admin() as admin:
            assert 1 == admin.info("errorstats")["errorstat_WRONGPASS"]["count"]
    assert cache.is_healthy() is False


def test_a_right_password_and_then_another(half, start_server):
    """A password that changes does not harm standing connections, and refuses new ones."""
    server = start_server(requirepass=CANARY)
    cache = half(server.url, password=CANARY)
    cache.set("k", 1)
    assert cache.is_healthy() is True
    server.ask("CONFIG", "SET", "requirepass", "another")
    server.password = "another"
    assert 1 == cache.get("k")
    server.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    with pytest.raises(CacheConnectionError) as caught:
        cache.get("k")
    assert CANARY not in flat(caught.value)


def test_a_user_with_the_documented_rights(half, start_server):
    """Every operation works with the documented access control list and no more, without EVAL."""
    server = start_server()
    server.ask(
        "ACL",
        "SETUSER",
        "app",
        "on",
        ">" + CANARY,
        "~ours:*",
        "&*",
        "-@all",
        *documented("on every server"),
    )
    cache = half(server.url, username="app", password=CANARY, namespace="ours")
    cache.set("k", {"n": 1}, ttl=60)
    cache.set_many({"a": 1, "b": 2})
    assert {"k": {"n": 1}, "z": None} == cache.get_many(["k", "z"])
    assert (1, 2, 2) == (cache.incr("n", ttl=60), cache.incr("n"), cache.pop("n"))
    assert (True, True, True) == (cache.touch("k", 9), cache.touch("k", 1e99), cache.exists("k"))
    assert (True, 2, False) == (cache.add("x", 1), cache.delete_many(["a", "b"]), cache.delete("a"))
    assert {"k", "x"} == set(cache.scan())
    assert cache.ttl("k") is not None
    assert cache.is_healthy() is True
    cache.clear()
    assert [] == list(cache.scan())


def test_a_user_without_rights(half, start_server):
    """A command that the user may not run is a connection error, at once."""
    server = start_server()
    server.ask("ACL", "SETUSER", "app", "on", ">" + CANARY, "~*", "-@all", "+get", "+select")
    cache = half(server.url, username="app", password=CANARY)
    assert cache.get("k") is None
    with pytest.raises(CacheConnectionError) as caught:
        cache.set("k", 1)
    assert "NOPERM" == caught.value.server_code
    assert CANARY not in flat(caught.value)
    assert cache.is_healthy() is False


def test_foreign_types_under_our_keys(half, standalone):
    """A list under a key is an error of the value where it is read, a miss among many."""
    cache = half(standalone.url)
    name = cache.backend.name
    standalone.ask("RPUSH", f"{name}:list", "a")
    for call in (lambda: cache.get("list"), lambda: cache.incr("list"), lambda: cache.pop("list")):
        with pytest.raises(CacheValueError):
            call()
    assert {"list": None} == cache.get_many(["list"])
    assert cache.exists("list") is True
    assert ["list"] == list(cache.scan("li"))
    assert cache.delete("list") is True


@pytest.mark.parametrize("foreign", [b"\x80\x04K\x01.", b"{broken", b"\xc1", b"\xc1\x01"])
def test_foreign_bytes_under_our_keys(half, standalone, foreign):
    """Bytes that the serializer did not write are an error, not a value, and never run."""
    cache = half(standalone.url)
    standalone.ask("SET", f"{cache.backend.name}:k", foreign)
    with pytest.raises(CacheSerializationError):
        cache.get("k")
    cache.set("k", 1)
    assert 1 == cache.get("k", MISSING)


def test_a_value_beyond_the_servers_limit(half, start_server):
    """A value that the protocol's limit refuses is an error, and the next operation works."""
    server = start_server(proto_max_bulk_len="1mb")
    cache = half(server.url, retries=0)
    with pytest.raises((CacheConnectionError, CacheBackendError)):
        cache.set("big", "x" * 3_000_000)
    cache.set("small", 1)
    assert 1 == cache.get("small")
    limited = half(server.url, max_value_bytes=1000)
    with pytest.raises(CacheValueError):
        limited.set("small", "x" * 2000)
    assert 1 == limited.get("small")


OPERATIONS = {
    "get": lambda cache: cache.get("k"),
    "set": lambda cache: cache.set("k", 1),
    "set for ever": lambda cache: cache.set("k", 1, None),
    "set for no time": lambda cache: cache.set("k", 1, 0),
    "add": lambda cache: cache.add("k", 1),
    "delete": lambda cache: cache.delete("k"),
    "exists": lambda cache: cache.exists("k"),
    "ttl": lambda cache: cache.ttl("k"),
    "touch": lambda cache: cache.touch("k", 9),
    "incr": lambda cache: cache.incr("k"),
    "incr with a lifetime": lambda cache: cache.incr("k", ttl=9),
    "pop": lambda cache: cache.pop("k"),
    "get_many": lambda cache: cache.get_many(["k", "l"]),
    "set_many": lambda cache: cache.set_many({"k": 1, "l": 2}),
    "delete_many": lambda cache: cache.delete_many(["k", "l"]),
    "scan": lambda cache: list(cache.scan()),
    "clear": lambda cache: cache.clear(),
    "get_or_set": lambda cache: cache.get_or_set("k", lambda: 1, force_refresh=True),
    "get_or_set_many": lambda cache: cache.get_or_set_many(
        ["k", "l"], lambda keys: dict.fromkeys(keys, 1), force_refresh=True
    ),
}

UNLIKELY = {
    "text": b"+HELLO\r\n",
    "a list": b"*2\r\n+a\r\n*0\r\n",
    "a map": b"%1\r\n+a\r\n:1\r\n",
    "a float": b",1.5\r\n",
    "a truth": b"#t\r\n",
    "another integer": b":-7\r\n",
}
"""Well-formed replies that none of these commands gets."""

FITTING = {
    ("get", "text"),  # a value, if one that the serializer did not write
    ("get_many", "a list"),  # the same, of the first of them
    ("incr", "another integer"),
}


@pytest.mark.parametrize("kind", UNLIKELY)
@pytest.mark.parametrize("name", OPERATIONS)
def test_replies_that_no_server_gives(half, fake, name, kind):
    """They are not believed, whatever was asked: neither as an answer nor as a crash."""
    server = fake(lambda _: UNLIKELY[kind])
    cache = half(server.url, retries=0, on_error="raise")
    if (name, kind) in FITTING:
        pytest.skip("such a reply is one")
    with pytest.raises(CacheConnectionError, match="which no server does"):
        OPERATIONS[name](cache)
    assert cache.is_healthy() is False


@pytest.mark.parametrize("kind", UNLIKELY)
@pytest.mark.parametrize("scheme", ["redis+cluster", "redis+sentinel"])
def test_maps_that_no_server_gives(half, fake, scheme, kind):
    """Who answers so knows nothing about slots or primaries."""
    server = fake(lambda _: UNLIKELY[kind])
    service = "/main" if scheme.endswith("sentinel") else ""
    cache = half(f"{scheme}://127.0.0.1:{server.port}{service}", retries=0)
    with pytest.raises(CacheConnectionError, match=r"No node of the cluster|No sentinel"):
        cache.get("k")
