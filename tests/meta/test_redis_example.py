"""The reference page's example of Redis, verbatim, as a program with top-level await."""

import ast
import asyncio
import inspect
import types
from collections.abc import Iterator

import pytest
from tests.redis.servers import Server, find_program

EXAMPLE = """
from jinpy_utils.cache import Cache, CacheManager, CacheManagerConfig, RedisCacheConfig

cfg = CacheManagerConfig(
    default_backend="redis",
    backends=[
        RedisCacheConfig(
            name="redis",
            url="redis://localhost:6379/0",
            decode_responses=False,
            pool_size=10,
        )
    ]
)
CacheManager(cfg)  # initialize

cache = Cache(backend="redis")
await cache.aset("k", {"v": 1}, ttl=30)
value = await cache.aget("k")
"""


@pytest.fixture
def standalone(tmp_path) -> Iterator[Server]:
    """A server for this test."""
    if find_program() is None:
        pytest.skip("no redis-server or valkey-server on PATH")
    server = Server(tmp_path).start()
    yield server
    server.kill()


def test_the_example_runs(standalone: Server):
    """Word for word, but for the port of the server."""
    source = EXAMPLE.replace("localhost:6379", f"localhost:{standalone.port}")
    code = compile(source, "<example>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    scope: dict[str, object] = {}
    function = types.FunctionType(code, scope)

    async def main() -> object:
        returned = function()
        if inspect.isawaitable(returned):
            await returned
        value = scope["value"]
        manager = scope["CacheManager"]()  # type: ignore[operator]
        await manager.aclose()
        return value

    assert {"v": 1} == asyncio.run(main())
