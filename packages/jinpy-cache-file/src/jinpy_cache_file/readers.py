"""Who reads a store right now, and which of them keep its old pages from being used again.

LMDB gives a page back once no reader can still see it. A process that is stopped in the middle of a
read, or a thread that gets no time, therefore holds every page that is written anew meanwhile: the
store fills up although it holds no more entries than before. Readers of dead processes are cleared;
others can only be named.
"""

import os
from collections.abc import Iterator

import attrs
import lmdb


@attrs.frozen
class Reader:
    """A read transaction that is under way.

    Attributes:
        pid: Its process.
        thread: What LMDB calls its thread.
        txn_id: The state of the store that it sees.
    """

    pid: int
    thread: str
    txn_id: int


def holders(opened: lmdb.Environment) -> list[Reader]:
    """The readers that see an older state than the present one, the oldest first."""
    present = opened.info()["last_txnid"]
    found = [reader for reader in _readers(opened) if reader.txn_id < present]
    return sorted(found, key=lambda reader: reader.txn_id)


def foreign(readers: list[Reader]) -> list[int]:
    """The processes of readers, without our own."""
    return sorted({reader.pid for reader in readers} - {os.getpid()})


def _readers(opened: lmdb.Environment) -> Iterator[Reader]:
    # A heading, then a line for each: pid, thread, and the transaction or "-" for none.
    for line in opened.readers().splitlines():
        fields = line.split()
        if len(fields) == 3 and fields[0].isdecimal() and fields[2].isdecimal():
            yield Reader(int(fields[0]), fields[1], int(fields[2]))
