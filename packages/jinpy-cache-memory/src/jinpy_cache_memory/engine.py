"""The engine: keys to entries, bounded, with expiry, for any number of threads.

**Structure.** One dict maps each key to its `Entry`, the cell of that key for as long as it is
cached. A new value is written into the cell. An eviction policy and a timer wheel string the same
entries on lists of their own; neither knows of the other.

**A hit** is one dict lookup, one comparison of the deadline (the clock is read only for entries
that have one) and one counter raised in the entry. It takes no lock, reorders nothing, allocates
nothing and checks neither the key nor whether the cache is closed: only checked keys are ever
stored, so finding one proves it good, and closing empties the dict. Everything unusual (a miss, a
value that must be thawed, a type to structure into) leaves through a call at the end of a branch. A
facade binds the very method, so compiled, a hit is one C call; that is all there is left to save.

**Writes** hold one lock, and under it only this module, the wheel and the policy run. What users
wrote never does: values arrive encoded and weighed, keys are exact `str`, and whatever a write
drops is handed out of the locked region and released after the lock, as releasing may run
`__del__`.

**Re-entry.** The garbage collector and signal handlers may still run anything between two steps of
the thread that holds the lock, and that may come back to this cache. So the lock is re-entrant,
and a locked region is written to be interrupted:

* Reading and changing the dict or an entry happen in one stretch without a call, so nothing comes
  between (CPython runs finalisers and handlers, and switches threads, only at calls and at backward
  jumps; compiled code at fewer places). A stretch that had to call looks again before it writes.
* Lists are mended by one activation at a time, the outermost. A nested one changes the dict, leaves
  the entry in `_unsettled`, and the outermost settles it before it releases the lock. Settling
  compares what an entry is (`alive`, `deadline`) with where it hangs (`queue`, `bucket`), so the
  order and number of changes in between do not matter.

**Interrupts.** A signal handler, or another thread, may also raise an exception between two steps.
The lock is taken by `with`, which the interpreter enters in one step, so it is never left behind.
What is left behind is a region that did not come to its end: the dict is whole at every step, the
lists and the weight may not be. So such a region is marked torn, and the next write that comes to
the lists makes them anew from the dict. That is linear in the entries, and as rare as interrupts.

**Readers beside writers.** A reader looks at the deadline first and at the value second; a writer
writes the value first. So a value is never returned under a later value's deadline: whoever sees
the new deadline sees the new value. A reader may pair a new value with an old deadline that had
not passed, which is a read at the instant of the write. Each field is one reference or one machine
word and dict operations lock themselves, so the argument holds without a global interpreter lock;
there, racing readers may lose counts of hits, which only blurs the policy's picture.

**Limits.** When a write returns, both the number of entries and their weight are within bounds;
expired entries go before live ones when the wheel has come past their deadline. The lock is held
for `MOST_AT_ONCE` victims at most: a large value that a million small ones have to make room for is
paid for by its writer, in steps between which others get the lock and the interpreter; what they
write meanwhile waits for its place in the lists. Until the last step the cache is that value larger
than its bound.

**Expiry.** Exact at read, `now >= deadline`. Memory is reclaimed by writes, which advance the wheel
(amortised constant, and `EXPIRED_AT_ONCE` entries at most), and by a read that meets an expired
entry; there is no thread and no timer.

**Fork.** A child whose parent's lock was held gets a new lock, and lists rebuilt from the dict.

References: Ben Manes, "Design of a Modern Cache" (2016), for the separation of the map from its
policies and for recording hits cheaply; Zhang et al., "FIFO can be better than LRU" (HotOS 2023),
for lazy promotion; Varghese and Lauck (1987) for the wheel.
"""

import math
import time
from collections.abc import Callable
from typing import Any, Final, cast

