"""What the rows of the contract stand on: the hooks of a backend's author, and the fixtures.

Every row is written once, against `CacheInterface`. The fixtures multiply it: by the two halves of
the backend, and by the serializers that it declares.
"""

import asyncio
import math
from collections.abc import Callable, Coroutine, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, ClassVar, Protocol, TypeAlias, TypeVar, cast
from uuid import uuid4

import pytest

from jinpy_cache_core.backend.base import BaseBackend
from jinpy_cache_core.entries.records import Change, Record
from jinpy_cache_core.interfaces import CacheInterface
from jinpy_cache_core.serializers import SerializerSpec
from jinpy_cache_testing import samples
from jinpy_cache_testing.clock import FakeClock
from jinpy_cache_testing.sync_view import Half, SyncView, new_runner
from jinpy_cache_testing.threads import bounded

SECRET = "a secret of the contract suite, long enough for every check of its length"  # noqa: S105
"""What signs pickles in the suite."""


F = TypeVar("F", bound=Callable[..., object])


class Make(Protocol):
    """The type of the fixture `make`."""

    def __call__(self, **settings: Any) -> CacheInterface:
        """Build a backend with these settings besides the usual ones, and show one half of it."""
        raise NotImplementedError


Choose: TypeAlias = Callable[[Sequence[SerializerSpec]], Sequence[SerializerSpec]]


def _choosing(choose: Choose) -> Callable[[F], F]:
    def mark(row: F) -> F:
        row.__dict__["choose_serializers"] = choose
        return row

    return mark


def once(row: F) -> F:
    """Mark a row that has nothing to do with serializers: it runs with the first one only."""
    return _choosing(lambda every: every[:1])(row)


def only_with(*serializers: SerializerSpec) -> Callable[[F], F]:
    """Mark a row that holds for these serializers."""
    return _choosing(lambda every: [one for one in every if one in serializers])


def not_with(*serializers: SerializerSpec) -> Callable[[F], F]:
    """Mark a row that holds for all but these serializers."""
    return _choosing(lambda every: [one for one in every if one not in serializers])


