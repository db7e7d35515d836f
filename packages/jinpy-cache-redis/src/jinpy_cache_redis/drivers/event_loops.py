"""One asynchronous driver for each event loop, ended with its loop.

A transport belongs to the loop that made it, so each loop that uses a backend gets connections of
its own. They are closed by `aclose`, or else when the loop ends: `asyncio.run` and its kin finish
the asynchronous generators of a loop before they close it, and one such generator holds the driver.
A loop that was closed without that is noticed by the next one that comes, or by `close`.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from weakref import WeakKeyDictionary

import attrs

from jinpy_cache_core import CacheConfigurationError
from jinpy_cache_redis.drivers.async_driver import AsyncDriver


@attrs.define(eq=False)
class _Tenant:
    """What one loop keeps."""

    driver: AsyncDriver
    ending: AsyncGenerator[None, None] | None = None


class LoopDrivers:
    """The drivers of every loop that has used a backend.

    Args:
        make_driver: Makes a driver for the running loop.
    """

    def __init__(self, make_driver: Callable[[], AsyncDriver]) -> None:
        self._make_driver = make_driver
        self._tenants: WeakKeyDictionary[asyncio.AbstractEventLoop, _Tenant] = WeakKeyDictionary()
        self._lock = threading.RLock()

    @property
    def in_use(self) -> bool:
        """Whether any loop keeps something."""
        return bool(self._tenants)

    def existing(self) -> AsyncDriver | None:
        """The driver of the running loop, if it has one."""
        try:
            tenant = self._tenants.get(asyncio.get_running_loop())
        except RuntimeError:
            tenant = None  # raised below, where this error is not its context
        else:
            return None if tenant is None else tenant.driver
        raise no_loop()

    async def for_running_loop(self) -> AsyncDriver:
        """The driver of the running loop."""
        loop = asyncio.get_running_loop()
        tenant = self._tenants.get(loop)
        if tenant is None:
            self._evict()
            tenant = _Tenant(self._make_driver())
            with self._lock:
                self._tenants[loop] = tenant
            tenant.ending = self._until_loop_ends(tenant.driver)
            await anext(tenant.ending)
        return tenant.driver

    def running(self) -> asyncio.AbstractEventLoop | None:
        """A loop with a driver that runs just now, in whatever thread."""
        with self._lock:
            return next((loop for loop in self._tenants if loop.is_running()), None)

    def _evict(self) -> None:
        """Close what loops keep that were closed without ending their generators."""
        with self._lock:
            gone = self._take_closed()  # no loop here: an interrupt could keep the lock
        for tenant in gone:
            tenant.driver.forsake()

    def _take_closed(self) -> list[_Tenant]:
        gone = [loop for loop in self._tenants if loop.is_closed()]
        return [self._tenants.pop(loop) for loop in gone]

    async def _until_loop_ends(self, driver: AsyncDriver) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            driver.close()
            await driver.wait_closed()
            with self._lock:
                self._tenants.pop(asyncio.get_running_loop(), None)

    def close(self) -> None:
        """Close what every loop keeps, from any thread; loops that are at work do it themselves."""
        self._evict()
        with self._lock:
            tenants = list(self._tenants.items())
        for loop, tenant in tenants:
            if loop.is_running():
                loop.call_soon_threadsafe(tenant.driver.close)
            else:
                tenant.driver.close()

    async def aclose(self) -> None:
        """Close what every loop keeps and wait for that of the running loop."""
        self.close()
        tenant = self._tenants.get(asyncio.get_running_loop())
        if tenant is not None:
            tenant.driver.close()
            if tenant.ending is not None:
                await tenant.ending.aclose()

    def abandon(self) -> None:
        """Let go of every connection in a forked child; new loops there start afresh."""
        tenants, self._tenants = self._tenants, WeakKeyDictionary()
        self._lock = threading.RLock()
        for tenant in tenants.values():
            tenant.driver.abandon()


def no_loop() -> CacheConfigurationError:
    """The error of an asynchronous operation outside of asyncio."""
    message = (
        "The asynchronous operations of a Redis cache run on an asyncio event loop, and none is "
        "running here. Under trio use the synchronous ones in a thread: "
        "await trio.to_thread.run_sync(cache.get, key)."
    )
    return CacheConfigurationError(message)
