"""From a configuration to topology, connections, pools and drivers."""

import ssl
from typing import Any

from jinpy_cache_core import CacheConfigurationError
from jinpy_cache_redis.config import RedisCacheConfig
from jinpy_cache_redis.connections.async_pool import AsyncPool, StreamPool
from jinpy_cache_redis.connections.borrowed import BorrowedAsyncPool, BorrowedPool, pool_of
from jinpy_cache_redis.connections.dialing import Dialer
from jinpy_cache_redis.connections.pool import LinkPool, Pool
from jinpy_cache_redis.drivers.async_driver import AsyncDriver
from jinpy_cache_redis.drivers.driver import Driver
from jinpy_cache_redis.drivers.pool_registry import Pulse
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
        self.pulse = Pulse()
        self._timing = Timing(
            connect_timeout=config.connect_timeout,
            command_timeout=min(config.command_timeout, config.operation_timeout),
            pool_timeout=config.pool_timeout,
            operation_timeout=config.operation_timeout,
        )
        self._policy = RetryPolicy(
            retries=config.retries, backoff=config.retry_backoff, longest=config.retry_backoff_max
        )
        self._data = Dialer(data_options(config), config.ssl)
        self._guides = Dialer(guide_options(config), config.ssl)
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


def data_options(config: RedisCacheConfig) -> dict[str, Any]:
    """What redis-py is told about connections to servers that hold data."""
    return {
        "db": config.db or 0,
        "username": config.username,
        "password": None if config.password is None else config.password.reveal(),
        "client_name": config.client_name,
        **tls_options(config),
    }


def guide_options(config: RedisCacheConfig) -> dict[str, Any]:
    """What redis-py is told about connections to sentinels."""
    password = config.sentinel_password
    return {
        "username": config.sentinel_username,
        "password": None if password is None else password.reveal(),
        **tls_options(config),
    }


def tls_options(config: RedisCacheConfig) -> dict[str, Any]:
    """What redis-py is told about TLS: at least 1.2, certificate and host name verified."""
    if not config.ssl:
        return {}
    keyfile_password = config.ssl_keyfile_password
    verify = not config.ssl_insecure_skip_verify
    options = {
        "ssl_cert_reqs": "required" if verify else "none",
        "ssl_check_hostname": verify and config.ssl_check_hostname,
        "ssl_ca_certs": _text(config.ssl_ca_certs),
        "ssl_ca_path": _text(config.ssl_ca_path),
        "ssl_certfile": _text(config.ssl_certfile),
        "ssl_keyfile": _text(config.ssl_keyfile),
        "ssl_password": None if keyfile_password is None else keyfile_password.reveal(),
        "ssl_min_version": ssl.TLSVersion.TLSv1_2,
    }
    return {name: value for name, value in options.items() if value is not None}


def _text(path: object) -> str | None:
    return None if path is None else str(path)