class Harness:
    """The hooks to override and the fixtures that rows use; the rows themselves are mixed in."""

    # -- What a backend's author declares --------------------------------------------------------

    serializers: ClassVar[Sequence[SerializerSpec]] = ("msgpack", "json", "pickle", "str", "bytes")
    """The serializers to run with; the first one is also that of the rows that take long."""

    exact_clock: ClassVar[bool] = True
    """Whether the backend reads the injected clock alone, so that nothing expires unless told.

    False for a store whose server has its own clock: rows of nanoseconds are skipped, and seconds
    left are compared with a tolerance.
    """

    patience: ClassVar[float] = 30.0
    """Seconds after which something that should end at once counts as a deadlock."""

    def make_backend(self, clock: FakeClock, **settings: Any) -> BaseBackend:
        """Build a backend.

        Args:
            clock: The clock to inject.
            settings: Fields of the backend's configuration: always `namespace` and `serializer`,
                for `"pickle"` a `secret`, and what a row needs besides. Two backends that are made
                in one test share their store, if the backend has one to share.

        Returns:
            An open backend; the suite closes it.
        """
        raise NotImplementedError

    def advance(self, backend: BaseBackend, clock: FakeClock, seconds: float) -> None:
        """Let time pass for a backend, without waiting for it."""
        clock.advance(seconds)

    def raw_payload(self, backend: BaseBackend, key: str, payload: bytes) -> None:
        """Store bytes under a key as another program could, past the serializer, forever."""

        def decide(_current: Record | None, _now: float) -> tuple[Change, None]:
            return Record(payload), None

        backend._update(key, decide)  # pyright: ignore[reportPrivateUsage]

    def cleanup(self, backend: BaseBackend) -> None:
        """Leave nothing behind in the store; called for each backend that is still open."""
        backend.clear()

    @contextmanager
    def in_half(self, half: Half, backend: BaseBackend) -> Generator[CacheInterface]:
        """Show one half of a backend to the calling thread; `"async"` on an event loop of its own.

        Override this to end what a backend keeps for that loop before the loop is closed.
        """
        if half == "sync":
            yield backend
        else:
            with new_runner() as runner:
                yield SyncView(backend, runner)

    @contextmanager
    def loop(self, backend: BaseBackend) -> Generator[Callable[[Coroutine[Any, Any, Any]], Any]]:
        """Run coroutines on the event loop of `in_half`, in bounded time."""

        async def within(coroutine: Coroutine[Any, Any, Any]) -> Any:
            async with asyncio.timeout(self.patience):
                return await coroutine

        with self.in_half("async", backend) as cache:
            runner = cast("SyncView", cache)
            yield lambda coroutine: runner.run(within(coroutine))

    # -- What the rows use ------------------------------------------------------------------------

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run each row with each serializer it asks for."""
        if "serializer" in metafunc.fixturenames:
            choose: Choose = getattr(metafunc.function, "choose_serializers", list)
            these = choose(self.serializers)
            metafunc.parametrize("serializer", these, ids=[_serializer_id(one) for one in these])

    @pytest.fixture(params=["sync", "async"])
    def half(self, request: pytest.FixtureRequest) -> Half:
        """The half that a row drives."""
        half: Half = request.param
        return half

    @pytest.fixture
    def clock(self) -> FakeClock:
        """The present."""
        return FakeClock()

    @pytest.fixture
    def settings(self, serializer: SerializerSpec) -> dict[str, Any]:
        """The settings of the backend under test."""
        namespace = f"contract-{uuid4().hex}"
        settings: dict[str, Any] = {"namespace": namespace, "serializer": serializer}
        if serializer == "pickle":
            settings["secret"] = SECRET
        return settings

    @pytest.fixture
    def built(self) -> Iterator[list[BaseBackend]]:
        """The backends that a row built; they are cleaned up after it."""
        built: list[BaseBackend] = []
        yield built
        for backend in built:
            bounded(lambda backend=backend: self._end(backend), patience=self.patience)  # type: ignore[misc]

    def _end(self, backend: BaseBackend) -> None:
        if not backend.closed:
            self.cleanup(backend)
            backend.close()

    @pytest.fixture
    def build(
        self, clock: FakeClock, settings: dict[str, Any], built: list[BaseBackend]
    ) -> Callable[..., BaseBackend]:
        """Build a backend with settings of the row's own besides the usual ones."""

        def build(**changes: Any) -> BaseBackend:
            backend = self.make_backend(clock, **{**settings, **changes})
            built.append(backend)
            return backend

        return build

    @pytest.fixture
    def backend(self, build: Callable[..., BaseBackend]) -> BaseBackend:
        """The backend under test, both halves of it."""
        return build()

    @pytest.fixture
    def cache(self, half: Half, backend: BaseBackend) -> Iterator[CacheInterface]:
        """One half of the backend under test."""
        with self._shown(half, backend) as cache:
            yield cache

    @pytest.fixture
    def make(self, half: Half, build: Callable[..., BaseBackend]) -> Iterator[Make]:
        """Build a backend with settings of the row's own and show one half of it."""
        with ExitStack() as stack:

            def make(**changes: Any) -> CacheInterface:
                return stack.enter_context(self._shown(half, build(**changes)))

            yield make

    @contextmanager
    def _shown(self, half: Half, backend: BaseBackend) -> Generator[CacheInterface]:
        with self.in_half(half, backend) as cache:
            yield cache
            if not backend.closed:
                self.cleanup(backend)
                cache.close()

    @pytest.fixture
    def wait(self, built: list[BaseBackend], clock: FakeClock) -> Callable[[float], None]:
        """Let seconds pass for the backend that was built last."""

        def wait(seconds: float) -> None:
            self.advance(built[-1], clock, seconds)

        return wait

    @pytest.fixture
    def sample(self, serializer: SerializerSpec) -> Callable[[int], Any]:
        """Values to store: one for each number."""

        def sample(number: int) -> Any:
            return samples.sample(serializer, number)

        return sample

    def seconds(self, expected: float) -> object:
        """What compares equal to this many seconds left, as exactly as the clock allows."""
        if math.isinf(expected):
            return expected
        if self.exact_clock:
            return pytest.approx(expected, abs=1e-6, rel=0)  # pyright: ignore[reportUnknownMemberType]
        return pytest.approx(expected, abs=1.0, rel=0)  # pyright: ignore[reportUnknownMemberType]


def _serializer_id(serializer: SerializerSpec) -> str:
    if serializer is None or isinstance(serializer, str):
        return str(serializer)
    return type(serializer).__name__
