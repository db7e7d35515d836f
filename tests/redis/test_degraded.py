"""`on_error="miss"`: the application goes on without its cache, but never by accident."""

import pytest
from tests.redis.servers import free_port

from jinpy_cache_core import CacheConnectionError, CacheKeyError, CacheSerializationError


@pytest.fixture
def down(half):
    """A cache whose server is not there."""
    return half(f"redis://127.0.0.1:{free_port()}", on_error="miss", retries=0)


def test_reads_are_misses_and_writes_do_nothing(down, caplog):
    """Each is counted; a state is logged once, with the operation that met it."""
    assert "d" == down.get("k", "d")
    assert {"a": 0, "b": 0} == down.get_many(["a", "b"], 0)
    assert (False, None, []) == (down.exists("k"), down.ttl("k"), list(down.scan()))
    assert (None, None) == (down.set("k", 1), down.set_many({"a": 1}))
    assert (False, False) == (down.add("k", 1), down.touch("k", 5))
    assert 9 == down.backend.degraded
    assert 1 == caplog.text.count("was gone without")
    assert 1 == caplog.text.count("does not answer; it is left alone")
    assert "operation=get" in caplog.text
    assert down.is_healthy() is False


@pytest.mark.parametrize(
    "call",
    [
        lambda c: c.delete("k"),
        lambda c: c.delete_many(["k"]),
        lambda c: c.clear(),
        lambda c: c.pop("k"),
        lambda c: c.incr("n"),
        lambda c: c.decr("n"),
        lambda c: c.set("k", 1, ttl=0),
        lambda c: c.set_many({"k": 1}, ttl=0),
        lambda c: c.touch("k", 0),
    ],
)
def test_a_removal_or_a_count_that_fails_is_never_hidden(down, call):
    """Who asks for something to be gone, or counted, must know that it is not."""
    with pytest.raises(CacheConnectionError):
        call(down)
    assert 0 == down.backend.degraded


def test_mistakes_of_the_caller_are_not_hidden(down):
    """A bad key or value is an error whatever the policy."""
    with pytest.raises(CacheKeyError):
        down.get("")
    with pytest.raises(CacheSerializationError):
        down.set("k", lambda: None)


def test_it_is_back_when_the_server_is(half, start_server):
    """The same object caches again as soon as it can."""
    port = free_port()
    cache = half(f"redis://127.0.0.1:{port}", on_error="miss", retries=0)
    cache.set("k", 1)
    start_server(port=str(port))
    cache.set("k", 2)
    assert 2 == cache.get("k")


async def test_a_loader_goes_on(down):
    """`get_or_set` computes for its caller while the server is away, and stores nothing."""
    cache = down.backend
    assert "computed" == await cache.aget_or_set("k", lambda: "computed")
    assert {"a": 1} == cache.get_or_set_many(["a"], lambda keys: dict.fromkeys(keys, 1))
    assert "again" == cache.get_or_set("k", lambda: "again")
    assert 3 == cache.degraded
    assert 3 == cache.stats().unstored
