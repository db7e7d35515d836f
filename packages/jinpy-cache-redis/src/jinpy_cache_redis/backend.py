"""`RedisCacheBackend`: the operations of a cache, each a plan run by one of two drivers."""

import asyncio
import functools
import logging
import threading
import time
import warnings
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar, TypeVar

from jinpy_cache_core import (
    MISSING,
    TTL,
    AsyncCacheInterface,
    BaseBackend,
    BaseCacheBackendConfig,
    CacheConnectionError,
    CacheException,
    CacheInterface,
    CacheOperation,
    CacheTimeoutError,
    Clock,
    Decision,
    Record,
)
from jinpy_cache_core.backend import (
    Claim,
    Claiming,
    EntryState,
    Filling,
    Releasing,
    afalse_on_failure,
    call_in_children,
    check_amount,
    check_key,
    check_keys,
    check_prefix,
    false_on_failure,
    is_heavy,
    mapped_errors,
    negated,
    note_unchosen_namespace,
    signature_of,
    state_of,
    substitutes,
)
from jinpy_cache_redis.commands.guarded import GuardedCommands
from jinpy_cache_redis.commands.operations import Commands, Encoded, Undecoded
from jinpy_cache_redis.commands.scanning import (
    Walk,
    clearing_page,
    probe,
    refuse_raw_clear,
    visible_page,
)
from jinpy_cache_redis.config import RedisCacheConfig
from jinpy_cache_redis.drivers.driver import Driver, FirstUse, RunsPlans
from jinpy_cache_redis.drivers.event_loops import LoopDrivers
from jinpy_cache_redis.drivers.factory import DriverFactory
from jinpy_cache_redis.drivers.pool_registry import FOREVER
from jinpy_cache_redis.protocol.failures import PoolBusyError
from jinpy_cache_redis.protocol.requests import Plan

T = TypeVar("T")

LOGGER = logging.getLogger("jinpy_cache.redis")