from jinpy_cache_memory.entry import NO_BUCKET, NO_QUEUE, Entry, Frozen
from jinpy_cache_memory.eviction.policy import EvictionPolicy
from jinpy_cache_memory.region import make_region
from jinpy_cache_memory.wheel import TimerWheel

NEVER: Final = math.inf

MOST_AT_ONCE: Final = 512
"""Entries that are evicted or hung up under the lock in one go."""

STEPS_OF_A_TURN: Final = 8
"""How often that is done until the interpreter is another thread's to take.

About as long as a thread keeps it: one that is busy would take its full turn after each of them.
"""

EXPIRED_AT_ONCE: Final = 2048
"""Entries of the wheel that one write deals with at most."""

UNREACHED: Final = 1e300
"""Later than any deadline but `NEVER`; a literal, which compiled code compares with at no cost."""

LONGEST: Final = 100 * 365.25 * 24 * 3600
"""A ttl above a century in seconds is left to the general path, which makes it never."""

SURELY_SHORT: Final = 1024
"""A key of so many ASCII characters is short enough; others are checked in full."""

LONGEST_INT: Final = 3_155_760_000
"""The same as a whole number."""

SHORT_INT: Final = 2**60
"""An `int` below this is compared without allocating; longer ones take the general path."""

INERT: Final = frozenset((type(None), bool, int, float, str, bytes))
"""Types whose values run nothing when they go."""

_is_ascii: Final = str.isascii

UNFIT: Final = object()
"""A write that the general path has to refuse, or to do."""

REPLACED: Final = 0
DELETED: Final = 1
EXPIRED: Final = 2
SIZE: Final = 3
"""Why a value was dropped; the backend's `EvictionCause` in this order."""


class Dropped:
    """What a write dropped and why, for a listener.

    Attributes:
        key: The key.
        value: What was stored.
        cause: `REPLACED`, `DELETED`, `EXPIRED` or `SIZE`.
    """

    __slots__ = ("cause", "key", "value")

    def __init__(self, key: str, value: object, cause: int) -> None:
        self.key = key
        self.value = value
        self.cause = cause


class EngineClosed(Exception):  # noqa: N818 - never seen by users; the backend raises its own
    """The engine was closed before the write."""


