"""The ledger of one namespace: how much it holds, and where the hand of the eviction stands."""

import struct
from typing import Final
from zlib import crc32

import attrs

_LEDGER: Final = struct.Struct("<5QI")
_COUNTS: Final = struct.Struct("<5Q")


@attrs.define(slots=True)
class Ledger:
    """Counts that one write transaction reads, changes and writes back.

    Attributes:
        next_sequence: The number of the next entry that is inserted.
        entries: How many there are.
        tree_bytes: What their records are charged.
        file_bytes: The sizes of their value files.
        hand: The sequence number at which the search for a victim goes on.
    """

    next_sequence: int = 1
    entries: int = 0
    tree_bytes: int = 0
    file_bytes: int = 0
    hand: int = 0

    @property
    def total_bytes(self) -> int:
        """What `max_bytes` bounds."""
        return self.tree_bytes + self.file_bytes

    def pack(self) -> bytes:
        """The ledger as it is stored."""
        counts = _COUNTS.pack(
            self.next_sequence, self.entries, self.tree_bytes, self.file_bytes, self.hand
        )
        return counts + crc32(counts).to_bytes(4, "little")

    @classmethod
    def unpack(cls, stored: bytes) -> "Ledger | None":
        """A stored ledger, or `None` if it is damaged and has to be counted anew."""
        if len(stored) != _LEDGER.size:
            return None
        *counts, checksum = _LEDGER.unpack(stored)
        return cls(*counts) if checksum == crc32(stored[: _COUNTS.size]) else None


@attrs.frozen(slots=True)
class Bounds:
    """How much a namespace may hold.

    Attributes:
        max_entries: How many entries, or `None`.
        max_bytes: How many bytes, charged as the ledger charges.
    """

    max_entries: int | None
    max_bytes: int

    def exceeded(self, ledger: Ledger) -> bool:
        """Whether something must go.

        An eighth of the map stays free of records: LMDB writes new pages before it frees old ones.
        """
        return (
            ledger.total_bytes > self.max_bytes
            or ledger.tree_bytes > self.max_bytes - self.max_bytes // 8
            or (self.max_entries is not None and ledger.entries > self.max_entries)
        )

    def near(self, ledger: Ledger) -> bool:
        """Whether what is used should be remembered, as something will have to go soon."""
        return ledger.total_bytes > self.max_bytes * 3 // 4 or (
            self.max_entries is not None and ledger.entries > self.max_entries * 3 // 4
        )

    def relaxed(self, ledger: Ledger) -> "Bounds":
        """What to evict down to once something must go: a little more than is needed.

        One part in a hundred, at most 32 entries, so that a full cache does not pay for an
        eviction with every insertion.
        """
        entries = self.max_entries
        if entries is not None:
            entries -= min(entries // 100, 32)
        spare = min(self.max_bytes // 100, 32 * (ledger.total_bytes // max(ledger.entries, 1)))
        return Bounds(entries, self.max_bytes - spare)
