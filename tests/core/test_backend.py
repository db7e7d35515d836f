"""What `BaseBackend` does around the four primitives of a backend's author."""

import asyncio
import contextvars
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest

from jinpy_cache_core import (
    MISSING,
    BaseBackend,
    BaseCacheBackendConfig,
    CacheBackendError,
    CacheClosedError,
    CacheConfigurationError,
    CacheConnectionError,
    CacheException,
    CacheTimeoutError,
    Record,
)
from jinpy_cache_testing import FakeClock, together

OPERATIONS: dict[str, Callable[[Any], object]] = {
    "get": lambda cache: cache.get("key"),
    "set": lambda cache: cache.set("key", 1),
    "add": lambda cache: cache.add("key", 1),
    "delete": lambda cache: cache.delete("key"),
    "pop": lambda cache: cache.pop("key"),
    "scan": lambda cache: list(cache.scan()),
    "exists": lambda cache: cache.exists("key"),
    "clear": lambda cache: cache.clear(),
    "get_many": lambda cache: cache.get_many(["key"]),
    "set_many": lambda cache: cache.set_many({"key": 1}),
    "delete_many": lambda cache: cache.delete_many(["key"]),
    "incr": lambda cache: cache.incr("key"),
    "decr": lambda cache: cache.decr("key"),
    "ttl": lambda cache: cache.ttl("key"),
    "touch": lambda cache: cache.touch("key", 1),
}


@pytest.fixture
def clock() -> FakeClock:
    """The present."""
    return FakeClock()


@pytest.fixture
def watched(shelf: Any, clock: FakeClock) -> Any:
    """A backend that counts what reaches its store, and fails as it is told to."""

    class Watched(shelf):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.reached: list[str] = []
            self.error: BaseException | None = None
            self.releases = 0

        def reach(self, primitive: str) -> None:
            self.reached.append(primitive)
            if self.error is not None:
                raise self.error

        def _read(self, key: str) -> Record | None:
            self.reach("read")
            return super()._read(key)

        def _update(self, key: str, decide: Any) -> Any:
            self.reach("update")
            return super()._update(key, decide)

        def _scan(self, prefix: str) -> Iterator[str]:
            self.reach("scan")
            return super()._scan(prefix)

        def _clear(self) -> None:
            self.reach("clear")
            super()._clear()

        def _release(self) -> None:
            self.releases += 1
            super()._release()

    return Watched(clock=clock)


def test_four_primitives_are_what_it_takes():
    """Without them there is no instance."""
    with pytest.raises(TypeError, match=r"_clear.*_read.*_scan.*_update"):
        BaseBackend()


def test_the_configuration_is_of_its_own_class(shelf: Any, shelf_config: Any):
    """Another backend's is refused; none stands for the defaults."""

    @attrs.frozen(kw_only=True)
    class OtherConfig(BaseCacheBackendConfig):
        pass

    with pytest.raises(CacheConfigurationError, match=r"ShelfBackend takes a ShelfConfig, not Oth"):
        shelf(OtherConfig())
    assert shelf_config() == shelf().config


