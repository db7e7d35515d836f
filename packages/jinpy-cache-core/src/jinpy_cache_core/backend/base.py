"""`BaseBackend`: everything a cache offers, from four primitives that a backend's author writes.

It is made in layers, each of which knows only those below: `errors` places errors, `primitives` is
what an author writes, `operations` and `async_operations` are what users call, `lease_store` lets
one of them compute for all, and `loading` computes what is missing. This module opens and closes
the whole.
"""

import asyncio
import threading

from jinpy_cache_core.backend.dictionaries import DictionaryOperations
from jinpy_cache_core.backend.loading import LoadingOperations
from jinpy_cache_core.clock import Clock
from jinpy_cache_core.config import BaseCacheBackendConfig
from jinpy_cache_core.forks import call_in_children
from jinpy_cache_core.lifecycle import ClosedByWith


class BaseBackend(ClosedByWith, LoadingOperations, DictionaryOperations):
    """One cache over one store, usable from any thread and any event loop.

    Every method that takes a key raises `CacheKeyError` for one that is not a `str` of 1 to 1,024
    UTF-8 bytes, every method that takes a ttl raises `CacheValueError` for one that is no duration,
    and every method but `close` and `is_healthy` raises `CacheClosedError` once the backend is
    closed; all of that before anything is read or written. A store that fails raises
    `CacheConnectionError`, `CacheTimeoutError` or `CacheBackendError`.

    To write a backend, subclass this, name a `config_class` and implement `_read`, `_update`,
    `_scan` and `_clear`; the rest has a correct default. An asynchronous operation runs its
    synchronous twin in a worker thread: a store that speaks async overrides the twins, one that can
    do several keys in one round trip overrides the bulk operations. `jinpy_cache_testing`
    holds the suite that tells whether it is one.

    Args:
        config: The backend's settings; by default those of `config_class` itself.
        clock: Returns the present in seconds; injected by tests.
    """

    def __init__(
        self, config: BaseCacheBackendConfig | None = None, *, clock: Clock | None = None
    ) -> None:
        super().__init__(config, clock=clock)
        self._releasing = False
        self._renew_locks()
        call_in_children(self._renew_locks)

    def _renew_locks(self) -> None:
        self._closing = threading.RLock()

    def close(self) -> None:
        """Release the store; idempotent.

        Values that are being computed in the background are waited for, for a while. Operations
        that have begun finish or raise `CacheClosedError`; later ones raise it.
        """
        if not self._closed:
            self._loading.drain()
        mine = begun = False
        try:
            with self._closing:
                mine, self._releasing = not self._releasing, True
                self._closed = True
            if mine:
                self._workers.close()
                begun = True
                self._release()
        finally:
            if mine and not begun:  # interrupted: the next close goes on
                self._releasing = False

    async def aclose(self) -> None:
        """Same as `close`, asynchronously."""
        await self._loading.adrain()
        await asyncio.to_thread(self.close)

    def __repr__(self) -> str:
        state = " closed" if self._closed else ""
        return f"<{type(self).__name__} {self.name!r}{state}>"
