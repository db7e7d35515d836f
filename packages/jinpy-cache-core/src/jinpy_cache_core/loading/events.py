"""What happens while values are computed, told to whoever asked, and to nobody at no cost.

A telemetry package subscribes with `cache.on(Filled, listener)`; a listener is called where the
event happens, in its thread, so it should be quick; what it raises is logged and goes no further.
"""

import logging
import threading
from collections.abc import Callable
from typing import Any, TypeVar, cast

import attrs

from jinpy_cache_core.forks import call_in_children

_log = logging.getLogger("jinpy_cache")


@attrs.frozen(kw_only=True)
class CacheEvent:
    """The root of all events.

    Attributes:
        backend: The configured name of the backend.
        key: The key concerned; empty for an event of the store as a whole.
    """

    backend: str
    key: str


@attrs.frozen(kw_only=True)
class Filled(CacheEvent):
    """A value was computed and stored.

    Attributes:
        seconds: How long computing it took.
    """

    seconds: float


@attrs.frozen(kw_only=True)
class FillRefused(CacheEvent):
    """A value was computed and not stored, as the key was invalidated meanwhile.

    Attributes:
        seconds: How long computing it took.
    """

    seconds: float


@attrs.frozen(kw_only=True)
class StaleServed(CacheEvent):
    """A value past its ttl was served.

    Attributes:
        reason: Why: `"failed"`, `"slow"` or `"waiting"` (for somebody else's computation).
    """

    reason: str


@attrs.frozen(kw_only=True)
class FactoryFailed(CacheEvent):
    """A factory raised.

    Attributes:
        error: What it raised.
        background: Whether nobody waited for it any more.
    """

    error: BaseException
    background: bool


@attrs.frozen(kw_only=True)
class FactoryTimedOut(CacheEvent):
    """A caller stopped waiting for a factory, which goes on in the background.

    Attributes:
        seconds: The timeout.
    """

    seconds: float


@attrs.frozen(kw_only=True)
class StoreFailed(CacheEvent):
    """A call went on without its store: a read that failed was a miss, or a value was not stored.

    Attributes:
        error: What the store, or the encoding of the value, failed with.
        reading: Whether it was to find a value; else it was to store one.
    """

    error: BaseException
    reading: bool


@attrs.frozen(kw_only=True)
class Unreadable(CacheEvent):
    """What is stored under the key could not be read, and was computed anew.

    Attributes:
        error: Why not.
    """

    error: BaseException


@attrs.frozen(kw_only=True)
class OutageBegan(CacheEvent):
    """The store failed several times in a row; it is not asked until a probe is answered.

    Attributes:
        error: How it failed last.
    """

    error: BaseException


@attrs.frozen(kw_only=True)
class OutageEnded(CacheEvent):
    """The store answered a probe, and is asked again.

    Attributes:
        seconds: How long it was not asked.
    """

    seconds: float


E = TypeVar("E", bound=CacheEvent)
Listener = Callable[[Any], object]


class Events:
    """The listeners of one backend.

    Args:
        backend: The backend's name, for the events.
    """

    def __init__(self, backend: str) -> None:
        self._backend = backend
        self._listeners: tuple[tuple[type[CacheEvent], Listener], ...] = ()
        self.tell: Callable[..., None] = _to_nobody
        self._renew_locks()
        call_in_children(self._renew_locks)

    def _renew_locks(self) -> None:
        self._lock = threading.RLock()

    def on(self, event: type[E], listener: Callable[[E], object]) -> Callable[[], None]:
        """Call a listener for each event of a class, its subclasses included.

        Args:
            event: The class; `CacheEvent` for all.
            listener: Takes the event.

        Returns:
            A function that ends the subscription.
        """
        entry = (cast("type[CacheEvent]", event), cast("Listener", listener))
        with self._lock:
            self.tell = self._to_listeners
            self._listeners = (*self._listeners, entry)

        def off() -> None:
            with self._lock:
                self._listeners = tuple(one for one in self._listeners if one is not entry)
                if not self._listeners:
                    self.tell = _to_nobody

        return off

    def _to_listeners(self, kind: type[CacheEvent], **fields: Any) -> None:
        event = kind(backend=self._backend, **fields)
        for wanted, listener in self._listeners:
            if isinstance(event, wanted):
                try:
                    listener(event)
                except Exception:  # noqa: BLE001 - users' code; what it was told of is done
                    _log.exception("A listener for events of cache %r failed.", self._backend)


def _to_nobody(_kind: type[CacheEvent], **_fields: Any) -> None:
    """What `tell` is while there is no listener."""
