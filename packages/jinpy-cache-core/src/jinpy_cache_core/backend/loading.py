"""The operations that compute: what `BaseBackend` offers on top of reading and writing."""

import functools
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, ClassVar, TypeVar, Unpack

from jinpy_cache_core.backend.counting import counted
from jinpy_cache_core.backend.lease_store import LeaseStore
from jinpy_cache_core.clock import Clock
from jinpy_cache_core.config import BaseCacheBackendConfig
from jinpy_cache_core.declarations import signature_of
from jinpy_cache_core.entries.keys import check_key, check_keys
from jinpy_cache_core.entries.ttl import TTL
from jinpy_cache_core.entries.typed_key import TypedKey
from jinpy_cache_core.exceptions import (
    CacheBackendError,
    CacheConnectionError,
    CacheException,
    CacheTimeoutError,
    CacheValueTypeError,
)
from jinpy_cache_core.interfaces import AsyncCacheInterface, CacheInterface
from jinpy_cache_core.loading.base import Loading
from jinpy_cache_core.loading.calls import Call
from jinpy_cache_core.loading.drivers import arun, run
from jinpy_cache_core.loading.events import CacheEvent
from jinpy_cache_core.loading.lookup import Lookup
from jinpy_cache_core.loading.many import load_many
from jinpy_cache_core.loading.options import EntryOptions, EntryOverrides, Policy, policy_of
from jinpy_cache_core.loading.requests import Request
from jinpy_cache_core.loading.statistics import CacheStatistics
from jinpy_cache_core.sentinels import MISSING

E = TypeVar("E", bound=CacheEvent)
T = TypeVar("T")

DEGRADABLE = (CacheConnectionError, CacheTimeoutError, CacheBackendError)
"""Errors of the store; those of the caller and of stored values are never hidden."""


