"""Everything that can be done to processes that share a server, for a while, and what must hold.

They keep values in one database, which is emptied under them again and again, and count in another
one. The server is stopped, cuts every connection, and has no memory left now and then. `tests.soak`
has the rest. It is not killed: what a server that keeps nothing on disk has counted dies with it.
"""

import time

import pytest
from tests.redis.servers import Server
from tests.soak import COUNTERS, SECONDS, Conductor, judge
from tests.telltale import assert_whole

from jinpy_cache_redis import RedisCacheBackend, RedisCacheConfig

pytestmark = [
    pytest.mark.soak,
    pytest.mark.faults,
    pytest.mark.timeout(0),
    pytest.mark.filterwarnings("ignore:This process:DeprecationWarning"),
]


class Shared:
    """Opens the caches on a server, and harms it.

    Args:
        server: One of its own.
    """

    def __init__(self, server: Server, said) -> None:
        self._server = server
        self.conductor = Conductor(
            self.values,
            self.counts,
            said,
            {
                "emptied": self._empty,
                "filled": self._fill,
                "cut": self._cut,
                "frozen": self._freeze,
            },
        )

    def values(self) -> RedisCacheBackend:
        """The cache whose database is emptied."""
        return self._opened(1)

    def counts(self) -> RedisCacheBackend:
        """The cache whose database is left alone."""
        return self._opened(0)

    def _opened(self, database: int) -> RedisCacheBackend:
        return RedisCacheBackend(
            RedisCacheConfig(
                name="shared",
                url=f"redis://127.0.0.1:{self._server.port}/{database}",
                pool_size=3,
                pool_timeout=1,
                connect_timeout=1,
                command_timeout=1,
                operation_timeout=3,
            )
        )

    def _pause(self, most: float) -> None:
        time.sleep(self.conductor.chance.uniform(0.05, most))

    def _empty(self) -> None:
        self._server.ask("EVAL", "redis.call('SELECT', 1) return redis.call('FLUSHDB')", "0")

    def _fill(self) -> None:
        self._server.ask("CONFIG", "SET", "maxmemory", "1")
        self._pause(0.3)
        self._server.ask("CONFIG", "SET", "maxmemory", "0")

    def _cut(self) -> None:
        self._server.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        self._pause(0.1)

    def _freeze(self) -> None:
        self._server.pause()
        self._pause(1.5)
        self._server.resume()


def test_nothing_that_is_done_to_processes_harms_a_shared_server(
    start_server, tmp_path, capfd, record_property
):
    """No wrong value, no lost count, no end of a process, and no connection that stays."""
    server = start_server(maxmemory_policy="noeviction")
    stage = Shared(server, tmp_path)
    figures = stage.conductor.run(SECONDS)
    record_property("figures", figures)
    with capfd.disabled():
        print(f"\n{figures}")  # noqa: T201 - what a soak is run for
    with stage.values() as values, stage.counts() as counts:
        counted = sum(counts.get(f"n{number}", 0) for number in range(COUNTERS))
        judge(stage.conductor, figures, counted)
        values.set("after", 1)
        for key in list(values.scan("k")):
            assert_whole(key, values.get(key))