def test_it_tells_what_it_is(shelf: Any, shelf_config: Any):
    """Name, type, configuration and state."""
    config = shelf_config(name="books")
    backend = shelf(config)

    assert ("books", "shelf", config, False) == (
        backend.name,
        backend.backend_type,
        backend.config,
        backend.closed,
    )
    assert "<ShelfBackend 'books'>" == repr(backend)
    backend.close()
    assert "<ShelfBackend 'books' closed>" == repr(backend)


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(
    "error, ours",
    [
        (OSError(28, "No space left"), CacheBackendError),
        (ConnectionResetError(104, "reset"), CacheConnectionError),
        (TimeoutError(110, "timed out"), CacheTimeoutError),
        (RuntimeError("broken"), CacheBackendError),
        (KeyError("broken"), CacheBackendError),
        (TypeError("of the store"), CacheBackendError),
        (RecursionError("deep"), CacheBackendError),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else type(value).__name__,
)
def test_what_a_store_raises_becomes_ours(
    watched: Any, operation: str, error: Exception, ours: type[CacheException]
):
    """At one edge, with the operation, the backend, the errno, and the error as the cause."""
    watched.error = error

    with pytest.raises(CacheException) as caught:
        OPERATIONS[operation](watched)

    assert ours is type(caught.value)
    assert error is caught.value.__cause__
    assert (operation, "shelf", "shelf") == (
        caught.value.operation,
        caught.value.backend,
        caught.value.backend_type,
    )
    assert getattr(error, "errno", None) == caught.value.errno


@pytest.mark.parametrize("error", [MemoryError(), KeyboardInterrupt(), SystemExit()])
def test_what_is_not_of_the_store_passes(watched: Any, error: BaseException):
    """A lack of memory and a wish to stop are nobody's CacheBackendError."""
    watched.error = error

    with pytest.raises(type(error)):
        watched.get("key")


def test_an_error_of_ours_passes_with_its_context(watched: Any):
    """What a store says itself is not wrapped again; what it left out is filled in."""
    watched.error = CacheConnectionError("gone", backend_type="special")

    with pytest.raises(CacheConnectionError) as caught:
        watched.get("key")

    assert watched.error is caught.value
    assert ("get", "shelf", "special", "key") == (
        caught.value.operation,
        caught.value.backend,
        caught.value.backend_type,
        caught.value.key,
    )


async def test_errors_are_the_same_asynchronously(watched: Any):
    """A worker thread changes nothing of them."""
    watched.error = OSError(28, "No space left")

    with pytest.raises(CacheBackendError) as caught:
        await watched.aget("key")

    assert ("get", 28) == (caught.value.operation, caught.value.errno)


def test_an_error_in_the_middle_of_a_scan_becomes_ours(shelf: Any):
    """However far the caller has come."""

    class Breaking(shelf):
        def _scan(self, prefix: str) -> Iterator[str]:
            yield "a"
            raise OSError(5, "I/O error")

    backend = Breaking()
    backend.set("a", 1)
    keys = backend.scan()
    assert "a" == next(keys)

    with pytest.raises(CacheBackendError) as caught:
        next(keys)

    assert ("scan", 5) == (caught.value.operation, caught.value.errno)


@pytest.mark.parametrize(
    "call",
    [
        lambda cache: cache.get(""),
        lambda cache: cache.set("\ud800", 1),
        lambda cache: cache.set("key", 1, ttl="60"),
        lambda cache: cache.set("key", lambda: None),
        lambda cache: cache.set_many({"a": 1, "b": lambda: None}),
        lambda cache: cache.set_many({}, ttl=True),
        lambda cache: cache.get_many("key"),
        lambda cache: cache.delete_many(["a", ""]),
        lambda cache: cache.incr("key", 1.5),
        lambda cache: cache.touch("key", float("nan")),
        lambda cache: cache.scan(1),
    ],
)
def test_bad_arguments_never_reach_the_store(watched: Any, call: Callable[[Any], object]):
    """Keys, ttls, amounts and values are checked before anything is read or written."""
    with pytest.raises(CacheException):
        call(watched)

    assert [] == watched.reached


def test_nothing_asked_never_reaches_the_store(watched: Any):
    """Empty bulk operations cost nothing."""
    assert {} == watched.get_many([])
    watched.set_many({})
    assert 0 == watched.delete_many(iter(()))

    assert [] == watched.reached


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_closed_backend_never_reaches_the_store(watched: Any, operation: str):
    """Whatever the store would say now."""
    watched.close()

    with pytest.raises(CacheClosedError, match="'shelf' is closed"):
        OPERATIONS[operation](watched)

    assert [] == watched.reached


@pytest.mark.parametrize("operation", [name for name in OPERATIONS if name != "scan"])
def test_an_operation_takes_one_turn_with_the_store(watched: Any, operation: str):
    """One primitive for one key; `pop` reads before it removes."""
    watched.set("key", 1)
    watched.reached.clear()

    OPERATIONS[operation](watched)

    assert (2 if operation == "pop" else 1) == len(watched.reached)


def test_a_store_that_breaks_while_it_is_closed_is_a_closed_one(watched: Any):
    """An operation that was under way when the store was released says that it is closed."""
    released = RuntimeError("released")

    def read(_key: str) -> None:
        watched.close()
        raise released

    watched._read = read

    with pytest.raises(CacheClosedError) as caught:
        watched.get("key")

    assert released is caught.value.__cause__
    assert "get" == caught.value.operation


def test_the_store_is_released_once(watched: Any):
    """However many threads close it."""
    together(8, lambda _: watched.close())
    watched.close()

    assert 1 == watched.releases


def test_a_failing_release_is_told_and_leaves_it_closed(shelf: Any, shelf_config: Any):
    """The error reaches whoever closes; afterwards it is closed all the same."""
    backend = shelf(shelf_config(name="sticky", stuck=True))

    with pytest.raises(OSError, match="sticky is stuck"):
        backend.close()

    assert backend.closed is True
    backend.close()


def test_it_is_healthy_while_its_probe_says_so(watched: Any):
    """An exception of the probe, of whatever kind, is a no."""
    assert watched.is_healthy() is True
    for error in (OSError("gone"), RuntimeError(), MemoryError(), CacheTimeoutError("late")):
        watched.error = error
        assert watched.is_healthy() is False
    watched.error = None
    assert watched.is_healthy() is True
    assert {"read"} == set(watched.reached)


def test_a_value_that_changes_under_pop_is_read_again(watched: Any):
    """`pop` returns what it removed, not what it saw first."""
    watched.set("key", "first")
    read = watched._read

    def read_then_replaced(key: str) -> Record | None:
        record = read(key)
        watched._read = read
        watched.set("key", "second")
        return record

    watched._read = read_then_replaced

    assert "second" == watched.pop("key")
    assert watched.get("key", MISSING) is MISSING


def test_an_entry_that_goes_under_pop_is_a_miss(watched: Any):
    """Somebody else has got it."""
    watched.set("key", "value")
    read = watched._read

    def read_then_removed(key: str) -> Record | None:
        record = read(key)
        watched._read = read
        watched.delete("key")
        return record

    watched._read = read_then_removed

    assert watched.pop("key", MISSING) is MISSING


async def test_asynchronous_calls_run_off_the_loop(watched: Any):
    """Each in a thread of the backend's own, in the caller's context."""
    place = contextvars.ContextVar("place", default="nowhere")
    place.set("request")
    seen: list[tuple[str, str]] = []
    read = watched._read
    watched._read = lambda key: (
        seen.append((threading.current_thread().name, place.get())) or read(key)
    )

    await watched.aget("key")
    await watched.aget_many(["key"])

    assert {"request"} == {where for _, where in seen}
    assert all(name.startswith("jinpy-cache-shelf") for name, _ in seen)


async def test_asynchronous_bulk_operations_take_the_keys_in_the_callers_thread(watched: Any):
    """An iterable may belong to the loop's thread; it is read there, once."""
    threads: set[str] = set()

    def keys() -> Iterator[str]:
        threads.add(threading.current_thread().name)
        yield "a"
        yield "b"

    await watched.aset_many({"a": 1, "b": 2})
    assert {"a": 1, "b": 2} == await watched.aget_many(keys())
    assert 2 == await watched.adelete_many(keys())

    assert {threading.current_thread().name} == threads


async def test_what_is_stored_asynchronously_is_what_was_given(watched: Any):
    """A mapping that changes after the call, while it waits its turn, does not show."""
    items = {"a": 1}
    storing = asyncio.ensure_future(watched.aset_many(items))
    await asyncio.sleep(0)
    items["b"] = 2
    await storing

    assert {"a": 1, "b": None} == watched.get_many(["a", "b"])


async def test_closing_asynchronously_does_not_block_the_loop(shelf: Any):
    """The loop goes on while the store is released."""
    releasing, released = threading.Event(), threading.Event()

    class Slow(shelf):
        def _release(self) -> None:
            releasing.set()
            assert released.wait(20)

    backend = Slow()
    closing = asyncio.ensure_future(backend.aclose())
    assert await asyncio.to_thread(releasing.wait, 20)
    assert not closing.done()
    released.set()
    await closing


async def test_a_closed_backend_starts_no_threads(watched: Any):
    """An asynchronous call that comes too late says so at once."""
    await watched.aclose()

    with pytest.raises(CacheClosedError):
        await watched.aget("key")
    assert await watched.ais_healthy() is False

    names = [thread.name for thread in threading.enumerate()]
    assert [] == [name for name in names if name.startswith("jinpy-cache-shelf")]


@pytest.mark.parametrize(
    "call",
    [
        lambda cache: cache.get(),
        lambda cache: cache.set("key"),
        lambda cache: cache.set("key", 1, lifetime=3),
        lambda cache: cache.incr("key", 1, 2, 3),
        lambda cache: cache.clear("all"),
    ],
)
def test_a_wrong_call_is_a_plain_type_error(watched: Any, call: Callable[[Any], object]):
    """Arguments that do not fit are the caller's mistake, told as Python tells it."""
    with pytest.raises(TypeError, match="argument") as caught:
        call(watched)

    assert not isinstance(caught.value, CacheException)


def test_a_cache_uses_the_clock_it_is_given(watched: Any, clock: FakeClock):
    """And no other."""
    watched.set("key", 1, ttl=10)

    clock.advance(9)
    assert 1 == watched.ttl("key")
    clock.advance(1)
    assert watched.ttl("key") is None


def test_without_a_clock_it_is_the_time_of_day(shelf: Any, monkeypatch: pytest.MonkeyPatch):
    """Unix time, which other processes share."""
    backend = shelf()
    backend.set("key", 1, ttl=10)

    left = backend.ttl("key")

    assert left is not None
    assert 9 < left <= 10
    assert 1_700_000_000 < backend.records["key"].deadline < 10_000_000_000


def test_nothing_is_logged_about_ordinary_operations(
    watched: Any, caplog: pytest.LogCaptureFixture
):
    """A cache is silent; its caller knows what it asked for."""
    with caplog.at_level(logging.DEBUG):
        for call in OPERATIONS.values():
            call(watched)
        watched.close()

    assert [] == caplog.records