class LoadingOperations(LeaseStore):
    """`get_or_set` and its kin, `stats` and `on`."""

    _own_areads: ClassVar[frozenset[str]] = frozenset()
    """Which of `aget` and `aget_many` do not call their synchronous twins of the same instance."""

    def __init__(
        self, config: BaseCacheBackendConfig | None = None, *, clock: Clock | None = None
    ) -> None:
        super().__init__(config, clock=clock)
        self._options = _with_on_error(self._config)
        self._loading = Loading(self)
        self._lookup = Lookup(self._loading)
        if self._config.statistics:
            reads = ("get", "get_many", *sorted(self._own_areads))
            self._shortcut(**{name: getattr(self, name) for name in reads})

    @signature_of(CacheInterface.get_or_set)
    def get_or_set(
        self,
        key: str | TypedKey[Any],
        factory: Callable[..., Any],
        ttl: TTL = None,
        *,
        type: type[Any] | None = None,
        options: EntryOptions | None = None,
        force_refresh: bool = False,
        **overrides: Unpack[EntryOverrides],
    ) -> Any:
        """Read a value; if there is none, have it computed by one caller for all, and store it.

        One computation is under way for a key at a time, among the threads, tasks and event loops
        of this process and, on a store that others share, among processes and hosts. A value whose
        computation began before the key was deleted, cleared or set is never stored; those who
        waited for it get it all the same.

        Args:
            key: The key, verbatim.
            factory: Computes the value in the caller's thread, or in a background thread if there
                is a timeout to keep. It gets a `FactoryContext` if it has a required parameter.
            ttl: Seconds or a `timedelta`; `None` for what the options say, else the backend's
                `default_ttl`.
            type: Structure the value into this class; nothing is coerced.
            options: Said over the backend's own.
            force_refresh: Compute even if there is a value; a computation that is under way is too
                old as well, and its value will not be stored.
            overrides: Single options, as in `EntryOptions`.

        Returns:
            The value: what the factory returned for who called it, an equal one for all others.

        Raises:
            CacheReentryError: The factory asks for the very key that it computes.
            CacheTimeoutError: `hard_timeout` is over and there is no stale value to serve.
            CacheConfigurationError: An option is illegal.
            CacheException: The store failed, or cannot keep the value, under `on_error="raise"`.

        What the factory raises is raised to its caller and to those who wait for it, unless `grace`
        lets a stale value stand in. A store that fails costs nothing but the next hit: its error is
        logged and counted, and the value is returned.
        """
        if key.__class__ is TypedKey:
            key, ttl, type = _told(key, ttl, type)
        key, policy = check_key(key), self._policy(ttl, options, overrides)
        call: Call | None = None
        if policy.plain_hits and not force_refresh:
            try:
                value = self._reading(type)(key, MISSING)
            except CacheException as error:
                call = self._loading.failed_read(error, policy, key)
            else:
                if value is not MISSING:
                    return value
        plan = self._lookup.of(Request(key, factory, policy, type, force_refresh), call)
        return run(plan, self._loading)

    @signature_of(AsyncCacheInterface.aget_or_set)
    async def aget_or_set(
        self,
        key: str | TypedKey[Any],
        factory: Callable[..., Any],
        ttl: TTL = None,
        *,
        type: type[Any] | None = None,
        options: EntryOptions | None = None,
        force_refresh: bool = False,
        **overrides: Unpack[EntryOverrides],
    ) -> Any:
        """Same as `get_or_set`, asynchronously.

        The factory runs in the caller's task, or in a background task if there is a timeout to
        keep. A plain function is called on the event loop: let one that blocks be a coroutine
        function that awaits `asyncio.to_thread`. A caller that is cancelled cancels the factory
        that it awaits, and somebody else computes.
        """
        if key.__class__ is TypedKey:
            key, ttl, type = _told(key, ttl, type)
        key, policy = check_key(key), self._policy(ttl, options, overrides)
        call: Call | None = None
        if policy.plain_hits and not force_refresh:
            try:
                value = await self._areading(type)(key, MISSING)
            except CacheException as error:
                call = self._loading.failed_read(error, policy, key)
            else:
                if value is not MISSING:
                    return value
        plan = self._lookup.of(Request(key, factory, policy, type, force_refresh), call)
        return await arun(plan, self._loading)

    def get_or_set_many(
        self,
        keys: Iterable[str],
        factory: Callable[[list[str]], Mapping[str, T]],
        ttl: TTL = None,
        *,
        default: Any = None,
        options: EntryOptions | None = None,
        force_refresh: bool = False,
        **overrides: Unpack[EntryOverrides],
    ) -> dict[str, T]:
        """Read several values; have those that are missing computed at once, and store them.

        Each key has the guarantees of `get_or_set`; timeouts and early renewal are not applied.

        Args:
            keys: Any iterable of keys.
            factory: Takes the list of the keys to compute, those alone, and returns a mapping. It
                is called again for a key whose computation somebody else began and gave up.
            ttl: As for `get_or_set`.
            default: What a key carries that the factory left out; nothing is stored for it.
            options: Said over the backend's own.
            force_refresh: Compute all of them.
            overrides: Single options, as in `EntryOptions`.

        Returns:
            Every requested key, in the order first given.

        Raises:
            CacheValueTypeError: The factory returned no mapping.
            CacheReentryError: As for `get_or_set`.
        """
        wanted, policy = check_keys(keys), self._policy(ttl, options, overrides)
        known: dict[str, Any] = {}
        call: Call | None = None
        if not force_refresh:
            try:
                known = self._reading_many()(wanted, MISSING)
            except CacheException as error:
                call = self._loading.failed_read(error, policy, "")
                known = error.partial or known
        missing = [key for key in wanted if known.get(key, MISSING) is MISSING]
        if missing:
            plan = load_many(self._lookup, missing, factory, policy, force=force_refresh, call=call)
            known |= run(plan, self._loading)
        return _in_order(wanted, known, default)

    async def aget_or_set_many(
        self,
        keys: Iterable[str],
        factory: Callable[[list[str]], Awaitable[Mapping[str, T]] | Mapping[str, T]],
        ttl: TTL = None,
        *,
        default: Any = None,
        options: EntryOptions | None = None,
        force_refresh: bool = False,
        **overrides: Unpack[EntryOverrides],
    ) -> dict[str, T]:
        """Same as `get_or_set_many`, asynchronously."""
        wanted, policy = check_keys(keys), self._policy(ttl, options, overrides)
        known: dict[str, Any] = {}
        call: Call | None = None
        if not force_refresh:
            try:
                known = await self._areading_many()(wanted, MISSING)
            except CacheException as error:
                call = self._loading.failed_read(error, policy, "")
                known = error.partial or known
        missing = [key for key in wanted if known.get(key, MISSING) is MISSING]
        if missing:
            plan = load_many(self._lookup, missing, factory, policy, force=force_refresh, call=call)
            known |= await arun(plan, self._loading)
        return _in_order(wanted, known, default)

    def stats(self) -> CacheStatistics:
        """What this backend has done in this process so far.

        Everything off the path of a hit is always counted. Hits and misses are counted only with
        `statistics=True` in the configuration: reads are then wrapped, and otherwise untouched.
        """
        snapshot = self._loading.counters.snapshot()
        seconds = snapshot.pop("fill_seconds", 0.0)
        counts = {name: int(count) for name, count in snapshot.items()}
        counted = {"hits": 0, "misses": 0} if self._config.statistics else {}
        evictions = self._evictions()
        return CacheStatistics(fill_seconds=seconds, evictions=evictions, **{**counted, **counts})

    def on(self, event: type[E], listener: Callable[[E], object]) -> Callable[[], None]:
        """Call a listener for each event of a class; see `jinpy_cache_core.loading.events`.

        Args:
            event: The class of event, `CacheEvent` for all of them.
            listener: Takes the event, in the thread where it happens; it should be quick.

        Returns:
            A function that ends the subscription.
        """
        return self._loading.events.on(event, listener)

    @property
    def degraded(self) -> int:
        """How many operations went on without the store; also in `stats()`."""
        return int(self._loading.counters.snapshot().get("degraded", 0))

    # -- Shared steps ----------------------------------------------------------------------------

    def _shortcut(self, **methods: Callable[..., Any]) -> None:
        """Let this instance answer by these instead of its class's methods, which spares a frame.

        Reads are counted if the configuration says so, and else untouched.
        """
        if self._config.statistics:
            add = self._loading.counters.add
            methods = {name: counted(name, method, add) for name, method in methods.items()}
        vars(self).update(methods)

    def _evictions(self) -> int | None:
        """How many entries had to make room, where the backend counts them."""
        return None

    def _policy(self, ttl: TTL, options: EntryOptions | None, overrides: EntryOverrides) -> Policy:
        default, said = self._default_seconds, self._options
        if options is not None:
            said = _checked_options(options).over(said)
        if ttl is not None:
            said = _with_ttl(ttl).over(said)
        if overrides:
            said = said.with_overrides(**overrides)
        try:
            return policy_of(said, default)
        except TypeError:  # an unhashable `cache_if`
            return policy_of.__wrapped__(said, default)

    def _goes_without(self, error: CacheException) -> bool:
        """Whether a plain operation answers a miss instead of this error: `on_error="miss"`."""
        if self._config.on_error != "miss" or not isinstance(error, DEGRADABLE):
            return False
        loading = self._loading
        loading.note_outage(error)
        loading.counters.add("degraded")
        message = "The cache %r was gone without: %s"
        loading.journal.warn((type(error), "miss"), message, self.name, error)
        return True

    def _reading(self, kind: Any) -> Callable[..., Any]:
        return self.get if kind is None else functools.partial(self.get, type=kind)

    def _areading(self, kind: Any) -> Callable[..., Any]:
        return self.aget if kind is None else functools.partial(self.aget, type=kind)

    def _reading_many(self) -> Callable[..., Any]:
        return self.get_many

    def _areading_many(self) -> Callable[..., Any]:
        return self.aget_many


def _with_on_error(config: BaseCacheBackendConfig) -> EntryOptions:
    """The options of a backend, insisting on errors if the backend does."""
    options = config.options
    if config.on_error == "raise" and options.on_error is None:
        return options.with_overrides(on_error="raise")
    return options


@functools.lru_cache(maxsize=64, typed=True)
def _with_ttl(ttl: TTL) -> EntryOptions:
    return EntryOptions(ttl=ttl)


def _checked_options(options: object) -> EntryOptions:
    if isinstance(options, EntryOptions):
        return options
    message = f"options is an EntryOptions, not {type(options).__name__}."
    raise CacheValueTypeError(message)


def _in_order(wanted: list[str], known: dict[str, Any], default: Any) -> dict[str, Any]:
    found = ((key, known.get(key, MISSING)) for key in wanted)
    return {key: default if value is MISSING else value for key, value in found}


def _told(key: Any, ttl: TTL, kind: Any) -> tuple[str, TTL, Any]:
    """What a typed key says, where the call does not."""
    return key.text, key.ttl if ttl is None else ttl, key.kind if kind is None else kind
