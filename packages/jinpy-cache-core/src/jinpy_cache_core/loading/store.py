"""`LoadingStore`: what the loading layer asks of whoever keeps the values."""

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

from jinpy_cache_core.entries.state import EntryState
from jinpy_cache_core.enums import CacheOperation
from jinpy_cache_core.exceptions import CacheException
from jinpy_cache_core.loading.leases import Claim, Claiming, Filling, Releasing

Settling = Filling | Releasing
"""What ends a lease."""


class LoadingStore(Protocol):
    """A store of entries with leases, as `jinpy_cache_core.backend` makes one of every backend.

    `within` is always how many seconds the store may take; one that cannot be slow ignores it.
    """

    _gives_back_at_once: ClassVar[bool]
    """Whether it neither waits nor blocks, so that nothing has to be done in the background."""

    @property
    def name(self) -> str:
        """What it is called in errors, events and logs."""
        ...

    @property
    def _store_seconds(self) -> float:
        """How long the store may take of one call of a user, all steps together."""
        ...

    @property
    def _shared(self) -> bool:
        """Whether other processes wait for the leases of this one."""
        ...

    def _now(self) -> float:
        """The time on the store's clock, in seconds."""
        ...

    def _is_outage(self, error: CacheException) -> bool:
        """Whether an error says that the store is away or hangs, and not that it answered."""
        ...

    def _is_silent(self, error: CacheException) -> bool:
        """Whether the store has let a caller wait in full, and meanwhile told nobody anything."""
        ...

    def _has_answered(self) -> bool:
        """Whether it has answered anybody since this was last asked, as far as that is known."""
        ...

    def _reach(self) -> None:
        """Ask it something; an error says that it still does not answer."""
        ...

    def _peek(self, key: str, within: float) -> EntryState:
        """What is under a key: a value, fresh or stale, and a lease."""
        ...

    async def _apeek(self, key: str, within: float) -> EntryState:
        """Same as `_peek`, asynchronously."""
        ...

    def _claim(self, key: str, claiming: Claiming, within: float) -> Claim:
        """Find a value, or take the lead in computing it, or learn who has it, atomically."""
        ...

    async def _aclaim(self, key: str, claiming: Claiming, within: float) -> Claim:
        """Same as `_claim`, asynchronously."""
        ...

    def _settle(self, key: str, settling: Settling, within: float) -> bool:
        """Store a computed value or give up the lead, if the lease still stands, atomically."""
        ...

    async def _asettle(self, key: str, settling: Settling, within: float) -> bool:
        """Same as `_settle`, asynchronously."""
        ...

    def _claim_many(self, claimings: Mapping[str, Claiming], within: float) -> dict[str, Claim]:
        """Same as `_claim` for each key; the lot is not atomic."""
        ...

    async def _aclaim_many(
        self, claimings: Mapping[str, Claiming], within: float
    ) -> dict[str, Claim]:
        """Same as `_claim_many`, asynchronously."""
        ...

    def _settle_many(self, settlings: Mapping[str, Settling], within: float) -> dict[str, bool]:
        """Same as `_settle` for each key; the lot is not atomic."""
        ...

    async def _asettle_many(
        self, settlings: Mapping[str, Settling], within: float
    ) -> dict[str, bool]:
        """Same as `_settle_many`, asynchronously."""
        ...

    def _wrapped(self, key: str, value: object) -> Any:
        """The form in which a value is kept."""
        ...

    async def _awrapped(self, key: str, value: object) -> Any:
        """Same as `_wrapped`, asynchronously: a large value is encoded in a worker thread."""
        ...

    def _unwrapped(self, key: str, form: Any, kind: type[Any] | None) -> Any:
        """The value of a form that `_wrapped` gave, or of what was under the key."""
        ...

    def _placed(
        self, error: Exception, operation: CacheOperation, args: tuple[Any, ...]
    ) -> Exception:
        """An error that knows where it happened, to be raised."""
        ...
