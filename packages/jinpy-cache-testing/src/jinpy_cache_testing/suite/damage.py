"""Stored bytes that are not what the serializer writes, and serializers that misbehave."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import attrs
import pytest

from jinpy_cache_core.backend.base import BaseBackend
from jinpy_cache_core.exceptions import CacheSerializationError
from jinpy_cache_core.interfaces import CacheInterface
from jinpy_cache_core.sentinels import MISSING
from jinpy_cache_core.serializers import SerializerSpec
from jinpy_cache_testing.harness import SECRET, Harness, Make, once, only_with
from jinpy_cache_testing.samples import sample as numbered
from jinpy_cache_testing.suite.operations import KEYED, WRITING
from jinpy_cache_testing.sync_view import Half
from jinpy_cache_testing.threads import bounded

FOREIGN: dict[str, bytes] = {
    "nothing": b"",
    "text": b"hello world",
    "bytes that are no text": b"\xff\xfe\x00",
    "cut": b"\x92\x01",
    "half an envelope": b"\xc1",
    "a cut envelope": b"\xc1\x01\x00\x01\x00",
    "pickle of another": b"\x80\x05K\x01.",
    "almost a number": b"--1",
}


@attrs.define
class Faulty:
    """A serializer that does what a row tells it to, else stores the repr of an int or str."""

    on_dumps: Callable[[Any], object] = attrs.field(default=lambda value: repr(value).encode())
    on_loads: Callable[[bytes], object] = attrs.field(default=lambda payload: payload.decode())

    def dumps(self, value: Any, /) -> bytes:
        """Answer with whatever `on_dumps` does."""
        encoded: Any = self.on_dumps(value)
        return encoded  # type: ignore[no-any-return]

    def loads(self, payload: bytes, /) -> Any:
        """Answer with whatever `on_loads` does."""
        return self.on_loads(payload)


def _raising(error: BaseException) -> Callable[[Any], object]:
    def fail(_: Any) -> object:
        raise error

    return fail


class DamageSuite(Harness):
    """Foreign bytes and foreign serializers."""

    @only_with("msgpack", "json", "pickle")
    @pytest.mark.parametrize("payload", FOREIGN.values(), ids=FOREIGN)
    def test_foreign_bytes_are_an_error_not_a_value(
        self,
        cache: CacheInterface,
        backend: BaseBackend,
        serializer: SerializerSpec,
        payload: bytes,
    ) -> None:
        """Bytes that the serializer did not write are refused; they can be seen and removed."""
        self.raw_payload(backend, "key", payload)

        for read in (
            lambda: cache.get("key"),
            lambda: cache.get_many(["key"]),
            lambda: cache.pop("key"),
            lambda: cache.get("key", type=int),
        ):
            with pytest.raises(CacheSerializationError):
                read()

        assert cache.exists("key") is True
        assert ["key"] == list(cache.scan())
        assert cache.ttl("key") is not None
        assert cache.touch("key", 60) is True
        assert cache.add("key", 1) is False
        assert cache.delete("key") is True

    def test_what_a_newer_release_wrote_is_a_miss_and_stays(
        self, cache: CacheInterface, backend: BaseBackend
    ) -> None:
        """During a rolling upgrade nothing is misread and nothing is thrown away."""
        self.raw_payload(backend, "key", b"\xc1\xff\x00\x00")

        assert cache.get("key", MISSING) is MISSING
        assert cache.get("key", MISSING, type=int) is MISSING
        assert {"key": MISSING} == cache.get_many(["key"], MISSING)
        assert cache.pop("key", MISSING) is MISSING
        assert cache.exists("key") is True
        assert ["key"] == list(cache.scan())
        assert cache.delete("key") is True

    @only_with("msgpack", "json", "pickle")
    def test_another_serializers_bytes_are_an_error_not_a_value(
        self,
        cache: CacheInterface,
        backend: BaseBackend,
        build: Callable[..., BaseBackend],
        serializer: SerializerSpec,
    ) -> None:
        """An entry that a differently configured cache wrote is never misread."""
        for other in ("msgpack", "json", "pickle"):
            if other == serializer or other not in self.serializers:
                continue
            foreign = build(serializer=other, secret=SECRET if other == "pickle" else None)
            payload = foreign.config.codec().encode("key", numbered(other, 1))
            self.raw_payload(backend, "key", payload)

            with pytest.raises(CacheSerializationError):
                cache.get("key")

    @once
    def test_what_a_serializer_raises_is_a_serialization_error(
        self, make: Make, built: list[BaseBackend]
    ) -> None:
        """A custom serializer's exception becomes ours, with it as the cause."""
        reason = ZeroDivisionError("of the serializer")
        cache = make(serializer=Faulty(_raising(reason)))

        for write in WRITING.values():
            with pytest.raises(CacheSerializationError) as caught:
                write(cache, "key", {"n": 1})
            assert caught.value.__cause__ is reason
        assert [] == list(cache.scan())

        cache = make(serializer=Faulty(on_loads=_raising(reason)))
        cache.set("key", ["value"], 60)
        for name in ("get", "pop", "get_many"):
            with pytest.raises(CacheSerializationError) as caught:
                KEYED[name](cache, "key", None)
            assert caught.value.__cause__ is reason
        assert cache.exists("key") is True
        assert not any(backend.closed for backend in built)

    @once
    @pytest.mark.parametrize("encoded", ["text", None, 1, ["a"]], ids=repr)
    def test_a_serializer_that_returns_no_bytes_is_refused(
        self, make: Make, encoded: object
    ) -> None:
        """`dumps` must give bytes."""
        cache = make(serializer=Faulty(lambda _: encoded))

        for write in WRITING.values():
            with pytest.raises(CacheSerializationError):
                write(cache, "key", {"n": 1})

        assert [] == list(cache.scan())

    @once
    def test_a_serializer_may_use_the_cache(
        self, half: Half, build: Callable[..., BaseBackend]
    ) -> None:
        """Re-entry from `dumps` and `loads`, for the same key and others, deadlocks nothing."""
        depth = threading.local()

        def reentering(value: Any, answer: Callable[[Any], object]) -> object:
            if getattr(depth, "entered", False):
                return answer(value)
            depth.entered = True
            try:
                for key in ("key", "other"):
                    backend.set(key, ["inner"])
                    backend.get(key)
                    backend.get_many(["key", "other"])
                    backend.incr("counter")
                    backend.add(key, ["inner"])
                    backend.exists(key)
                    list(backend.scan())
                    backend.touch(key, 60)
                    backend.delete(key)
                    backend.pop(key)
                return answer(value)
            finally:
                depth.entered = False

        backend = build(
            serializer=Faulty(
                lambda value: reentering(value, lambda given: repr(given).encode()),
                lambda payload: reentering(payload, lambda given: given.decode()),
            )
        )

        def work() -> list[object]:
            with self.in_half(half, backend) as cache:
                cache.set("key", ["outer"])
                first = cache.get("key", MISSING)
                cache.set_many({"key": ["outer"], "other": ["outer"]})
                return [first, cache.add("new", ["outer"]), backend.get("counter", MISSING)]

        first, added, count = bounded(work, patience=self.patience)

        assert "['outer']" == first
        assert added is True
        assert isinstance(count, int)
        assert count > 0

    @once
    def test_a_slow_serializer_keeps_nobody_waiting(
        self, half: Half, build: Callable[..., BaseBackend]
    ) -> None:
        """While one thread is inside a serializer, others use other keys and the same."""
        entered, leave = threading.Event(), threading.Event()

        def slow(value: Any) -> object:
            if value == ["slow"]:
                entered.set()
                assert leave.wait(self.patience)
            return repr(value).encode()

        backend = build(serializer=Faulty(slow))

        def store_slowly() -> None:
            with self.in_half(half, backend) as cache:
                cache.set("key", ["slow"])

        def use_meanwhile() -> list[object]:
            with self.in_half(half, backend) as cache:
                cache.set("other", ["fast"])
                cache.set("key", ["fast"])
                return [cache.get("other"), cache.get("key"), cache.incr("counter")]

        with ThreadPoolExecutor(1) as threads:
            storing = threads.submit(store_slowly)
            try:
                assert entered.wait(self.patience)
                assert ["['fast']", "['fast']", 1] == bounded(use_meanwhile, patience=self.patience)
            finally:
                leave.set()
            storing.result(self.patience)

        assert "['slow']" == backend.get("key")
