"""One cached entry, and the queue that eviction policies string entries on.

An entry is the cell of its key for as long as the key is cached: a new value for the key is
written into the same entry, so that replacing costs neither a new object nor a new place in any
list. Plain slotted classes, so that the same source compiles.
"""

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from jinpy_cache_memory.native_int import i64

Thaw: TypeAlias = Callable[[Any], Any]
"""Makes the caller's value of its stored form."""

NO_BUCKET: Final = -1
"""The `bucket` of an entry that no timer wheel holds."""

NO_QUEUE: Final = 0
"""The `queue` of an entry that no eviction policy holds."""


class Frozen:
    """A value that is kept in another form than the caller's: a copy, or encoded bytes.

    Attributes:
        data: The stored form.
        thaw: Makes the caller's value of it; `None` when the backend's codec does.
    """

    __slots__ = ("data", "thaw")

    def __init__(self, data: object, thaw: Thaw | None) -> None:
        self.data = data
        self.thaw = thaw


class Entry:
    """A key with its value, and its places in the eviction policy and the timer wheel.

    Attributes:
        key: The key, an exact `str`.
        value: What is stored: the caller's object, or a `Frozen` form of it.
        deadline: When the entry expires, on the engine's clock; `math.inf` for never.
        weight: What it counts against `max_bytes`.
        note: What the policy writes down about it, less than 2**62.
        hits: How often it was read since the policy last looked; readers raise it without a lock,
            so under free threading it may miss some.
        alive: Whether the entry is in the engine's dict.
        queue: Which of the policy's queues holds it; `NO_QUEUE` for none.
        older: Its neighbour in that queue.
        newer: Its other neighbour.
        bucket: Which bucket of the timer wheel holds it; `NO_BUCKET` for none.
        before: Its neighbour in that bucket.
        after: Its other neighbour.
    """

    __slots__ = (
        "after",
        "alive",
        "before",
        "bucket",
        "deadline",
        "hits",
        "key",
        "newer",
        "note",
        "older",
        "queue",
        "value",
        "weight",
    )

    def __init__(self, key: str, value: object, deadline: float, weight: int) -> None:
        self.key = key
        self.value = value
        self.deadline = deadline
        self.weight = weight
        self.note: i64 = 0
        self.hits: i64 = 0
        self.alive = True
        self.queue: i64 = NO_QUEUE
        self.older: Entry | None = None
        self.newer: Entry | None = None
        self.bucket: i64 = NO_BUCKET
        self.before: Entry | None = None
        self.after: Entry | None = None


class Queue:
    """Entries from the oldest to the newest; every operation takes constant time.

    Args:
        number: What the `queue` of its entries says; not `NO_QUEUE`.
    """

    __slots__ = ("newest", "number", "oldest", "size")

    def __init__(self, number: i64) -> None:
        self.number = number
        self.size: i64 = 0
        self.oldest: Entry | None = None
        self.newest: Entry | None = None

    def push(self, entry: Entry) -> None:
        """Append an entry that is in no queue as the newest."""
        newest = self.newest
        entry.older = newest
        if newest is None:
            self.oldest = entry
        else:
            newest.newer = entry
        self.newest = entry
        entry.queue = self.number
        self.size += 1

    def remove(self, entry: Entry) -> None:
        """Take out an entry of this queue."""
        older = entry.older
        newer = entry.newer
        if older is None:
            self.oldest = newer
        else:
            older.newer = newer
        if newer is None:
            self.newest = older
        else:
            newer.older = older
        entry.older = None
        entry.newer = None
        entry.queue = NO_QUEUE
        self.size -= 1
