"""`RedisCacheBackend`: the operations of a cache, each a plan run by one of two drivers."""

import threading
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from typing import Any, ClassVar, NoReturn, TypeVar, cast

from jinpy_cache_core import (
    TTL,
    AsyncCacheInterface,
    BaseBackend,
    BaseCacheBackendConfig,
    CacheConnectionError,
    CacheException,
    CacheInterface,
    CacheOperation,
    Clock,
    Decision,
    Record,
)
from jinpy_cache_core.declarations import declared_by
from jinpy_cache_core.entries.integers import check_amount, negated
from jinpy_cache_core.entries.keys import check_key, check_keys, check_prefix
from jinpy_cache_core.loading.leases import Claim, Claiming, Filling, Releasing, Standing
from jinpy_cache_core.entries.slots import EMPTY, Slot, slot_of
from jinpy_cache_redis.drivers.factory import Assembly
from jinpy_cache_redis.config import RedisCacheConfig
from jinpy_cache_redis.degrading import LOGGER, REFUSES, ErrorPolicy, Missing, Raising
from jinpy_cache_redis.drivers.driver import Driver
from jinpy_cache_redis.forking import watch_forks
from jinpy_cache_redis.drivers.event_loops import LoopDrivers
from jinpy_cache_redis.commands.operations import Plans
from jinpy_cache_redis.protocol.requests import Plan
from jinpy_cache_redis.commands.scanning import Walk, clearing_page, probe, refuse_raw_clear, visible_page

T = TypeVar("T")


