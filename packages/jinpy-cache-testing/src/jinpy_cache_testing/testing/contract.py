"""The one class that a backend's tests subclass."""

from jinpy_cache_core.testing.rows.bulk import BulkRows
from jinpy_cache_core.testing.rows.concurrency import ConcurrencyRows
from jinpy_cache_core.testing.rows.counters import CounterRows
from jinpy_cache_core.testing.rows.damage import DamageRows
from jinpy_cache_core.testing.rows.entries import EntryRows
from jinpy_cache_core.testing.rows.invalidation import InvalidationRows
from jinpy_cache_core.testing.rows.keys import KeyRows, NamespaceRows
from jinpy_cache_core.testing.rows.lifecycle import LifecycleRows
from jinpy_cache_core.testing.rows.lifetimes import LifetimeRows
from jinpy_cache_core.testing.rows.loading import LoadingRows
from jinpy_cache_core.testing.rows.lockstep import LockstepRows
from jinpy_cache_core.testing.rows.resilience import ResilienceRows
from jinpy_cache_core.testing.rows.scanning import ScanRows
from jinpy_cache_core.testing.rows.values import ValueRows


class BackendContract(
    EntryRows,
    ScanRows,
    KeyRows,
    NamespaceRows,
    BulkRows,
    LifetimeRows,
    CounterRows,
    ValueRows,
    DamageRows,
    LifecycleRows,
    ConcurrencyRows,
    LoadingRows,
    InvalidationRows,
    ResilienceRows,
    LockstepRows,
):
    """Everything that the contract asks of a backend, as tests.

    Subclass it in a test module, under a name that begins with `Test`, and override `make_backend`;
    pytest then runs every row for the synchronous and the asynchronous half of the backend and for
    each of `serializers`. No plugin and no configuration is needed.

    ```python
    from jinpy_cache_core.testing import BackendContract, FakeClock


    class TestDict(BackendContract):
        def make_backend(self, clock: FakeClock, **settings: Any) -> DictBackend:
            return DictBackend(DictConfig(**settings), clock=clock)
    ```

    The other hooks (`advance`, `raw_payload`, `cleanup`, `in_half`) and attributes (`serializers`,
    `exact_clock`) have defaults that suit a backend which reads the injected clock.
    """


class LockstepContract(LockstepRows):
    """Only the random sequences of operations, for a run of minutes: give it many `examples`."""