class RedisCacheBackend(BaseBackend):
    """A cache in Redis or Valkey: one server, a primary with sentinels, or a cluster.

    Nothing is connected before the first operation. Synchronous operations share one bounded pool
    of connections a process and server; asynchronous ones have a pool for each event loop. Both may
    be used at once, from any thread and loop, and after a fork. See `BaseBackend` for what every
    operation means, `RedisCacheConfig` for the time limits, and `jinpy_cache_redis.commands` for
    what is sent.

    An operation that fails is tried again within its time budget, unless the server may have
    executed it and executing it twice would be wrong: then it raises `CacheConnectionError` or
    `CacheTimeoutError` with the outcome unknown.

    Args:
        config: The settings.
        clock: Tells the time to decisions that the client takes; expiry itself is the server's.
    """

    config_class: ClassVar[type[BaseCacheBackendConfig]] = RedisCacheConfig
    _config: RedisCacheConfig
    _own_areads: ClassVar[frozenset[str]] = frozenset(
        {"aget", "aget_many", "_look", "_alook", "_look_many", "_alook_many"}
    )

    def __init__(
        self, config: RedisCacheConfig | None = None, *, clock: Clock | None = None
    ) -> None:
        super().__init__(config, clock=clock)
        settings = self._config
        self._drivers = DriverFactory(settings)
        self._topology = self._drivers.topology
        make: Callable[..., Commands] = Commands
        if settings.on_error == "miss":
            make = functools.partial(GuardedCommands, self._check_outage)
        self._commands = make(
            self._codec, settings.namespace, sharded=self._topology.sharded, now=self._now
        )
        self._lends_async_only = settings.client is None and settings.async_client is not None
        self._lends_sync_only = settings.client is not None and settings.async_client is None
        self._sync: RunsPlans = FirstUse(self._first_driver)
        self._first_use = threading.Lock()
        self._loops = LoopDrivers(self._drivers.async_driver)
        if settings.exposes_password:
            LOGGER.warning(
                "The cache %r sends its password in plain text to another host. Use rediss://.",
                settings.name,
            )
        note_unchosen_namespace(settings.backend_type, settings.namespace, settings.url)
        call_in_children(self._after_fork_in_child)

    def __repr__(self) -> str:
        settings = self._config
        state = " closed" if self._closed else ""
        return f"<{type(self).__name__} {self.name!r} {settings.url}{state}>"

    def __del__(self) -> None:
        # What `__init__` did not come to is not there.
        if getattr(self, "_closed", True) or getattr(self, "_loops", None) is None:
            return
        if isinstance(self._sync, Driver) or self._loops.in_use:
            message = f"{self!r} was dropped without close(); its connections are closed now."
            warnings.warn(message, ResourceWarning, source=self, stacklevel=1)
            self._release()

    # -- Running plans ----------------------------------------------------------------------------

    def _first_driver(self) -> Driver:
        # Threads that come at once must share one: a second one's connections would be lost.
        with self._first_use:
            self._opened()
            driver = self._sync
            if not isinstance(driver, Driver):
                driver = self._sync = self._drivers.driver()
            return driver

    async def _aperform(self, plan: Plan[T], within: float = FOREVER) -> T:
        self._opened()
        if self._lends_sync_only:
            return await self._workers.run(self._sync.run, plan, within)
        driver = self._loops.existing() or await self._loops.for_running_loop()
        return await driver.run(plan, within)

    def _perform_anyhow(self, plan: Plan[T], within: float) -> T:
        """Run a plan in a thread of ours: on a loop of its own, where there is no other way."""
        if not self._lends_async_only:
            return self._sync.run(plan, within)
        loop = self._loops.running()
        if loop is None:
            message = "The event loop that the connections belong to does not run."
            raise CacheConnectionError(message)
        return asyncio.run_coroutine_threadsafe(self._aperform(plan, within), loop).result(
            min(within, self._store_seconds) + 1.0
        )

    # -- What the loading layer asks for ----------------------------------------------------------

    @property
    def _store_seconds(self) -> float:
        return self._config.operation_timeout

    def _is_outage(self, error: CacheException) -> bool:
        return super()._is_outage(error) and not isinstance(error, PoolBusyError)

    def _is_silent(self, error: CacheException) -> bool:
        settings, began = self._config, error.began
        if not isinstance(error, CacheTimeoutError) or began is None:
            return False
        waited = time.monotonic() - began
        in_full = min(settings.connect_timeout, settings.command_timeout)
        return waited >= in_full and not self._drivers.pulse.since(began)

    def _has_answered(self) -> bool:
        return self._drivers.pulse.take()

    @mapped_errors(CacheOperation.IS_HEALTHY)
    def _reach(self) -> None:
        self._opened()
        self._perform_anyhow(self._commands.reach(), self._config.command_timeout)

    def _check_outage(self) -> None:
        """Refuse to ask a server that is given up, and see whether it should be probed."""
        if self._loading.outage.open:
            self._loading.probe()
            message = (
                f"Redis at {self._config.url} has not answered several times in a row. It is not "
                "asked again until a probe in the background is answered."
            )
            raise CacheConnectionError(message)

    def _reading(self, kind: Any) -> Callable[..., Any]:
        return self._look if kind is None else functools.partial(self._look, type=kind)

    def _areading(self, kind: Any) -> Callable[..., Any]:
        return self._alook if kind is None else functools.partial(self._alook, type=kind)

    def _reading_many(self) -> Callable[..., Any]:
        return self._look_many

    def _areading_many(self) -> Callable[..., Any]:
        return self._alook_many

    @mapped_errors(CacheOperation.GET)
    def _look(self, key: str, default: object = None, *, type: type[Any] | None = None) -> Any:
        """Same as `get`, for who can compute the value: it is asked for once, or not at all."""
        if self._loading.outage.open:
            self._check_outage()
        return self._sync.run(self._commands.get(check_key(key), default, type, once=True))

    @mapped_errors(CacheOperation.GET)
    async def _alook(
        self, key: str, default: object = None, *, type: type[Any] | None = None
    ) -> Any:
        """Same as `_look`, asynchronously."""
        if self._loading.outage.open:
            self._check_outage()
        plan = self._commands.get(check_key(key), default, type, once=True, large=True)
        found = await self._aperform(plan)
        if found.__class__ is Undecoded:
            return await self._later(key, found, default, type)
        return found

    async def _later(self, key: str, found: Undecoded, default: object, kind: Any) -> Any:
        """Decode a large value without holding up the event loop."""
        value = await self._run(self._commands.value, key, found.payload, kind, found.left)
        return default if value is MISSING else value

    async def _ready(self, key: str, value: object) -> object:
        """A value to send; a large one encoded already, without holding up the event loop."""
        if not is_heavy(value):
            return value
        return Encoded(await self._run(self._codec.encode, key, value))

    @mapped_errors(CacheOperation.GET_MANY)
    def _look_many(self, wanted: list[str], default: object = None) -> dict[str, Any]:
        """Same as `get_many`, for who can compute the values."""
        self._check_outage()
        return self._sync.run(self._commands.get_many(wanted, default, once=True))

    @mapped_errors(CacheOperation.GET_MANY)
    async def _alook_many(self, wanted: list[str], default: object = None) -> dict[str, Any]:
        """Same as `_look_many`, asynchronously."""
        self._check_outage()
        return await self._aperform(self._commands.get_many(wanted, default, once=True))

    @mapped_errors(CacheOperation.GET_OR_SET)
    def _peek(self, key: str, within: float = FOREVER) -> EntryState:
        found = self._sync.run(self._commands.read(key, once=True), within)
        return state_of(found, self._now())

    @mapped_errors(CacheOperation.GET_OR_SET)
    async def _apeek(self, key: str, within: float = FOREVER) -> EntryState:
        found = await self._aperform(self._commands.read(key, once=True), within)
        return state_of(found, self._now())

    @mapped_errors(CacheOperation.GET_OR_SET)
    def _claim(self, key: str, claiming: Claiming, within: float = FOREVER) -> Claim:
        return self._sync.run(self._commands.claim(key, claiming), within)

    @mapped_errors(CacheOperation.GET_OR_SET)
    async def _aclaim(self, key: str, claiming: Claiming, within: float = FOREVER) -> Claim:
        return await self._aperform(self._commands.claim(key, claiming), within)

    @mapped_errors(CacheOperation.GET_OR_SET)
    def _settle(self, key: str, settling: Filling | Releasing, within: float = FOREVER) -> bool:
        return self._sync.run(self._commands.update(key, settling, once=True), within)

    @mapped_errors(CacheOperation.GET_OR_SET)
    async def _asettle(
        self, key: str, settling: Filling | Releasing, within: float = FOREVER
    ) -> bool:
        return await self._aperform(self._commands.update(key, settling, once=True), within)

    @mapped_errors(CacheOperation.GET_OR_SET_MANY)
    def _claim_many(
        self, claimings: Mapping[str, Claiming], within: float = FOREVER
    ) -> dict[str, Claim]:
        return self._sync.run(self._commands.claim_many(claimings), within)

    @mapped_errors(CacheOperation.GET_OR_SET_MANY)
    async def _aclaim_many(
        self, claimings: Mapping[str, Claiming], within: float = FOREVER
    ) -> dict[str, Claim]:
        return await self._aperform(self._commands.claim_many(claimings), within)

    @mapped_errors(CacheOperation.GET_OR_SET_MANY)
    def _settle_many(
        self, settlings: Mapping[str, Filling | Releasing], within: float = FOREVER
    ) -> dict[str, bool]:
        return self._perform_anyhow(self._commands.update_many(settlings), within)

    @mapped_errors(CacheOperation.GET_OR_SET_MANY)
    async def _asettle_many(
        self, settlings: Mapping[str, Filling | Releasing], within: float = FOREVER
    ) -> dict[str, bool]:
        return await self._aperform(self._commands.update_many(settlings), within)

    # -- Operations ------------------------------------------------------------------------------

    @signature_of(CacheInterface.get)
    @mapped_errors(CacheOperation.GET, miss=substitutes.given_default)
    def get(self, key: str, default: object = None, *, type: type[Any] | None = None) -> Any:
        """See `BaseBackend.get`; one `GET`."""
        return self._sync.run(self._commands.get(check_key(key), default, type))

    @signature_of(AsyncCacheInterface.aget)
    @mapped_errors(CacheOperation.GET, miss=substitutes.given_default)
    async def aget(self, key: str, default: object = None, *, type: type[Any] | None = None) -> Any:
        """Same as `get`, asynchronously."""
        plan = self._commands.get(check_key(key), default, type, large=True)
        found = await self._aperform(plan)
        if found.__class__ is Undecoded:
            return await self._later(key, found, default, type)
        return found

    @signature_of(CacheInterface.set)
    @mapped_errors(CacheOperation.SET, miss=substitutes.unset)
    def set(self, key: str, value: object, ttl: TTL = None) -> None:
        """See `BaseBackend.set`; one `SET`."""
        self._sync.run(self._commands.set(check_key(key), value, self._seconds(ttl)))

    @signature_of(AsyncCacheInterface.aset)
    @mapped_errors(CacheOperation.SET, miss=substitutes.unset)
    async def aset(self, key: str, value: object, ttl: TTL = None) -> None:
        """Same as `set`, asynchronously."""
        key = check_key(key)
        value = await self._ready(key, value)
        await self._aperform(self._commands.set(key, value, self._seconds(ttl)))

    @signature_of(CacheInterface.add)
    @mapped_errors(CacheOperation.ADD, miss=substitutes.answers(False))
    def add(self, key: str, value: object, ttl: TTL = None) -> bool:
        """See `BaseBackend.add`; one `SET NX`."""
        return self._sync.run(self._commands.add(check_key(key), value, self._seconds(ttl)))

    @signature_of(AsyncCacheInterface.aadd)
    @mapped_errors(CacheOperation.ADD, miss=substitutes.answers(False))
    async def aadd(self, key: str, value: object, ttl: TTL = None) -> bool:
        """Same as `add`, asynchronously."""
        key = check_key(key)
        value = await self._ready(key, value)
        return await self._aperform(self._commands.add(key, value, self._seconds(ttl)))

    @signature_of(CacheInterface.delete)
    @mapped_errors(CacheOperation.DELETE)
    def delete(self, key: str) -> bool:
        """See `BaseBackend.delete`; one `UNLINK`."""
        return self._sync.run(self._commands.delete(check_key(key)))

    @signature_of(AsyncCacheInterface.adelete)
    @mapped_errors(CacheOperation.DELETE)
    async def adelete(self, key: str) -> bool:
        """Same as `delete`, asynchronously."""
        return await self._aperform(self._commands.delete(check_key(key)))

    @mapped_errors(CacheOperation.POP)
    def pop(self, key: str, default: object = None) -> Any:
        """See `BaseBackend.pop`; a guarded transaction of two round trips."""
        return self._sync.run(self._commands.pop(check_key(key), default))

    @mapped_errors(CacheOperation.POP)
    async def apop(self, key: str, default: object = None) -> Any:
        """Same as `pop`, asynchronously."""
        return await self._aperform(self._commands.pop(check_key(key), default))

    @signature_of(CacheInterface.exists)
    @mapped_errors(CacheOperation.EXISTS, miss=substitutes.answers(False))
    def exists(self, key: str) -> bool:
        """See `BaseBackend.exists`; one `EXISTS`."""
        return self._sync.run(self._commands.exists(check_key(key)))

    @signature_of(AsyncCacheInterface.aexists)
    @mapped_errors(CacheOperation.EXISTS, miss=substitutes.answers(False))
    async def aexists(self, key: str) -> bool:
        """Same as `exists`, asynchronously."""
        return await self._aperform(self._commands.exists(check_key(key)))

    @signature_of(CacheInterface.get_many)
    @mapped_errors(CacheOperation.GET_MANY)
    def get_many(
        self, keys: Iterable[str], default: object = None, *, type: type[Any] | None = None
    ) -> dict[str, Any]:
        """See `BaseBackend.get_many`; one `MGET`, in a cluster one round trip to each server."""
        return self._found(check_keys(keys), default, type)

    @signature_of(AsyncCacheInterface.aget_many)
    @mapped_errors(CacheOperation.GET_MANY)
    async def aget_many(
        self, keys: Iterable[str], default: object = None, *, type: type[Any] | None = None
    ) -> dict[str, Any]:
        """Same as `get_many`, asynchronously."""
        return await self._afound(check_keys(keys), default, type)

    @mapped_errors(CacheOperation.GET_MANY, miss=substitutes.all_missed)
    def _found(
        self, wanted: list[str], default: object, kind: type[Any] | None = None
    ) -> dict[str, Any]:
        return self._sync.run(self._commands.get_many(wanted, default, kind))

    @mapped_errors(CacheOperation.GET_MANY, miss=substitutes.all_missed)
    async def _afound(
        self, wanted: list[str], default: object, kind: type[Any] | None = None
    ) -> dict[str, Any]:
        return await self._aperform(self._commands.get_many(wanted, default, kind))

    @mapped_errors(CacheOperation.INCR)
    def incr(self, key: str, amount: int = 1, ttl: TTL = None) -> int:
        """See `BaseBackend.incr`: `INCRBY`, never sent twice when its outcome is unknown."""
        return self._sync.run(
            self._commands.incr(check_key(key), check_amount(amount), self._seconds(ttl))
        )

    @mapped_errors(CacheOperation.INCR)
    async def aincr(self, key: str, amount: int = 1, ttl: TTL = None) -> int:
        """Same as `incr`, asynchronously."""
        return await self._aperform(
            self._commands.incr(check_key(key), check_amount(amount), self._seconds(ttl))
        )

    @mapped_errors(CacheOperation.DECR)
    def decr(self, key: str, amount: int = 1, ttl: TTL = None) -> int:
        """See `BaseBackend.decr`."""
        return self._sync.run(
            self._commands.incr(check_key(key), negated(amount), self._seconds(ttl))
        )

    @mapped_errors(CacheOperation.DECR)
    async def adecr(self, key: str, amount: int = 1, ttl: TTL = None) -> int:
        """Same as `decr`, asynchronously."""
        return await self._aperform(
            self._commands.incr(check_key(key), negated(amount), self._seconds(ttl))
        )

    @mapped_errors(CacheOperation.TTL, miss=substitutes.answers(None))
    def ttl(self, key: str) -> float | None:
        """See `BaseBackend.ttl`; `PTTL`, in steps of a millisecond."""
        return self._sync.run(self._commands.ttl(check_key(key)))

    @mapped_errors(CacheOperation.TTL, miss=substitutes.answers(None))
    async def attl(self, key: str) -> float | None:
        """Same as `ttl`, asynchronously."""
        return await self._aperform(self._commands.ttl(check_key(key)))

    @mapped_errors(CacheOperation.TOUCH, miss=substitutes.untouched)
    def touch(self, key: str, ttl: TTL) -> bool:
        """See `BaseBackend.touch`; a guarded `PEXPIRE`, two round trips."""
        return self._sync.run(self._commands.touch(check_key(key), self._seconds(ttl)))

    @mapped_errors(CacheOperation.TOUCH, miss=substitutes.untouched)
    async def atouch(self, key: str, ttl: TTL) -> bool:
        """Same as `touch`, asynchronously."""
        return await self._aperform(self._commands.touch(check_key(key), self._seconds(ttl)))

    @mapped_errors(CacheOperation.SET_MANY, miss=substitutes.none_set)
    def set_many(self, items: Mapping[str, object], ttl: TTL = None) -> None:
        """See `BaseBackend.set_many`; one `SET` each, in one round trip to each server."""
        seconds = self._seconds(ttl)
        self._sync.run(self._commands.set_many(self._encoded(items), seconds))

    @mapped_errors(CacheOperation.SET_MANY, miss=substitutes.none_set)
    async def aset_many(self, items: Mapping[str, object], ttl: TTL = None) -> None:
        """Same as `set_many`, asynchronously."""
        seconds = self._seconds(ttl)
        if is_heavy(items):
            payloads = await self._run(self._encoded, dict(items))
        else:
            payloads = self._encoded(items)
        await self._aperform(self._commands.set_many(payloads, seconds))

    @mapped_errors(CacheOperation.DELETE_MANY)
    def delete_many(self, keys: Iterable[str]) -> int:
        """See `BaseBackend.delete_many`; one `UNLINK`, in a cluster one trip to each server."""
        return self._sync.run(self._commands.delete_many(check_keys(keys)))

    @mapped_errors(CacheOperation.DELETE_MANY)
    async def adelete_many(self, keys: Iterable[str]) -> int:
        """Same as `delete_many`, asynchronously."""
        return await self._aperform(self._commands.delete_many(check_keys(keys)))

    @mapped_errors(CacheOperation.CLEAR)
    def clear(self) -> None:
        """See `BaseBackend.clear`: `SCAN` and `UNLINK` in pages, on every primary.

        Raises:
            CacheConfigurationError: The namespace is `None`; nothing was removed.
        """
        self._opened()._clear()

    @mapped_errors(CacheOperation.CLEAR)
    async def aclear(self) -> None:
        """Same as `clear`, asynchronously."""
        walk = self._clearing()
        while not walk.done:
            await self._aperform(clearing_page(walk, sharded=self._topology.sharded))

    @mapped_errors(CacheOperation.SCAN, miss=substitutes.answers(None))
    async def ascan(self, prefix: str = "") -> AsyncIterator[str]:
        """Same as `scan`, asynchronously."""
        walk = self._walk(check_prefix(prefix))
        while not walk.done:
            for stored in await self._aperform(visible_page(walk, self._now)):
                key = self._commands.key_of(stored)
                if key is not None:
                    yield key

    @false_on_failure
    def is_healthy(self) -> bool:
        """Tell whether every server would take a write now; never raises, writes nothing."""
        return self._sync.run(probe(self._commands.prefix, self._topology))

    @signature_of(AsyncCacheInterface.ais_healthy)
    @afalse_on_failure
    async def ais_healthy(self) -> bool:
        """Same as `is_healthy`, asynchronously."""
        return await self._aperform(probe(self._commands.prefix, self._topology))

    async def aclose(self) -> None:
        """Same as `close`, asynchronously: the running loop's connections are closed on return."""
        if not self._closed:
            await self._loading.adrain()
            self.close()
        await self._loops.aclose()

    # -- What `BaseBackend` asks for --------------------------------------------------------------

    def _read(self, key: str) -> Record | None:
        return self._sync.run(self._commands.read(key))

    def _update(self, key: str, decide: Decision[T]) -> T:
        return self._sync.run(self._commands.update(key, decide))

    def _scan(self, prefix: str) -> Iterator[str]:
        walk = self._walk(prefix)
        while not walk.done:
            for stored in self._sync.run(visible_page(walk, self._now)):
                key = self._commands.key_of(stored)
                if key is not None:
                    yield key

    @mapped_errors(CacheOperation.SCAN, miss=substitutes.answers(None))
    def _live_keys(self, prefix: str) -> Iterator[str]:
        yield from self._scan(prefix)  # the server leaves out what has expired

    def _clear(self) -> None:
        walk = self._clearing()
        while not walk.done:
            self._sync.run(clearing_page(walk, sharded=self._topology.sharded))

    def _clearing(self) -> Walk:
        self._opened()
        if not self._commands.prefix:
            raise refuse_raw_clear(self.name)
        return self._walk("")

    def _walk(self, prefix: str) -> Walk:
        literal = self._commands.prefix + prefix.encode(errors="surrogatepass")
        return Walk(literal, sharded=self._topology.sharded)

    def _release(self) -> None:
        with self._first_use:
            driver, self._sync = self._sync, FirstUse(self._first_driver)
        if isinstance(driver, Driver):
            driver.close()
        self._loops.close()

    def _after_fork_in_child(self) -> None:
        """Let go of the parent's connections; new ones are made on first use."""
        self._first_use = threading.Lock()
        driver, self._sync = self._sync, FirstUse(self._first_driver)
        if isinstance(driver, Driver):
            driver.abandon()
        self._loops.abandon()
