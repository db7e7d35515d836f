"""The Redis backend keeps the contract of every backend, on every topology it can talk to."""

import contextlib
import math
import sys
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
import redis
from tests.redis.rights import USER, admit
from tests.redis.servers import Cluster, SentinelGroup, Server

from jinpy_cache_redis import RedisCacheBackend, RedisCacheConfig
from jinpy_cache_testing import BackendContract, FakeClock


def let_time_pass(client: "redis.Redis", namespace: str, seconds: float) -> None:
    """Bring every deadline of a namespace nearer, as a server's clock cannot be told the time."""
    pattern = f"{namespace}:*"
    for key in client.scan_iter(match=pattern, count=1000):
        left = client.pttl(key)
        if left >= 0:
            after = left - seconds * 1000
            if after <= 0:
                client.unlink(key)
            else:
                client.pexpire(key, max(1, round(after)))


class OnRedis(BackendContract):
    """What every topology shares."""

    __test__ = False
    exact_clock = False
    decode_responses: ClassVar[bool] = False

    @pytest.fixture(autouse=True)
    def _place(self) -> None:
        raise NotImplementedError

    url: str
    ports: list[int]

    def make_backend(self, clock: FakeClock, **settings: Any) -> RedisCacheBackend:
        """Build one over the topology's servers."""
        config = RedisCacheConfig(url=self.url, decode_responses=self.decode_responses, **settings)
        return RedisCacheBackend(config, clock=clock)

    def seconds(self, expected: float) -> object:
        """Lifetimes run on the server's clock, and this machine may be busy."""
        return expected if math.isinf(expected) else pytest.approx(expected, abs=3.0)

    def advance(self, backend: RedisCacheBackend, clock: FakeClock, seconds: float) -> None:
        """Let time pass on every server."""
        clock.advance(seconds)
        for port in self.ports:
            client = redis.Redis(port=port, protocol=2)
            with contextlib.closing(client):
                let_time_pass(client, str(backend.config.namespace), seconds)


class TestStandalone(OnRedis):
    """One server, every serializer."""

    __test__ = True

    @pytest.fixture(autouse=True)
    def _place(self, standalone: Server) -> None:
        self.url, self.ports = standalone.url, [standalone.port]


class TestSealed(TestStandalone):
    """One server, with everything compressed and encrypted."""

    serializers = ("msgpack",)

    def make_backend(self, clock: FakeClock, **settings: Any) -> RedisCacheBackend:
        """Build one, if the libraries for it are installed."""
        pytest.importorskip("cryptography")
        pytest.importorskip("backports.zstd" if sys.version_info < (3, 14) else "compression.zstd")
        settings = {"compression": "zstd", "encryption": "k" * 32, **settings}
        return super().make_backend(clock, **settings)


class TestDecodingResponses(OnRedis):
    """One server, with the setting that turns replies into text in redis-py."""

    __test__ = True
    serializers = ("msgpack",)
    decode_responses = True

    @pytest.fixture(autouse=True)
    def _place(self, standalone: Server) -> None:
        self.url, self.ports = standalone.url, [standalone.port]


class TestCluster(OnRedis):
    """Three primaries with replicas."""

    __test__ = True
    serializers = ("msgpack", "pickle")

    @pytest.fixture(autouse=True)
    def _place(self, cluster: Cluster) -> None:
        self.url = cluster.url
        self.ports = [server.port for server in cluster.primaries()]


class TestSentinel(OnRedis):
    """The primary that sentinels name."""

    __test__ = True
    serializers = ("msgpack",)

    @pytest.fixture(autouse=True)
    def _place(self, sentinels: SentinelGroup) -> None:
        self.url, self.ports = sentinels.url, [sentinels.primary.port]


class TestBorrowedClients(OnRedis):
    """One server, over clients that the application has made."""

    __test__ = True
    serializers = ("msgpack",)

    @pytest.fixture(autouse=True)
    def _place(self, standalone: Server) -> Iterator[None]:
        self.url, self.ports = standalone.url, [standalone.port]
        self.client = redis.Redis(port=standalone.port, max_connections=20)
        yield
        self.client.close()

    def make_backend(self, clock: FakeClock, **settings: Any) -> RedisCacheBackend:
        """Build one over the client; its asynchronous half uses worker threads."""
        config = RedisCacheConfig(url=self.url, client=self.client, **settings)
        return RedisCacheBackend(config, clock=clock)


class Rightful(OnRedis):
    """A user who has the rights that the documentation names, and no others."""

    __test__ = False
    serializers = ("msgpack",)

    def make_backend(self, clock: FakeClock, **settings: Any) -> RedisCacheBackend:
        """Build one that is that user."""
        return super().make_backend(clock, **USER, **settings)


class TestRightsInACluster(Rightful):
    """Three primaries with replicas."""

    __test__ = True

    @pytest.fixture(autouse=True)
    def _place(self, cluster: Cluster) -> None:
        self.url = cluster.url
        self.ports = [server.port for server in cluster.primaries()]
        for server in cluster.servers:
            admit(server, "on every server", "in a cluster")


class TestRightsWithSentinels(Rightful):
    """The primary that sentinels name; on these the user has rights too."""

    __test__ = True

    @pytest.fixture(autouse=True)
    def _place(self, sentinels: SentinelGroup) -> None:
        self.url, self.ports = sentinels.url, [sentinels.primary.port]
        admit(sentinels.primary, "on every server", "on a server that sentinels")
        for sentinel in sentinels.sentinels:
            admit(sentinel, "on the sentinels")

    def make_backend(self, clock: FakeClock, **settings: Any) -> RedisCacheBackend:
        """Build one that is that user to the sentinels as well."""
        told = {f"sentinel_{name}": value for name, value in USER.items()}
        return super().make_backend(clock, **told, **settings)
