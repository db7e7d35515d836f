"""TLS: what cannot be trusted is refused, and nothing falls back to plain text."""

import ssl
from datetime import UTC, datetime

import pytest
import trustme
from tests.redis.certified import encrypted_server, secure_url
from tests.redis.conftest import LATE
from tests.redis.proxy import Proxy
from tests.redis.servers import NotStarted, Server

from jinpy_cache_core import CacheConnectionError
from jinpy_cache_redis.connections.plaintext import SILENCE


@pytest.fixture(scope="module")
def authority():
    """A throw-away authority."""
    return trustme.CA()


@pytest.fixture
def serve(tmp_path, authority):
    """Start a TLS server with a certificate for these names."""
    started = []

    def start(*names: str, not_after: datetime | None = None) -> Server:
        certificate = authority.issue_cert(*names, not_after=not_after)
        server = encrypted_server(tmp_path, authority, certificate)
        started.append(server)
        try:
            return server.start()
        except NotStarted as error:
            said = str(error).strip().splitlines()[-1]
            pytest.skip(f"the server found does not start with TLS: {said}")

    yield start
    for server in started:
        server.kill()


def test_a_certificate_of_a_known_authority(half, serve, tmp_path):
    """Every operation works over TLS, large values included."""
    server = serve("127.0.0.1", "localhost")
    cache = half(secure_url(server), ssl_ca_certs=tmp_path / "ca")
    cache.set("k", "x" * 300_000)
    assert "x" * 300_000 == cache.get("k")
    for expected in range(1, 20):
        assert expected == cache.incr("n", ttl=60)
    assert cache.is_healthy() is True


def test_a_server_that_is_slow_to_shake_hands(half, serve, tmp_path):
    """It is asked once whether it speaks TLS at all, then waited for, and not asked again."""
    server = serve("127.0.0.1")
    proxy = Proxy(int(server.options["tls-port"]))
    try:
        proxy.delay = 2 * SILENCE
        cache = half(
            f"rediss://127.0.0.1:{proxy.port}/0",
            ssl_ca_certs=tmp_path / "ca",
            connect_timeout=LATE,
            command_timeout=LATE,
            operation_timeout=LATE,
        )
        cache.set("k", 1)
        assert 2 == proxy.accepted
        proxy.cut()
        assert 1 == cache.get("k")
        assert 3 == proxy.accepted
    finally:
        proxy.close()


@pytest.mark.parametrize("case", ["self-signed", "wrong name", "expired", "plain server"])
def test_what_cannot_be_trusted_is_refused(half, serve, tmp_path, standalone, case):
    """An unknown authority, another host's name, an expired certificate, no TLS at all."""
    expired = datetime(2020, 1, 1, tzinfo=UTC)
    settings = {} if case == "self-signed" else {"ssl_ca_certs": tmp_path / "ca"}
    server = serve(
        "example.org" if case == "wrong name" else "127.0.0.1",
        not_after=expired if case == "expired" else None,
    )
    url = secure_url(server)
    if case == "plain server":
        url = f"rediss://127.0.0.1:{standalone.port}/0"
    cache = half(url, retries=1, **settings)
    with pytest.raises(CacheConnectionError):
        cache.set("k", 1)
    assert cache.is_healthy() is False


def test_not_verifying_takes_a_loud_setting(half, serve):
    """`ssl_insecure_skip_verify` accepts any certificate; nothing less does."""
    server = serve("example.org")
    cache = half(secure_url(server), ssl_insecure_skip_verify=True)
    cache.set("k", 1)
    assert 1 == cache.get("k")


def test_old_protocols_are_not_spoken():
    """TLS below 1.2 is not offered."""
    from jinpy_cache_redis import RedisCacheConfig
    from jinpy_cache_redis.drivers.encryption import tls_context

    context = tls_context(RedisCacheConfig(url="rediss://h"))
    assert ssl.TLSVersion.TLSv1_2 == context.minimum_version
    assert (ssl.CERT_REQUIRED, True) == (context.verify_mode, context.check_hostname)
