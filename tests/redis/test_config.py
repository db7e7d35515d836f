"""Settings and URLs: what they mean, what is refused, and what is never shown."""

import copy
import logging

import attrs
import pytest

from jinpy_cache_core import CacheBackendFactory, CacheConfigurationError, Secret
from jinpy_cache_redis import RedisCacheBackend, RedisCacheConfig
from jinpy_cache_redis.protocol.nodes import Node

CANARY = "c@n:a/r?y#%5B"
ENCODED = "c%40n%3Aa%2Fr%3Fy%23%255B"


@pytest.mark.parametrize(
    ("url", "kind", "nodes", "db"),
    [
        ("redis://localhost:6379/0", "server", [("localhost", 6379)], 0),
        ("redis://", "server", [("localhost", 6379)], None),
        ("redis://h", "server", [("h", 6379)], None),
        ("redis://h/3", "server", [("h", 6379)], 3),
        ("redis://h?db=4", "server", [("h", 6379)], 4),
        ("valkey://h:1/2", "server", [("h", 1)], 2),
        ("redis://[::1]:7000/1", "server", [("::1", 7000)], 1),
        ("redis://[::1]", "server", [("::1", 6379)], None),
        ("unix:///run/redis.sock?db=2", "socket", [("/run/redis.sock", 0)], 2),
        ("unix:///a%20b", "socket", [("/a b", 0)], None),
        ("redis+sentinel://a,b:1,c/svc/5", "sentinel", [("a", 26379), ("b", 1), ("c", 26379)], 5),
        ("redis+cluster://a:1,b", "cluster", [("a", 1), ("b", 6379)], None),
    ],
)
def test_urls(url, kind, nodes, db):
    """Each scheme, with hosts, ports, paths and databases."""
    config = RedisCacheConfig(url=url)
    assert kind == config.kind
    assert [Node(*node) for node in nodes] == list(config.nodes)
    assert db == config.db


@pytest.mark.parametrize(
    "url",
    [
        f"redis://user:{ENCODED}@h:1/2",
        f"rediss://user:{ENCODED}@h:1/2",
        f"unix://user:{ENCODED}@/run/r.sock",
        f"redis+sentinel://user:{ENCODED}@a,b/svc",
        f"redis+cluster://user:{ENCODED}@a,b",
    ],
)
def test_credentials_leave_the_url(url):
    """User and password are decoded once, moved out of the URL, and shown nowhere."""
    config = RedisCacheConfig(url=url)
    assert ("user", Secret(CANARY)) == (config.username, config.password)
    shown = [repr(config), str(config), config.url, repr(attrs.asdict(config))]
    shown.append(repr(RedisCacheBackend(config)))
    assert not [text for text in shown if CANARY in text or ENCODED in text]
    assert config == config.evolve()
    assert config == copy.copy(config)


@pytest.mark.parametrize(
    "url",
    [
        "http://h",
        "redis://h:port",
        "redis://h:0",
        "redis://h:99999",
        "redis://h/db",
        "redis://h/1/2",
        "redis://a,b",
        "unix://",
        "redis+sentinel://a",
        "redis+cluster://a?db=3",
        "redis://[::1",
        "redis://h?ssl_cert_reqs=none",
        "redis://h?pool_siez=3",
        "redis://h?pool_size=many",
        f"redis://:{CANARY}@h",
        "redis://:canary/slash@h:6379/0",
        "redis://:canary#hash@h",
        "redis://:canary?mark@h",
        "redis://user@h",
    ],
)
def test_urls_that_are_refused(url):
    """With a sentence that repeats no password, even one that was not percent-encoded."""
    with pytest.raises(CacheConfigurationError) as caught:
        RedisCacheConfig(url=url)
    assert "canary" not in str(caught.value) + repr(caught.value.__cause__)
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        {"pool_size": 0},
        {"pool_size": True},
        {"connect_timeout": 0},
        {"command_timeout": float("nan")},
        {"operation_timeout": float("inf")},
        {"retries": -1},
        {"db": -1},
        {"on_error": "ignore"},
        {"namespace": "a:b"},
        {"username": "u"},
        {"url": "unix:///s", "ssl": True},
        {"ssl_keyfile": "/k"},
        {"url": "redis://h/1", "db": 2},
        {"url": "redis://:a@h", "password": "b"},
        {"url": None},
        {"decode_responses": "yes"},
        {"default_ttl": -1},
    ],
)
def test_settings_that_are_refused(settings):
    """With a sentence that names the setting."""
    with pytest.raises(CacheConfigurationError) as caught:
        RedisCacheConfig(**settings)
    assert any(name in str(caught.value) for name in settings)


def test_the_query_sets_fields():
    """A URL's query gives settings by name, to the class and to the factory alike."""
    url = f"rediss://:{ENCODED}@h:1/2?pool_size=3&name=shop&namespace=n&retries=0"
    direct = RedisCacheConfig(url=url)
    backend = CacheBackendFactory.create(url)
    for config in (direct, backend.config):
        assert isinstance(config, RedisCacheConfig)
        assert (3, 0, "n") == (config.pool_size, config.retries, config.namespace)
        assert ("shop", 2, True) == (config.name, config.db, config.ssl)
        assert Secret(CANARY) == config.password
    backend.close()


def test_a_factory_error_shows_no_password():
    """What the factory reports of a bad URL has no password in it."""
    with pytest.raises(CacheConfigurationError) as caught:
        CacheBackendFactory.create("redis://:canary/x@h:1/0?pool_size=0")
    assert "canary" not in str(caught.value)


def test_the_namespace():
    """It is the name unless given; `None` means raw keys and stays."""
    assert "redis" == RedisCacheConfig().namespace
    assert "shop" == RedisCacheConfig(name="shop").namespace
    assert "n" == RedisCacheConfig(name="shop", namespace="n").namespace
    assert RedisCacheConfig(namespace=None).namespace is None


@pytest.mark.parametrize(
    ("url", "warned"),
    [
        ("redis://:p@example.org", True),
        ("redis://:p@10.0.0.1", True),
        ("rediss://:p@example.org", False),
        ("redis://:p@localhost", False),
        ("redis://:p@127.0.0.9", False),
        ("redis://:p@[::1]", False),
        ("unix://:p@/s", False),
        ("redis://example.org", False),
    ],
)
def test_a_password_in_plain_text_is_warned_of(url, warned, caplog):
    """A password that leaves this machine unencrypted is worth a warning."""
    with caplog.at_level(logging.WARNING):
        RedisCacheBackend(RedisCacheConfig(url=url))
    assert warned == ("plain text" in caplog.text)
