"""One write transaction, as those see it who work in it."""

import lmdb

from jinpy_cache_file.layout import Reference
from jinpy_cache_file.ledger import Ledger
from jinpy_cache_file.value_files import Publication


class WriteContext:
    """One write transaction: what it has read once, and what must follow its end.

    Attributes:
        txn: The transaction.
        now: When it began.
        ledger: Once it was read; it is written back before the commit.
        written: Whether there is anything to commit.
        published: Files to settle when it is over.
        doomed: Files to remove once it is committed.
    """

    ledger: Ledger | None = None
    written = False
    published: tuple[Publication, ...] = ()
    doomed: tuple[Reference, ...] = ()

    def __init__(self, txn: "lmdb.Transaction[bytes]", now: float) -> None:
        self.txn = txn
        self.now = now