class RedisCacheBackend(BaseBackend):
    """A cache in Redis or Valkey: one server, a primary with sentinels, or a cluster.

    Nothing is connected before the first operation. Synchronous operations share one bounded pool
    of connections a process and server; asynchronous ones have a pool for each event loop. Both may
    be used at once, from any thread and loop, and after a fork. See `BaseBackend` for what every
    operation means, `RedisCacheConfig` for the time limits, and `jinpy_cache_redis.commands.operations` for the
    commands that are sent.

    An operation that fails is tried again within its time budget, unless the server may have
    executed it and executing it twice would be wrong: then it raises `CacheConnectionError` or
    `CacheTimeoutError` with the outcome unknown.

    Args:
        config: The settings.
        clock: Tells the time to decisions that the client takes; expiry itself is the server's.
    """

    config_class: ClassVar[type[BaseCacheBackendConfig]] = RedisCacheConfig
    _own_areads: ClassVar[frozenset[str]] = frozenset({"aget", "aget_many"})

    def __init__(
        self, config: BaseCacheBackendConfig | None = None, *, clock: Clock | None = None
    ) -> None:
        super().__init__(config, clock=clock)
        settings = cast("RedisCacheConfig", self._config)
        self._assembly = Assembly(settings)
        self._topology = self._assembly.topology
        self._operations = Plans(
            self._codec, settings.namespace, sharded=self._topology.sharded, now=self._now
        )
        self._errors: ErrorPolicy = Raising() if settings.on_error == "raise" else Missing()
        self._lends_sync_only = settings.client is not None and settings.async_client is None
        self._sync: Driver | None = None
        self._first_use = threading.Lock()
        self._loops = LoopDrivers(self._assembly.async_driver)
        if settings.exposes_password:
            LOGGER.warning(
                "The cache %r sends its password in plain text to another host. Use rediss://.",
                settings.name,
            )
        watch_forks(self)

    @property
    def degraded(self) -> int:
        """How many operations went without the server, under `on_error="miss"`."""
        return self._errors.degraded

    def __repr__(self) -> str:
        settings = cast("RedisCacheConfig", self._config)
        state = " closed" if self._closed else ""
        return f"<{type(self).__name__} {self.name!r} {settings.url}{state}>"

    # -- Running plans ----------------------------------------------------------------------------

    def _perform(self, plan: Plan[T]) -> T:
        if self._closed:
            raise self._closed_error()
        driver = self._sync or self._first_driver()
        return driver.run(plan)

    def _first_driver(self) -> Driver:
        # Threads that come at once must share one: a second one's connections would be lost.
        with self._first_use:
            driver = self._sync
            if driver is None:
                if self._closed:
                    raise self._closed_error()
                driver = self._sync = self._assembly.driver()
            return driver

    async def _aperform(self, plan: Plan[T]) -> T:
        if self._closed:
            raise self._closed_error()
        if self._lends_sync_only:
            return await self._workers.run(self._perform, plan)
        driver = self._loops.known() or await self._loops.here()
        return await driver.run(plan)

    def _failed(self, error: Exception, operation: CacheOperation, key: object, substitute: T) -> T:
        """Raise what escaped an operation, mapped and in its context, or let the policy answer."""
        try:
            if self._closed and isinstance(error, CacheConnectionError):
                raise self._closed_error() from error
            self._raise_mapped(error, operation, key)
        except CacheException as placed:
            return self._errors.answer(placed, substitute)

    def _refuse(self, error: Exception, operation: CacheOperation, key: object) -> NoReturn:
        """Raise what escaped an operation that has nothing to give instead."""
        self._failed(error, operation, key, REFUSES)
        raise AssertionError  # pragma: no cover - the policy has raised

    # -- Operations ------------------------------------------------------------------------------

    @declared_by(CacheInterface.get)
    def get(self, key: str, default: object = None, *, type: type[Any] | None = None) -> Any:
        """See `BaseBackend.get`; one `GET`."""
        try:
            return self._perform(self._operations.get(check_key(key), default, type))
        except Exception as error:  # noqa: BLE001 - the one edge where all is mapped, as below
            return self._failed(error, CacheOperation.GET, key, default)

    @declared_by(AsyncCacheInterface.aget)
    async def aget(self, key: str, default: object = None, *, type: type[Any] | None = None) -> Any:
        """Same as `get`, asynchronously."""
        try:
            return await self._aperform(self._operations.get(check_key(key), default, type))
        except Exception as error:  # noqa: BLE001
            return self._failed(error, CacheOperation.GET, key, default)

    def set(self, key: str, value: object, ttl: TTL = None) -> None:
        """See `BaseBackend.set`; one `SET`."""
        try:
            self._perform(self._operations.set(check_key(key), value, self._seconds(ttl)))
        except Exception as error:  # noqa: BLE001
            self._failed(error, CacheOperation.SET, key, self._unless_removing(ttl))

    async def aset(self, key: str, value: object, ttl: TTL = None) -> None:
        """Same as `set`, asynchronously."""
        try:
            await self._aperform(self._operations.set(check_key(key), value, self._seconds(ttl)))
        except Exception as error:  # noqa: BLE001
            self._failed(error, CacheOperation.SET, key, self._unless_removing(ttl))

    def add(self, key: str, value: object, ttl: TTL = None) -> bool:
        """See `BaseBackend.add`; one `SET NX`."""
        try:
            return self._perform(self._operations.add(check_key(key), value, self._seconds(ttl)))
        except Exception as error:  # noqa: BLE001
            return self._failed(error, CacheOperation.ADD, key, False)

    async def aadd(self, key: str, value: object, ttl: TTL = None) -> bool:
        """Same as `add`, asynchronously."""
        try:
            return await self._aperform(
                self._operations.add(check_key(key), value, self._seconds(ttl))
            )
        except Exception as error:  # noqa: BLE001
            return self._failed(error, CacheOperation.ADD, key, False)

    def delete(self, key: str) -> bool:
        """See `BaseBackend.delete`; one `UNLINK`."""
        try:
            return self._perform(self._operations.delete(check_key(key)))
        except Exception as error:  # noqa: BLE001
            self._refuse(error, CacheOperation.DELETE, key)

    async def adelete(self, key: str) -> bool:
        """Same as `delete`, asynchronously."""
        try:
            return await self._aperform(self._operations.delete(check_key(key)))
        except Exception as error:  # noqa: BLE001
            self._refuse(error, CacheOperation.DELETE, key)

    def pop(self, key: str, default: object = None) -> Any:
        """See `BaseBackend.pop`; a guarded transaction of two round trips."""
        try:
            return self._perform(self._operations.pop(check_key(key), default))
        except Exception as error:  # noqa: BLE001
            self._refuse(error, CacheOperation.POP, key)

    async def apop(self, key: str, default: object = None) -> Any:
        """Same as `pop`, asynchronously."""
        try:
            return await self._aperform(self._operations.pop(check_key(key), default))
        except Exception as error:  # noqa: BLE001
            self._refuse(error, CacheOperation.POP, key)

    def exists(self, key: str) -> bool:
        """See `BaseBackend.exists`; one `EXISTS`."""
        try:
            return self._perform(self._operations.exists(check_key(key)))
        except Exception as error:  # noqa: BLE001
            return self._failed(error, CacheOperation.EXISTS, key, False)

    async def aexists(self, key: str) -> bool:
        """Same as `exists`, asynchronously."""
        try:
            return await self._aperform(self._operations.exists(check_key(key)))
        except Exception as error:  # noqa: BLE001
            return self._failed(error, CacheOperation.EXISTS, key, False)

    def get_many(self, keys: Iterable[str], default: object = None) -> dict[str, Any]:
        """See `BaseBackend.get_many`; one `MGET`, in a cluster one round trip to each server."""
        wanted: list[str] = []
        try:
            wanted = check_keys(keys)
            return self._perform(self._operations.get_many(wanted, default))
        except Exception as error:  # noqa: BLE001
            misses = dict.fromkeys(wanted, default)
            return self._failed(error, CacheOperation.GET_MANY, None, misses)

    async def aget_many(self, keys: Iterable[str], default: object = None) -> dict[str, Any]:
        """Same as `get_many`, asynchronously."""
        wanted: list[str] = []
        try:
            wanted = check_keys(keys)
            return await self._aperform(self._operations.get_many(wanted, default))
        except Exception as error:  # noqa: BLE001
            misses = dict.fromkeys(wanted, default)
            return self._failed(error, CacheOperation.GET_MANY, None, misses)

    def incr(self, key: str, amount: int = 1, ttl: TTL = None) -> int:
        """See `BaseBackend.incr`: `INCRBY`, never sent twice when its outcome is unknown."""
        try:
            return self._perform(
                self._operations.incr(check_key(key), check_amount(amount), self._seconds(ttl))
            )
        except Exception as error:  # noqa: BLE001
            self._refuse(error, CacheOperation.INCR, key)

    async def aincr(self, key: str, amount: int = 1, ttl: TTL = None) -> int:
        """Same as `incr`, asynchronously."""
        try:
            return await self._aperform(
                self._operations.incr(check_key(key), check_amount(amount), self._seconds(ttl))
            )
        except Exception as error:  # noqa: BLE001
            self._refuse(error, CacheOperation.INCR, key)

    def decr(self, key: str, amount: int = 1, ttl: TTL = None) -> int:
        """See `BaseBackend.decr`."""
        try:
            return self._perform(
                self._operations.incr(check_key(key), negated(amount), self._seconds(ttl))
            )
        except Exception as error:  # noqa: BLE001
            self._refuse(error, CacheOperation.DECR, key)

    async def adecr(self, key: str, amount: int = 1, ttl: TTL = None) -> int:
        """Same as `decr`, asynchronously."""
        try:
            return await self._aperform(
                self._operations.incr(check_key(key), negated(amount), self._seconds(ttl))
            )
        except Exception as error:  # noqa: BLE001
            self._refuse(error, CacheOperation.DECR, key)

    def ttl(self, key: str) -> float | None:
        """See `BaseBackend.ttl`; `PTTL`, in steps of a millisecond."""
        try:
            return self._perform(self._operations.ttl(check_key(key)))
        except Exception as error:  # noqa: BLE001
            return self._failed(error, CacheOperation.TTL, key, None)

    async def attl(self, key: str) -> float | None:
        """Same as `ttl`, asynchronously."""
        try:
            return await self._aperform(self._operations.ttl(check_key(key)))
        except Exception as error:  # noqa: BLE001
            return self._failed(error, CacheOperation.TTL, key, None)

    def touch(self, key: str, ttl: TTL) -> bool:
        """See `BaseBackend.touch`; a guarded `PEXPIRE`, two round trips."""
        try:
            return self._perform(self._operations.touch(check_key(key), self._seconds(ttl)))
        except Exception as error:  # noqa: BLE001
            done: bool = self._unless_removing(ttl, False)
            return self._failed(error, CacheOperation.TOUCH, key, done)

    async def atouch(self, key: str, ttl: TTL) -> bool:
        """Same as `touch`, asynchronously."""
        try:
            return await self._aperform(self._operations.touch(check_key(key), self._seconds(ttl)))
        except Exception as error:  # noqa: BLE001
            done: bool = self._unless_removing(ttl, False)
            return self._failed(error, CacheOperation.TOUCH, key, done)

    def set_many(self, items: Mapping[str, object], ttl: TTL = None) -> None:
        """See `BaseBackend.set_many`; one `SET` each, in one round trip to each server."""
        try:
            seconds = self._seconds(ttl)
            self._perform(self._operations.set_many(self._encoded(items), seconds))
        except Exception as error:  # noqa: BLE001
            self._failed(error, CacheOperation.SET_MANY, None, self._unless_removing(ttl))

    async def aset_many(self, items: Mapping[str, object], ttl: TTL = None) -> None:
        """Same as `set_many`, asynchronously."""
        try:
            seconds = self._seconds(ttl)
            await self._aperform(self._operations.set_many(self._encoded(items), seconds))
        except Exception as error:  # noqa: BLE001
            self._failed(error, CacheOperation.SET_MANY, None, self._unless_removing(ttl))

    def delete_many(self, keys: Iterable[str]) -> int:
        """See `BaseBackend.delete_many`; one `UNLINK`, in a cluster one trip to each server."""
        try:
            return self._perform(self._operations.delete_many(check_keys(keys)))
        except Exception as error:  # noqa: BLE001
            self._refuse(error, CacheOperation.DELETE_MANY, None)

    async def adelete_many(self, keys: Iterable[str]) -> int:
        """Same as `delete_many`, asynchronously."""
        try:
            return await self._aperform(self._operations.delete_many(check_keys(keys)))
        except Exception as error:  # noqa: BLE001
            self._refuse(error, CacheOperation.DELETE_MANY, None)

    def clear(self) -> None:
        """See `BaseBackend.clear`: `SCAN` and `UNLINK` in pages, on every primary.

        Raises:
            CacheConfigurationError: The namespace is `None`; nothing was removed.
        """
        try:
            self._opened()._clear()
        except Exception as error:  # noqa: BLE001
            self._refuse(error, CacheOperation.CLEAR, None)

    async def aclear(self) -> None:
        """Same as `clear`, asynchronously."""
        try:
            walk = self._clearing()
            while not walk.done:
                await self._aperform(clearing_page(walk, sharded=self._topology.sharded))
        except Exception as error:  # noqa: BLE001
            self._refuse(error, CacheOperation.CLEAR, None)

    async def ascan(self, prefix: str = "") -> AsyncIterator[str]:
        """Same as `scan`, asynchronously."""
        try:
            walk = self._walk(check_prefix(prefix))
            while not walk.done:
                for stored in await self._aperform(visible_page(walk, self._now)):
                    key = self._operations.key_of(stored)
                    if key is not None:
                        yield key
        except Exception as error:  # noqa: BLE001
            self._failed(error, CacheOperation.SCAN, None, None)

    def is_healthy(self) -> bool:
        """Tell whether every server would take a write now; never raises, writes nothing."""
        try:
            return self._perform(probe(self._operations.prefix, self._topology))
        except Exception:  # noqa: BLE001 - whatever it is, it is not healthy
            return False

    async def ais_healthy(self) -> bool:
        """Same as `is_healthy`, asynchronously."""
        try:
            return await self._aperform(probe(self._operations.prefix, self._topology))
        except Exception:  # noqa: BLE001
            return False

    async def aclose(self) -> None:
        """Same as `close`, asynchronously: the running loop's connections are closed on return."""
        if not self._closed:
            await self._plans.adrain()
            self.close()
        await self._loops.aclose()

    # -- What `BaseBackend` asks for --------------------------------------------------------------

    def _read(self, key: str) -> Record | None:
        return self._perform(self._operations.read(key))

    def _update(self, key: str, decide: Decision[T]) -> T:
        return self._perform(self._operations.update(key, decide))

    # A loader goes on without the server as reads do: it finds nothing, leads, and stores nothing.

    def _peek(self, key: str) -> Slot:
        try:
            return slot_of(self._read(key), self._now())
        except Exception as error:  # noqa: BLE001
            return self._failed(error, CacheOperation.GET_OR_SET, key, EMPTY)

    async def _apeek(self, key: str) -> Slot:
        try:
            return slot_of(await self._aperform(self._operations.read(key)), self._now())
        except Exception as error:  # noqa: BLE001
            return self._failed(error, CacheOperation.GET_OR_SET, key, EMPTY)

    def _claim(self, key: str, claiming: Claiming) -> Claim:
        try:
            return self._update(key, claiming)
        except Exception as error:  # noqa: BLE001
            alone = Claim(Standing.LEAD, claiming.token)
            return self._failed(error, CacheOperation.GET_OR_SET, key, alone)

    async def _aclaim(self, key: str, claiming: Claiming) -> Claim:
        try:
            return await self._aperform(self._operations.update(key, claiming))
        except Exception as error:  # noqa: BLE001
            alone = Claim(Standing.LEAD, claiming.token)
            return self._failed(error, CacheOperation.GET_OR_SET, key, alone)

    def _settle(self, key: str, settling: Filling | Releasing) -> bool:
        try:
            return self._update(key, settling)
        except Exception as error:  # noqa: BLE001
            return self._failed(error, CacheOperation.GET_OR_SET, key, False)

    async def _asettle(self, key: str, settling: Filling | Releasing) -> bool:
        try:
            return await self._aperform(self._operations.update(key, settling))
        except Exception as error:  # noqa: BLE001
            return self._failed(error, CacheOperation.GET_OR_SET, key, False)

    def _scan(self, prefix: str) -> Iterator[str]:
        walk = self._walk(prefix)
        while not walk.done:
            for stored in self._perform(visible_page(walk, self._now)):
                key = self._operations.key_of(stored)
                if key is not None:
                    yield key

    def _live_keys(self, prefix: str) -> Iterator[str]:
        try:
            yield from self._scan(prefix)  # the server leaves out what has expired
        except Exception as error:  # noqa: BLE001
            self._failed(error, CacheOperation.SCAN, None, None)

    def _clear(self) -> None:
        walk = self._clearing()
        while not walk.done:
            self._perform(clearing_page(walk, sharded=self._topology.sharded))

    def _clearing(self) -> Walk:
        self._opened()
        if not self._operations.prefix:
            raise refuse_raw_clear(self.name)
        return self._walk("")

    def _walk(self, prefix: str) -> Walk:
        return Walk(self._operations.prefix + prefix.encode(errors="surrogatepass"))

    def _unless_removing(self, ttl: TTL, substitute: Any = None) -> Any:
        """What a degraded write answers: nothing, but the failure of a removal is never hidden."""
        try:
            return substitute if self._seconds(ttl) else REFUSES
        except CacheException:  # the ttl is what was wrong
            return REFUSES

    def _release(self) -> None:
        with self._first_use:
            driver = self._sync
        if driver is not None:
            driver.close()
        self._loops.close()

    def after_fork_in_child(self) -> None:
        """Let go of the parent's connections; new ones are made on first use."""
        self._first_use = threading.Lock()
        driver, self._sync = self._sync, None
        if driver is not None:
            driver.abandon()
        self._loops.abandon()