class Engine:
    """Keys to stored values with deadlines, within limits; every operation is atomic.

    Args:
        make_policy: Makes an empty eviction policy.
        max_entries: The most entries held.
        max_weight: The most weight held.
        now: The clock, in seconds.
        default_seconds: How long an entry lives when `set` is given no ttl; `math.inf` for never.
        plain: The types whose values `set` stores as they are, unweighed; an `int` only if it
            is not long.
        keeps_all: Whether that holds for values of every type.
        listener: Called after the lock with what was dropped; `None` for nobody.

    Attributes:
        evicted: How many live entries had to make room.
    """

    def __init__(
        self,
        make_policy: Callable[[], EvictionPolicy],
        max_entries: int,
        max_weight: int,
        now: Callable[[], float],
        default_seconds: float,
        plain: frozenset[type],
        keeps_all: bool,
        listener: Callable[[list[Dropped]], None] | None,
    ) -> None:
        self._make_policy = make_policy
        self._max_entries = max_entries
        self._max_weight = max_weight
        self._now = now
        self._default_seconds = default_seconds
        self._plain = plain
        self._counts = int in plain
        self._keeps_all = keeps_all
        self._listener = listener
        self._general_get: Callable[..., Any] = _nobody
        self._general_set: Callable[..., Any] = _nobody
        self._entries: dict[str, Entry] = {}
        self._policy = make_policy()
        self._wheel = TimerWheel(now())
        self._weight = 0
        self._settling = False
        self._torn = False
        self._behind = False
        self._catching_up = False
        self._unsettled: list[Entry] = []
        self._garbage: list[object] = []
        self._closed = False
        self.evicted = 0
        self._renew_lock()

    def attach(self, general_get: Callable[..., Any], general_set: Callable[..., Any]) -> None:
        """Say who takes the calls that `get` and `set` do not; done once, before the first."""
        self._general_get = general_get
        self._general_set = general_set

    # -- The hot operations: everything unusual is left to the general path ----------------------

    def get(self, key: Any, default: object = None, type: Any = None) -> Any:
        """`MemoryCacheBackend.get`; a keyword-only `type` would cost each compiled call."""
        try:
            entry = self._entries.get(key)
        except TypeError:  # unhashable
            return self._general_get(key, default, type=type)
        if entry is None:
            if self._closed or not _is_surely_a_key(key):
                return self._general_get(key, default, type=type)
            return default
        if entry.deadline < UNREACHED and self._now() >= entry.deadline:
            self._reclaim(entry)
            return default
        entry.hits += 1
        value = entry.value
        if type is None:
            if not isinstance(value, Frozen):
                return value
            thaw = value.thaw
            if thaw is not None:
                try:
                    return thaw(value.data)
                except Exception:  # noqa: BLE001, S110 - it happens again, and is told in context
                    pass
        return self._general_get(key, default, type=type)

    def set(self, key: Any, value: object, ttl: Any = None) -> None:
        """`MemoryCacheBackend.set`."""
        if type(key) is str and (self._keeps_all or self._is_plain(value)):
            seconds = 0.0
            if ttl is None:
                seconds = self._default_seconds
            elif type(ttl) is float:
                seconds = ttl
            elif type(ttl) is int and 0 < ttl <= LONGEST_INT:
                seconds = float(ttl)
            if 0.0 < seconds <= LONGEST or seconds == NEVER:
                now = self._time_for_write(seconds)
                with self._lock:
                    try:
                        dropped = self._store(key, value, now + seconds, 0, now, False)
                    except BaseException:
                        self._torn = True
                        raise
                if dropped is not UNFIT:
                    self._let_go(dropped)
                    return
        self._general_set(key, value, ttl)

    def _is_plain(self, value: object) -> bool:
        if type(value) is int:
            return self._counts and -SHORT_INT < value < SHORT_INT
        return type(value) in self._plain

    # -- What the general path is made of --------------------------------------------------------

    def find(self, key: str) -> Entry | None:
        """Read a live entry and count it as a hit.

        Returns:
            The entry; its value is to be read once, as writers change it.
        """
        entry = self.peek(key)
        if entry is not None:
            entry.hits += 1
        return entry

    def peek(self, key: str) -> Entry | None:
        """Read a live entry without counting it as a hit."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry.deadline != NEVER and self._now() >= entry.deadline:
            self._reclaim(entry)
            return None
        return entry

    def put(self, key: str, value: object, seconds: float, weight: int) -> None:
        """Store a value in its stored form for `seconds`.

        Raises:
            EngineClosed: The engine was closed before.
        """
        now = self._time_for_write(seconds)
        with self._lock:
            try:
                dropped = self._store(key, value, now + seconds, weight, now, True)
            except BaseException:
                self._torn = True
                raise
        self._let_go(dropped)

    def put_if_absent(self, key: str, value: object, seconds: float, weight: int) -> bool:
        """Store a value only if there is no live entry; whether it was stored.

        Raises:
            EngineClosed: The engine was closed before.
        """
        now = self._now()
        dropped: object = None
        with self._lock:
            try:
                entry = self._entries.get(key)
                absent = entry is None or not entry.alive or entry.deadline <= now
                if absent:
                    dropped = self._store(key, value, now + seconds, weight, now, True)
            except BaseException:
                self._torn = True
                raise
        self._let_go(dropped)
        return absent

    def exchange(
        self,
        entry: Entry,
        expected: object,
        value: object,
        weight: int,
        deadline: float | None = None,
    ) -> bool:
        """Replace an entry's value if it still is the very object expected.

        Args:
            entry: What `peek` returned.
            expected: Its value then.
            value: The new value in its stored form.
            weight: Its weight.
            deadline: When it expires; `None` to leave that as it is.

        Returns:
            False if the entry has another value by now, or is deleted or expired.
        """
        now = self._now()
        with self._lock:
            try:
                known = self._entries.get(entry.key)
                held = known is entry and entry.alive and entry.value is expected
                if held and entry.deadline > now:
                    entry.value = value
                    if deadline is not None:
                        entry.deadline = deadline
                    self._weight += weight - entry.weight
                    entry.weight = weight
                    entry.hits += 1
                    self._drop(entry.key, expected, REPLACED)
                    self._settle(entry, now)
                else:
                    held = False
                dropped = self._take_garbage()
            except BaseException:
                self._torn = True
                raise
        self._let_go(dropped)
        return held

    def remove(self, key: str) -> bool:
        """Delete an entry; whether it was live."""
        now = self._now()
        with self._lock:
            try:
                entry = self._entries.get(key)
                live = entry is not None and self._discard(entry, DELETED, now)
                dropped = self._take_garbage()
            except BaseException:
                self._torn = True
                raise
        self._let_go(dropped)
        return live

    def remove_exactly(self, entry: Entry, expected: object) -> bool:
        """Delete an entry if its value still is the very object expected; whether it was."""
        now = self._now()
        with self._lock:
            try:
                removed = entry.value is expected and self._discard(entry, DELETED, now)
                dropped = self._take_garbage()
            except BaseException:
                self._torn = True
                raise
        self._let_go(dropped)
        return removed

    def prolong(self, key: str, seconds: float) -> bool:
        """Give a live entry a new lifetime from now on; whether there was one."""
        now = self._now()
        with self._lock:
            try:
                entry = self._entries.get(key)
                live = entry is not None and entry.alive and entry.deadline > now
                if live and entry is not None:
                    entry.deadline = now + seconds
                    self._settle(entry, now)
                dropped = self._take_garbage()
            except BaseException:
                self._torn = True
                raise
        self._let_go(dropped)
        return live

    def clear(self) -> None:
        """Drop every entry."""
        self._empty()

    def close(self) -> None:
        """Drop every entry and refuse later writes; reads miss."""
        self._closed = True
        self._empty()

    def snapshot(self) -> list[str]:
        """The keys held at one instant, those of expired entries included."""
        return list(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def weight(self) -> int:
        """The weight of all entries."""
        return self._weight

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def recover(self) -> None:
        """Make the engine of a forked child usable, whatever the parent's threads were doing."""
        if self._lock.acquire(False):
            self._lock.release()
            return
        self._renew_lock()
        self._settling = self._catching_up = False
        self._unsettled = []
        self._rebuild()

    # -- Locked regions --------------------------------------------------------------------------

    def _renew_lock(self) -> None:
        self._lock = make_region()

    def _time_for_write(self, seconds: float) -> float:
        """The present, if the write or the wheel needs it."""
        return self._now() if seconds != NEVER or self._wheel.size else 0.0

    def _store(  # noqa: C901 - it must not call in between
        self, key: str, value: object, deadline: float, weight: int, now: float, checked: bool
    ) -> object:
        """Write a value.

        Returns:
            What to release after the lock; `UNFIT` if the key is new, was not checked, and needs
            to be, or if the engine is closed.
        """
        fresh: Entry | None = None
        while True:
            entry = self._entries.get(key)
            if entry is None:
                if fresh is None:
                    if not checked and not _is_surely_a_key(key):
                        return UNFIT
                    fresh = Entry(key, value, deadline, weight)
                if self._closed:
                    if checked:
                        raise EngineClosed
                    return UNFIT
                if self._entries.setdefault(key, fresh) is not fresh:
                    continue
                self._weight += weight
                self._settle(fresh, now)
                return self._take_garbage()
            if entry.alive:
                break
        old = entry.value
        old_deadline = entry.deadline
        entry.value = value
        entry.deadline = deadline
        entry.hits += 1
        unchanged = entry.weight == weight
        self._weight += weight - entry.weight
        entry.weight = weight
        if self._listener is not None:
            self._drop(key, old, EXPIRED if old_deadline <= now else REPLACED)
        # An entry may lie in the wheel too early, never too late.
        scheduled = deadline == NEVER if entry.bucket == NO_BUCKET else deadline >= old_deadline
        if not (scheduled and unchanged) or self._wheel.is_behind(now):
            self._settle(entry, now)
        if not self._garbage:
            return old
        if self._listener is None:
            self._garbage.append(old)
        return self._take_garbage()

    def _discard(self, entry: Entry, cause: int, now: float) -> bool:
        """Take an entry out of the dict; returns whether it was live."""
        known = self._entries.get(entry.key)
        if not entry.alive or known is not entry:
            return False
        entry.alive = False
        del self._entries[entry.key]
        self._weight -= entry.weight
        live = entry.deadline > now
        self._drop(entry.key, entry.value, cause if live else EXPIRED)
        self._settle(entry, now)
        return live

    def _settle(self, entry: Entry | None, now: float) -> None:
        """Keep to the limits, and bring the lists in line with an entry that was changed.

        Room is made before a new entry is hung up, so that it cannot be its own victim. What does
        not fit into one go leaves the engine `_behind`, and the new entry for the next one.
        """
        if self._settling:
            if entry is not None:
                self._unsettled.append(entry)
            return
        self._settling = True
        unsettled = entry
        most = MOST_AT_ONCE
        try:
            if self._torn:
                self._rebuild(entry)
            if self._wheel.is_behind(now):
                self._expire(now)
            while (
                True
            ):  # a condition here would be looked at outside of the `try`, on 3.12 and 3.13
                if most <= 0:
                    self._behind = True
                    return
                if len(self._entries) > self._max_entries or self._weight > self._max_weight:
                    victim = self._policy.victim()
                    if victim is not None:
                        most -= 1
                        self._expel(victim, SIZE, now)
                        continue
                if unsettled is not None:
                    self._mend(unsettled)
                    unsettled = None
                elif self._unsettled:
                    most -= 1
                    unsettled = self._unsettled.pop()
                else:
                    return
        finally:
            self._settling = False
            if unsettled is not None:  # interrupted, or behind: the next write goes on
                self._unsettled.append(unsettled)

    def _expire(self, now: float) -> None:
        """Take out what the wheel gives up, as much as one write deals with."""
        for expired in self._wheel.advance(now, EXPIRED_AT_ONCE):
            self._expel(expired, EXPIRED, now)

    def _catch_up(self) -> None:
        """Go on keeping to the limits, in steps, unless somebody does.

        Between two steps the lock is free, and now and then another thread may run.
        """
        if self._catching_up or self._settling:
            return
        self._catching_up = True
        steps = 0
        try:
            while True:  # see `_settle`
                if not self._behind:
                    return
                steps += 1
                if steps % STEPS_OF_A_TURN == 0:
                    time.sleep(0)
                now = self._now()
                with self._lock:
                    try:
                        self._behind = False
                        self._settle(None, now)
                        dropped = self._take_garbage()
                    except BaseException:
                        self._torn = self._behind = True
                        raise
                if self._listener is not None and dropped is not None:
                    self._listener(cast("list[Dropped]", dropped))
        finally:
            self._catching_up = False

    def _rebuild(self, but: Entry | None = None) -> None:
        """String every entry of the dict on new lists; after a region that did not come to its end.

        Args:
            but: An entry that is hung up later; it is counted all the same.

        What runs in between and comes back to this cache leaves its entries in `_unsettled`; then
        the lists are made once more, until nothing came between.
        """
        if but is not None:
            _unlink(but)  # it may be out of the dict already, and on the lists of before
        while True:
            self._unsettled = []
            self._policy = self._make_policy()
            self._wheel = TimerWheel(self._now())
            weight = 0
            for entry in list(self._entries.values()):
                weight += entry.weight
                if entry is not but:
                    _unlink(entry)
                    self._mend(entry)
            if not self._unsettled:
                self._weight = weight
                self._torn = False
                return

    def _expel(self, entry: Entry, cause: int, now: float) -> None:
        """Take out what the wheel or the policy has let go of, unless it was renewed meanwhile."""
        if entry.alive and (cause != EXPIRED or entry.deadline <= now):
            entry.alive = False
            del self._entries[entry.key]
            self._weight -= entry.weight
            if cause == SIZE:
                self.evicted += 1
            self._drop(entry.key, entry.value, cause)
        if entry.bucket != NO_BUCKET or entry.queue != NO_QUEUE or entry.alive:
            self._mend(entry)

    def _mend(self, entry: Entry) -> None:
        """Hang one entry where it belongs; calling it again changes nothing."""
        if entry.bucket != NO_BUCKET:
            self._wheel.remove(entry)
        if entry.alive:
            if entry.queue == NO_QUEUE:
                self._policy.add(entry)
            if entry.deadline != NEVER:
                self._wheel.add(entry)
        elif entry.queue != NO_QUEUE:
            self._policy.remove(entry)

    def _reclaim(self, entry: Entry) -> None:
        """Remove an entry that a reader found expired."""
        now = self._now()
        with self._lock:
            try:
                if entry.deadline <= now:
                    self._discard(entry, EXPIRED, now)
                dropped = self._take_garbage()
            except BaseException:
                self._torn = True
                raise
        self._let_go(dropped)

    def _empty(self) -> None:
        """Swap everything for nothing under the lock, and take the old apart after it."""
        now = self._now()
        empty: dict[str, Entry] = {}
        policy = self._make_policy()
        wheel = TimerWheel(now)
        with self._lock:
            try:
                nested = self._settling
                entries = self._entries
                self._entries = empty
                self._weight = 0
                if not nested:
                    self._policy = policy
                    self._wheel = wheel
                for entry in entries.values():
                    entry.alive = False
                if nested:  # the outermost activation takes its lists apart itself
                    self._unsettled.extend(entries.values())
            except BaseException:
                self._torn = True
                raise
        listener = self._listener
        if listener is not None:
            listener(
                [
                    Dropped(entry.key, entry.value, DELETED if entry.deadline > now else EXPIRED)
                    for entry in entries.values()
                ]
            )
        if not nested:
            for entry in entries.values():
                _unlink(entry)

    # -- What was dropped ------------------------------------------------------------------------

    def _drop(self, key: str, value: object, cause: int) -> None:
        """Keep a value until the lock is released, unless nothing runs when it goes."""
        if self._listener is None:
            if type(value) not in INERT:
                self._garbage.append(value)
        else:
            self._garbage.append(Dropped(key, value, cause))

    def _take_garbage(self) -> object:
        garbage = self._garbage
        if not garbage:
            return None
        self._garbage = []
        return garbage

    def _let_go(self, dropped: object) -> None:
        """Tell the listener; when the caller returns, the last reference goes, without the lock."""
        listener = self._listener
        if listener is not None and dropped is not None:
            listener(cast("list[Dropped]", dropped))
        if self._behind:
            self._catch_up()


def _nobody(*_arguments: object, **_named: object) -> Any:
    message = "the engine is attached to no backend"
    raise RuntimeError(message)


def _is_surely_a_key(key: object) -> bool:
    return type(key) is str and 0 < len(key) <= SURELY_SHORT and _is_ascii(key)


def _unlink(entry: Entry) -> None:
    entry.queue = NO_QUEUE
    entry.bucket = NO_BUCKET
    entry.older = None
    entry.newer = None
    entry.before = None
    entry.after = None
