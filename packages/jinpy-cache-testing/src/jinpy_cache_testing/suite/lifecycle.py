"""From construction to close: context managers, closed caches, errors in context, no secrets."""

import asyncio
import gc
import logging
import pickle
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from jinpy_cache_core.backend.base import BaseBackend
from jinpy_cache_core.enums import CacheErrorType
from jinpy_cache_core.exceptions import (
    CacheClosedError,
    CacheException,
    CacheKeyError,
    CacheSerializationError,
    CacheValueError,
)
from jinpy_cache_core.interfaces import AsyncCacheInterface, CacheInterface
from jinpy_cache_core.manager import Cache
from jinpy_cache_testing.harness import Harness, Make, once
from jinpy_cache_testing.suite.operations import EVERY, outcome
from jinpy_cache_testing.sync_view import Half, new_runner
from jinpy_cache_testing.threads import bounded, together

CANARY = "canary-3f9c-never-to-be-seen"
"""A secret that must show up nowhere."""


class LifecycleSuite(Harness):
    """Close, context, secrecy."""

    @once
    def test_a_backend_offers_both_interfaces(self, backend: BaseBackend) -> None:
        """Whoever asks for a cache by type gets one."""
        assert isinstance(backend, CacheInterface)
        assert isinstance(backend, AsyncCacheInterface)

    @once
    def test_a_closed_cache_refuses_every_operation(
        self, cache: CacheInterface, sample: Callable[[int], Any]
    ) -> None:
        """After `close` each operation raises CacheClosedError; nothing is reopened."""
        cache.set("key", sample(1))
        cache.close()

        refused = {name: outcome(call, cache, "key", sample(1)) for name, call in EVERY.items()}

        assert dict.fromkeys(EVERY, CacheClosedError) == refused

    @once
    def test_a_cache_is_true_whatever_it_holds(
        self, backend: BaseBackend, sample: Callable[[int], Any]
    ) -> None:
        """`cache or other` is the cache: empty, filled and closed, itself and its facade."""
        facade = Cache(backend)
        truths = [bool(backend), bool(facade)]
        backend.set("key", sample(1))
        truths += [bool(backend), bool(facade)]
        backend.close()

        assert [True] * 6 == [*truths, bool(backend), bool(facade)]

    @once
    def test_len_counts_the_entries(
        self, backend: BaseBackend, sample: Callable[[int], Any]
    ) -> None:
        """Every backend and facade tells how many entries it holds, until it is closed."""
        facade = Cache(backend)
        counts = [len(backend)]
        backend.set_many({f"key{number}": sample(number) for number in range(3)})
        counts += [len(backend), len(facade)]
        backend.delete("key1")

        assert [0, 3, 3, 2, 2] == [*counts, len(backend), len(facade)]
        backend.close()
        with pytest.raises(CacheClosedError):
            len(backend)

    @once
    def test_a_closed_cache_is_not_healthy(
        self, cache: CacheInterface, backend: BaseBackend
    ) -> None:
        """`is_healthy` still answers, and `closed` says why."""
        assert backend.closed is False
        cache.close()

        assert cache.is_healthy() is False
        assert backend.closed is True

    @once
    def test_closing_again_does_nothing(self, cache: CacheInterface, backend: BaseBackend) -> None:
        """`close` is idempotent, in any mixture with `aclose`."""
        cache.close()
        cache.close()
        backend.close()
        with new_runner() as runner:
            runner.run(backend.aclose())
        backend.close()

        assert backend.closed is True

    @once
    def test_closing_from_many_threads_at_once(
        self, half: Half, build: Callable[..., BaseBackend], sample: Callable[[int], Any]
    ) -> None:
        """One of them closes, the others find it closed."""
        backend = build()
        backend.set("key", sample(1))

        def close(_: int) -> None:
            with self.in_half(half, backend) as cache:
                cache.close()

        together(8, close, patience=self.patience)

        assert backend.closed is True
        with pytest.raises(CacheClosedError):
            backend.get("key")

    @once
    def test_with_closes(
        self, build: Callable[..., BaseBackend], sample: Callable[[int], Any]
    ) -> None:
        """`with` gives the backend itself and closes it, after an error too."""
        backend = build()
        with pytest.raises(ZeroDivisionError), backend as entered:
            assert entered is backend
            entered.set("key", sample(1))
            raise ZeroDivisionError

        assert backend.closed is True

    @once
    def test_async_with_closes(
        self, build: Callable[..., BaseBackend], sample: Callable[[int], Any]
    ) -> None:
        """`async with` does the same."""
        backend = build()

        async def use() -> None:
            async with backend as entered:
                assert entered is backend
                await entered.aset("key", sample(1))
                raise ZeroDivisionError

        with new_runner() as runner, pytest.raises(ZeroDivisionError):
            runner.run(use())

        assert backend.closed is True

    @once
    def test_closing_under_way_lets_operations_finish_or_refuses_them(
        self, half: Half, build: Callable[..., BaseBackend], sample: Callable[[int], Any]
    ) -> None:
        """Threads that are using a cache while it is closed see results, then CacheClosedError."""
        backend = build()

        def use(number: int) -> object:
            if number == 0:
                while backend.get("count", 0) < 50:
                    pass
                backend.close()
                return CacheClosedError
            with self.in_half(half, backend) as cache:
                while True:
                    for call in (
                        lambda: cache.incr("count"),
                        lambda: cache.set(f"key-{number}", sample(number)),
                        lambda: cache.get(f"key-{number}"),
                        lambda: list(cache.scan("key")),
                    ):
                        ended = outcome(call)
                        if isinstance(ended, type):
                            return ended

        assert [CacheClosedError] * 6 == together(6, use, patience=self.patience)

    @once
    def test_closing_among_fifty_tasks(
        self, build: Callable[..., BaseBackend], sample: Callable[[int], Any]
    ) -> None:
        """Tasks in flight finish or raise CacheClosedError when their loop closes the cache."""
        backend = build()

        async def use(number: int) -> type[BaseException]:
            try:
                while True:
                    await backend.aset(f"key-{number}", sample(number))
                    await backend.aincr("count")
                    await asyncio.sleep(0)  # a backend that never waits leaves no turn to others
            except Exception as error:  # noqa: BLE001 - the type is what is asserted
                return type(error)

        async def close_among_them() -> list[type[BaseException]]:
            tasks = [asyncio.create_task(use(number)) for number in range(50)]
            async with asyncio.timeout(self.patience):
                while await backend.aget("count", 0) < 50:
                    await asyncio.gather(backend.aincr("count"), backend.aincr("count"))
                await backend.aclose()
                return list(await asyncio.gather(*tasks))

        def run() -> list[type[BaseException]]:
            with new_runner() as runner:
                return runner.run(close_among_them())

        assert {CacheClosedError} == set(bounded(run, patience=2 * self.patience))

    @once
    def test_closing_gives_back_threads_and_files(
        self, half: Half, build: Callable[..., BaseBackend], sample: Callable[[int], Any]
    ) -> None:
        """After a cache is closed, no thread runs and no descriptor is open on its behalf."""

        def live_and_die() -> None:
            with self.in_half(half, build()) as cache:
                cache.set_many({"a": sample(1), "b": sample(2)})
                cache.get_many(["a", "b", "c"])
                cache.incr("counter")
                list(cache.scan())
                cache.clear()
                cache.close()

        live_and_die()
        before = _held()
        for _ in range(3):
            live_and_die()

        assert before == _held()

    @once
    def test_closing_from_another_loop(
        self, build: Callable[..., BaseBackend], sample: Callable[[int], Any]
    ) -> None:
        """A cache that one event loop used may be closed by another."""
        backend = build()
        with self.in_half("async", backend) as first:
            first.set("key", sample(1))
            with self.in_half("async", backend) as second:
                assert sample(1) == second.get("key")
                second.close()
            with pytest.raises(CacheClosedError):
                first.get("key")

    @once
    def test_an_error_knows_its_place(self, cache: CacheInterface, backend: BaseBackend) -> None:
        """Operation, backend, its type, key and code are attributes, and in `to_dict`."""
        cache.set("key", 2**63 - 1)
        calls: dict[str, Callable[[], object]] = {
            "get": lambda: cache.get(""),
            "set": lambda: cache.set("k", 1, ttl=float("nan")),
            "add": lambda: cache.add("k", 1, ttl=float("nan")),
            "touch": lambda: cache.touch("key", float("nan")),
            "incr": lambda: cache.incr("key"),
            "decr": lambda: cache.decr("key", -1),
            "get_many": lambda: cache.get_many("key"),
            "set_many": lambda: cache.set_many({"": 1}),
            "delete_many": lambda: cache.delete_many([""]),
            "scan": lambda: list(cache.scan("\ud800")),
        }
        caught: dict[str, CacheException] = {}
        for name, call in calls.items():
            with pytest.raises(CacheException) as error:
                call()
            caught[name] = error.value

        assert {name: name for name in calls} == {n: e.operation for n, e in caught.items()}
        assert {backend.name} == {error.backend for error in caught.values()}
        assert {backend.backend_type} == {error.backend_type for error in caught.values()}
        assert "key" == caught["incr"].key
        assert CacheErrorType.VALUE == caught["incr"].code
        assert {
            "error": "CacheValueError",
            "code": "value",
            "operation": "incr",
            "backend": backend.name,
            "backend_type": backend.backend_type,
            "key": "'key'",
        }.items() <= caught["incr"].to_dict().items()

    @once
    def test_a_closed_cache_says_which_it_is(
        self, cache: CacheInterface, backend: BaseBackend
    ) -> None:
        """The error of a closed cache carries the same context."""
        cache.close()

        with pytest.raises(CacheClosedError) as caught:
            cache.get("key")

        assert ("get", backend.name, backend.backend_type, "closed") == (
            caught.value.operation,
            caught.value.backend,
            caught.value.backend_type,
            caught.value.code,
        )

    @once
    def test_a_wrong_call_is_a_type_error(self, cache: CacheInterface) -> None:
        """A missing or unknown argument is the caller's mistake, not the store's."""
        misused: Any = cache

        calls: list[Callable[[], object]] = [
            lambda: misused.get(default=1),
            lambda: misused.set("key"),
            lambda: misused.set("key", 1, lifetime=3),
            lambda: misused.incr("key", 1, 2, 3),
        ]
        for call in calls:
            with pytest.raises(TypeError) as caught:
                call()
            assert not isinstance(caught.value, CacheException)

    @once
    def test_the_repr_names_the_cache_and_shows_no_value(self, backend: BaseBackend) -> None:
        """A repr is one short line for a log, open or closed."""
        backend.set("key", CANARY)

        texts = [repr(backend), str(backend)]
        backend.close()
        texts.append(repr(backend))

        for text in texts:
            assert backend.name in text
            assert type(backend).__name__ in text
            assert CANARY not in text
            assert "\n" not in text

    @once
    def test_a_secret_is_seen_nowhere(
        self, make: Make, built: list[BaseBackend], caplog: pytest.LogCaptureFixture
    ) -> None:
        """Neither repr, str, dict, pickle, log nor error of a cache shows what signs its values."""
        with caplog.at_level(logging.DEBUG):
            cache = make(serializer="pickle", secret=CANARY)
            (backend,) = built
            cache.set("key", {"n": 1})
            self.raw_payload(backend, "forged", pickle.dumps({"n": 2}))
            errors = [
                _error_of(lambda: cache.get("forged"), CacheSerializationError),
                _error_of(lambda: cache.set("key", lambda: None), CacheSerializationError),
                _error_of(lambda: cache.get(""), CacheKeyError),
                _error_of(lambda: cache.incr("key"), CacheValueError),
            ]
        texts = [repr(backend), repr(backend.config), str(backend.config), caplog.text]
        texts.append(repr(attrs.asdict(backend.config)))
        texts.append(outcome_text(lambda: pickle.dumps(backend.config)))
        texts.append(outcome_text(lambda: pickle.dumps(backend)))
        for error in errors:
            texts += [repr(error), str(error), repr(error.to_dict())]
            texts += traceback.format_exception(error)

        assert [] == [text for text in texts if CANARY in text]


def _held() -> tuple[int, int]:
    """How many threads run, and how many descriptors are open where that can be known."""
    gc.collect()
    descriptors = Path("/proc/self/fd")
    return threading.active_count(), len(list(descriptors.iterdir())) if descriptors.exists() else 0


def _error_of(call: Callable[[], object], kind: type[CacheException]) -> CacheException:
    with pytest.raises(kind) as caught:
        call()
    return caught.value


def outcome_text(call: Callable[[], bytes]) -> str:
    """What a call returned or raised, as text to search in."""
    try:
        return call().decode("latin-1")
    except Exception as error:  # noqa: BLE001 - its text is searched
        return "".join(traceback.format_exception(error))
