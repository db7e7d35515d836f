"""`LoadingStore`: what the loading layer asks of whoever keeps the values."""

from typing import Any, Protocol

from jinpy_cache_core.entries.state import EntryState
from jinpy_cache_core.enums import CacheOperation
from jinpy_cache_core.loading.leases import Claim, Claiming, Filling, Releasing


class LoadingStore(Protocol):
    """A store of entries with leases, as `jinpy_cache_core.backend` makes one of every backend."""

    @property
    def name(self) -> str:
        """What it is called in errors, events and logs."""
        ...

    def _now(self) -> float:
        """The time on the store's clock, in seconds."""
        ...

    def _peek(self, key: str) -> EntryState:
        """What is under a key: a value, fresh or stale, and a lease."""
        ...

    async def _apeek(self, key: str) -> EntryState:
        """Same as `_peek`, asynchronously."""
        ...

    def _claim(self, key: str, claiming: Claiming) -> Claim:
        """Find a value, or take the lead in computing it, or learn who has it, atomically."""
        ...

    async def _aclaim(self, key: str, claiming: Claiming) -> Claim:
        """Same as `_claim`, asynchronously."""
        ...

    def _settle(self, key: str, settling: Filling | Releasing) -> bool:
        """Store a computed value or give up the lead, if the lease still stands, atomically."""
        ...

    async def _asettle(self, key: str, settling: Filling | Releasing) -> bool:
        """Same as `_settle`, asynchronously."""
        ...

    def _wrapped(self, key: str, value: object) -> Any:
        """The form in which a value is kept."""
        ...

    def _unwrapped(self, key: str, form: Any, kind: type[Any] | None) -> Any:
        """The value of a form that `_wrapped` gave, or of what was under the key."""
        ...

    def _placed(
        self, error: Exception, operation: CacheOperation, args: tuple[Any, ...]
    ) -> Exception:
        """An error that knows where it happened, to be raised."""
        ...
