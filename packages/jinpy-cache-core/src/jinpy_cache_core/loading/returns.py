"""Leases on their way back: given up by who was cancelled, and never waited for by them.

A leader that dies (cancelled at any await, by KeyboardInterrupt, by the end of its generator) only
puts its lease into a queue. A thread that lives while there is something in it gives the leases
back in batches. What is left when the interpreter ends is given back then, in bounded time.

A lease that the store does not take back is tried again for a while; after that `lock_timeout` lets
somebody take the lead over, as it does when a process is killed.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import ClassVar, Protocol

from jinpy_cache_core.exceptions import CacheClosedError, CacheException
from jinpy_cache_core.loading.journal import Journal
from jinpy_cache_core.loading.leases import Filling, Releasing

MOST = 100_000
"""How many leases may be on their way back; of more the oldest are left to `lock_timeout`."""

BATCH = 500
"""How many are given back at once."""

FIRST_PAUSE = 0.02
"""Seconds before a batch that failed is tried again; doubled for each further time."""

LONGEST_PAUSE = 0.5
"""Seconds between two tries at most."""

ONE_TRY = 2.0
"""Seconds that the store may take for one batch."""


class TakesBack(Protocol):
    """What of a store this module uses."""

    _gives_back_at_once: ClassVar[bool]

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    def _settle_many(
        self, settlings: Mapping[str, Filling | Releasing], within: float
    ) -> dict[str, bool]: ...


class Returns:
    """The leases of one backend that are on their way back.

    Args:
        store: Where they belong.
        journal: Where failures are noted.
        patience: Seconds for which a lease is tried again.
    """

    def __init__(self, store: TakesBack, journal: Journal, patience: float = 10.0) -> None:
        self._store = store
        self._journal = journal
        self._patience = patience
        self._renew()

    def _renew(self) -> None:
        self._pid = os.getpid()
        self._queue: deque[tuple[str, bytes, float]] = deque(maxlen=MOST)
        self._changed = threading.Condition()
        self._running = False

    def add(self, key: str, token: bytes) -> None:
        """Give a lease back, some time soon; does not wait for the store."""
        if self._pid != os.getpid():  # in a forked child: the parent gives its own back
            self._renew()
        if self._store._gives_back_at_once and self._give({key: Releasing(token)}, ONE_TRY):
            return
        self._queue.append((key, token, time.monotonic() + self._patience))
        with self._changed:
            if self._running:
                return
            self._running = True
        name = f"jinpy-cache-{self._store.name}-leases"
        try:
            threading.Thread(target=self._work, name=name, daemon=True).start()
        except RuntimeError:  # no more threads to be had: the end of the interpreter is near
            with self._changed:
                self._running = False
                self._changed.notify_all()

    def __len__(self) -> int:
        return len(self._queue) + self._running

    def drain(self, seconds: float) -> bool:
        """Wait until all are given back, for so many seconds at most; whether they are."""
        if self._pid != os.getpid():
            return True
        with self._changed:
            return self._changed.wait_for(lambda: not self._running, seconds)

    def empty(self, seconds: float, more: list[tuple[str, bytes]]) -> None:
        """Wait for what is under way, and give back more here and now: the process ends."""
        if self._pid != os.getpid():  # a forked child that never gave anything back
            self._renew()
        until = time.monotonic() + seconds
        self.drain(seconds)
        batch = {key: Releasing(token) for key, token in more}
        while self._queue:
            key, token, _ = self._queue.popleft()
            batch[key] = Releasing(token)
        items = list(batch.items())
        for at in range(0, len(items), BATCH):
            left = until - time.monotonic()
            if left <= 0 or not self._give(dict(items[at : at + BATCH]), left):
                return

    def _work(self) -> None:
        try:
            self._give_all()
        except BaseException:
            with self._changed:
                self._running = False
                self._changed.notify_all()
            raise

    def _give_all(self) -> None:
        pause = FIRST_PAUSE
        while True:
            taken = self._taken()
            if taken:
                if self._give({key: Releasing(token) for key, token, _ in taken}, ONE_TRY):
                    pause = FIRST_PAUSE
                    continue
                now = time.monotonic()
                self._queue.extendleft([one for one in reversed(taken) if one[2] > now])
            with self._changed:
                if not self._queue:
                    self._running = False
                    self._changed.notify_all()
                    return
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _taken(self) -> list[tuple[str, bytes, float]]:
        taken: list[tuple[str, bytes, float]] = []
        seen: set[str] = set()
        while len(taken) < BATCH and self._queue:
            if self._queue[0][0] in seen:
                break
            one = self._queue.popleft()
            seen.add(one[0])
            taken.append(one)
        return taken

    def _give(self, batch: dict[str, Releasing], seconds: float) -> bool:
        """Whether the store took them, or will never."""
        try:
            self._store._settle_many(batch, seconds)
        except CacheClosedError:
            return True
        except CacheException as error:
            message = "Giving back a lease of the cache %r failed, it is tried again: %s"
            self._journal.warn("returns", message, self._store.name, error)
            return False
        return True
