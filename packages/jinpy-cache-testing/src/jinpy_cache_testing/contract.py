"""The one class that a backend's tests subclass."""

from jinpy_cache_testing.suite.bulk import BulkSuite
from jinpy_cache_testing.suite.concurrency import ConcurrencySuite
from jinpy_cache_testing.suite.counters import CounterSuite
from jinpy_cache_testing.suite.damage import DamageSuite
from jinpy_cache_testing.suite.entries import EntrySuite
from jinpy_cache_testing.suite.functions import FunctionSuite
from jinpy_cache_testing.suite.invalidation import InvalidationSuite
from jinpy_cache_testing.suite.keys import KeySuite, NamespaceSuite
from jinpy_cache_testing.suite.lifecycle import LifecycleSuite
from jinpy_cache_testing.suite.lifetimes import LifetimeSuite
from jinpy_cache_testing.suite.loading import LoadingSuite
from jinpy_cache_testing.suite.promise import PromiseSuite
from jinpy_cache_testing.suite.resilience import ResilienceSuite
from jinpy_cache_testing.suite.scanning import ScanSuite
from jinpy_cache_testing.suite.stateful import StatefulSuite
from jinpy_cache_testing.suite.tracebacks import TracebackSuite
from jinpy_cache_testing.suite.values import ValueSuite


class BackendContract(
    EntrySuite,
    ScanSuite,
    KeySuite,
    NamespaceSuite,
    BulkSuite,
    LifetimeSuite,
    CounterSuite,
    ValueSuite,
    DamageSuite,
    LifecycleSuite,
    TracebackSuite,
    ConcurrencySuite,
    LoadingSuite,
    InvalidationSuite,
    ResilienceSuite,
    PromiseSuite,
    FunctionSuite,
    StatefulSuite,
):
    """Everything that the contract asks of a backend, as tests.

    Subclass it in a test module, under a name that begins with `Test`, and override `make_backend`;
    pytest then runs every row for the synchronous and the asynchronous half of the backend and for
    each of `serializers`. No plugin and no configuration is needed.

    ```python
    from jinpy_cache_testing import BackendContract, FakeClock


    class TestDict(BackendContract):
        def make_backend(self, clock: FakeClock, **settings: Any) -> DictBackend:
            return DictBackend(DictConfig(**settings), clock=clock)
    ```

    The other hooks (`advance`, `raw_payload`, `cleanup`, `in_half`) and attributes (`serializers`,
    `exact_clock`) have defaults that suit a backend which reads the injected clock.
    """


class StatefulContract(StatefulSuite):
    """Only the random sequences of operations, for a run of minutes: give it many `examples`."""
