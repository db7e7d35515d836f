"""One computation under way, and everyone in this process who waits for it.

Threads wait on an event, tasks on a future of their own loop, which is woken from whatever thread
the computation ends in. Nobody who waits can disturb the flight: a task that is cancelled, or a
thread that has waited long enough, just leaves.
"""

import asyncio
import os
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from types import TracebackType
from typing import Any

from jinpy_cache_core.entries.envelope import LEASE_SIZE
from jinpy_cache_core.exceptions import CacheReentryError, shown_key
from jinpy_cache_core.forks import call_in_children
from jinpy_cache_core.sentinels import MISSING


class Landing:
    """Something that will be over, and everyone in this process who waits for that.

    Args:
        loop: The event loop whose task does it; `None` for a thread.

    Attributes:
        loop: The same.
        landed: Whether it is over.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop | None) -> None:
        self.loop = loop
        self.landed = False
        self._lock = threading.RLock()
        self._waiting: list[Callable[[], object]] = []

    def _end(self) -> list[Callable[[], object]]:
        """Be over, with the lock held; who is to be woken after it is released."""
        self.landed = True
        waiting, self._waiting = self._waiting, []
        return waiting

    def wait(self, seconds: float) -> bool:
        """Block until it is over, for so many seconds at most; whether it is."""
        event = threading.Event()
        if self._join(event.set):
            event.wait(min(seconds, threading.TIMEOUT_MAX))
            self._leave(event.set)
        return self.landed

    async def await_landing(self, seconds: float) -> bool:
        """Same as `wait`, asynchronously."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()

        def wake() -> None:
            with suppress(RuntimeError):  # that loop is closed, so nobody waits there any more
                loop.call_soon_threadsafe(_resolve, future)

        if self._join(wake):
            try:
                limit = None if seconds > threading.TIMEOUT_MAX else seconds
                await asyncio.wait([future], timeout=limit)
            finally:
                self._leave(wake)
                future.cancel()
        return self.landed

    def __len__(self) -> int:
        return len(self._waiting)

    def __bool__(self) -> bool:
        return True

    def _join(self, wake: Callable[[], object]) -> bool:
        with self._lock:
            if not self.landed:
                self._waiting.append(wake)
            return not self.landed

    def _leave(self, wake: Callable[[], object]) -> None:
        if self.landed:  # then nobody is in the list any more, which may have been long
            return
        with self._lock:
            if wake in self._waiting:
                self._waiting.remove(wake)


class Flight(Landing):
    """The computation of one value.

    Args:
        key: What is computed.

    Attributes:
        token: The generation it computes for.
        payload: The encoded value, once it is over; `MISSING` if there is none.
        error: Why it gave up, if it did.
        trace: The traceback that the error had then; who raises it again begins with that.
        value: The value itself, if it could be computed but not encoded: for its own caller.
        began: When it began without a store, on the monotonic clock.
        leased: Whether the store may hold a lease for it, which somebody has to give back.
        observed: Whether the caller who began it still waits and will report the error.
    """

    def __init__(self, key: str) -> None:
        super().__init__(running_loop())
        self.key = key
        self.token = secrets.token_bytes(LEASE_SIZE)
        self.payload: Any = MISSING
        self.value: Any = MISSING
        self.error: BaseException | None = None
        self.trace: TracebackType | None = None
        self.began = 0.0
        self.leased = False
        self.observed = True

    def land(
        self, payload: Any = MISSING, error: BaseException | None = None, value: Any = MISSING
    ) -> None:
        """End it, with an encoded value or without, and wake everyone; only the first time."""
        with self._lock:
            if self.landed:
                return
            self.payload, self.error, self.value = payload, error, value
            self.trace = None if error is None else error.__traceback__
            waiting = self._end()
        for wake in waiting:
            wake()


class Flights:
    """The computations of one backend in this process, by their token.

    Only who asks the store for the token finds a flight, so nobody joins one that began before
    an invalidation that came before them.
    """

    def __init__(self) -> None:
        self._by_token: dict[bytes, Flight] = {}
        self._alone: dict[str, Flight] = {}
        self._pid = os.getpid()
        call_in_children(self._renew_locks)

    def _renew_locks(self) -> None:
        for flight in list(self._by_token.values()):
            flight._lock = threading.RLock()

    def begin(self, key: str) -> Flight:
        """A flight that is findable before its token is; end it with `end`."""
        if self._pid != os.getpid():  # in a forked child: the parent's flights land elsewhere
            self._by_token, self._alone, self._pid = {}, {}, os.getpid()
        flight = Flight(key)
        self._by_token[flight.token] = flight
        return flight

    def lead(self, flight: Flight, token: bytes) -> None:
        """Let a flight compute for another generation than its own: its lead was taken over."""
        if flight.token != token:
            self.end(flight)
            flight.token = token
            self._by_token[token] = flight

    def find(self, token: bytes) -> Flight | None:
        """The flight of this process that computes for a generation."""
        return self._by_token.get(token) if self._pid == os.getpid() else None

    def lead_alone(self, flight: Flight) -> None:
        """Let a flight compute without a store: those who wait already for one may join it."""
        flight.began = time.monotonic()
        self._alone[flight.key] = flight

    def find_alone(self, key: str, began: float) -> Flight | None:
        """A flight without a store that began after a caller did, who therefore may join it."""
        flight = self._alone.get(key) if self._alone else None
        if flight is None or flight.began < began or self._pid != os.getpid():
            return None
        return flight

    def end(self, flight: Flight) -> None:
        """Let it be found no more."""
        if self._alone and self._alone.get(flight.key) is flight:
            self._alone.pop(flight.key, None)
        if self._by_token.get(flight.token) is flight:
            del self._by_token[flight.token]

    def leased(self) -> list[Flight]:
        """The flights of this process for which the store may hold a lease."""
        if self._pid != os.getpid():
            return []
        return [flight for flight in list(self._by_token.values()) if flight.leased]

    def __len__(self) -> int:
        return len(self._by_token)

    def keys(self, prefix: str) -> list[str]:
        """The keys with a prefix that are being computed in this process, with a value or not."""
        flights = [*self._by_token.values(), *self._alone.values()]
        return [flight.key for flight in flights if flight.key.startswith(prefix)]

    def followers(self) -> int:
        """How many callers of this process wait for others."""
        return sum(map(len, list(self._by_token.values())))

    def refuse_reentry(self, key: str) -> None:
        """Make sure that the caller is not part of the computation of this very key.

        Raises:
            CacheReentryError: It is; it would wait for itself.
        """
        for flights, flight, _ in current_flights.get():
            if flights is self and flight.key == key and not flight.landed:
                message = (
                    f"The factory of {shown_key(key)} asked the cache for that key itself, and "
                    "would have waited for itself. Compute the value without the cache, or under "
                    "another key."
                )
                raise CacheReentryError(message, key=key)


current_flights: ContextVar[tuple[tuple[Flights, Flight, Any], ...]] = ContextVar(
    "jinpy_cache_current_flights", default=()
)
"""The computations that the running code is part of, the innermost last, each with its context."""


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The event loop that runs in this thread, if one does."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _resolve(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
