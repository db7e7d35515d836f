"""From a configuration to topology, connections, pools and drivers."""

import math

from jinpy_cache_core import CacheConfigurationError
from jinpy_cache_redis.config import RedisCacheConfig
from jinpy_cache_redis.connections.async_pool import AsyncPool, StreamPool
from jinpy_cache_redis.connections.borrowed import BorrowedAsyncPool, BorrowedPool, pool_of
from jinpy_cache_redis.connections.dialing import Dialer
from jinpy_cache_redis.connections.pool import LinkPool, Pool
from jinpy_cache_redis.drivers.async_driver import AsyncDriver
from jinpy_cache_redis.drivers.driver import Driver
from jinpy_cache_redis.drivers.encryption import tls_context
from jinpy_cache_redis.drivers.pool_registry import Pulse
from jinpy_cache_redis.protocol.handshake import Handshake
from jinpy_cache_redis.protocol.nodes import Node
from jinpy_cache_redis.protocol.timing import Timing
from jinpy_cache_redis.routing.cluster import ClusterTopology
from jinpy_cache_redis.routing.retries import RetryPolicy
from jinpy_cache_redis.routing.router import Router
from jinpy_cache_redis.routing.sentinel import SentinelTopology
from jinpy_cache_redis.routing.topology import OneServer, Topology


class DriverFactory:
    """Makes the parts of one backend.

    Args:
        config: Its settings.
    """

    def __init__(self, config: RedisCacheConfig) -> None:
        self._config = config
        self.pulse = Pulse(config.operation_timeout)
        self._timing = Timing(
            connect_timeout=config.connect_timeout,
            command_timeout=min(config.command_timeout, config.operation_timeout),
            pool_timeout=config.pool_timeout,
            operation_timeout=config.operation_timeout,
            check_after=config.health_check_interval or math.inf,
        )
        self._policy = RetryPolicy(
            retries=config.retries, backoff=config.retry_backoff, longest=config.retry_backoff_max
        )
        context = tls_context(config) if config.ssl else None
        addresses = config.addresses
        self._data = Dialer(data_handshake(config), context, addresses)
        self._guides = Dialer(guide_handshake(config), context, addresses)
        self.topology = topology_of(config)
        self._router = Router(self.topology, self._policy, self._timing)

    def driver(self) -> Driver:
        """A synchronous driver without connections."""
        given = self._config.client
        if given is None and self._config.async_client is not None:
            message = (
                f"The cache {self._config.name!r} was given async_client= only, so it has no "
                "connections for synchronous operations. Use the a-prefixed ones, or give client=."
            )
            raise CacheConfigurationError(message)
        if given is None:
            return Driver(self._router, self._pool, pulse=self.pulse)
        router = Router(OneServer(self._config.nodes[0]), self._policy, self._timing)
        return Driver(
            router, lambda node, _guides: BorrowedPool(pool_of(given), node), pulse=self.pulse
        )

    def async_driver(self) -> AsyncDriver:
        """An asynchronous driver of the running loop, without connections."""
        given = self._config.async_client
        if given is None:
            return AsyncDriver(
                self._router, self._async_pool, self._config.pool_size, pulse=self.pulse
            )
        pool, timeout = pool_of(given), self._timing.command_timeout
        router = Router(OneServer(self._config.nodes[0]), self._policy, self._timing)
        return AsyncDriver(
            router,
            lambda node, _guides: BorrowedAsyncPool(pool, node, timeout),
            self._config.pool_size,
            pulse=self.pulse,
        )

    def _pool(self, node: Node, guides: bool) -> Pool:
        size, greeting = self._config.pool_size, self.topology.greeting
        if guides:
            return LinkPool(node, self._guides, size, self._timing)
        return LinkPool(node, self._data, size, self._timing, greeting)

    def _async_pool(self, node: Node, guides: bool) -> AsyncPool:
        size, greeting = self._config.pool_size, self.topology.greeting
        if guides:
            return StreamPool(node, self._guides, size, self._timing)
        return StreamPool(node, self._data, size, self._timing, greeting)


def topology_of(config: RedisCacheConfig) -> Topology:
    """Which servers there are, as far as the configuration tells."""
    if config.kind == "sentinel":
        return SentinelTopology(list(config.nodes), config.sentinel_service or "")
    if config.kind == "cluster":
        return ClusterTopology(list(config.nodes))
    return OneServer(config.nodes[0])


def data_handshake(config: RedisCacheConfig) -> Handshake:
    """What is said first to servers that hold data."""
    return Handshake(
        username=config.username,
        password=None if config.password is None else config.password.reveal_bytes(),
        db=config.db or 0,
        client_name=config.client_name,
    )


def guide_handshake(config: RedisCacheConfig) -> Handshake:
    """What is said first to sentinels."""
    password = config.sentinel_password
    return Handshake(
        username=config.sentinel_username,
        password=None if password is None else password.reveal_bytes(),
    )
