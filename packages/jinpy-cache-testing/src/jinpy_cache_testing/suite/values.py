"""Values: what is read equals what was written, type included, or there is an error."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings

from jinpy_cache_core.exceptions import (
    CacheException,
    CacheSerializationError,
    CacheValueError,
)
from jinpy_cache_core.interfaces import CacheInterface
from jinpy_cache_core.sentinels import MISSING
from jinpy_cache_core.serializers import SerializerSpec
from jinpy_cache_testing.harness import Harness, Make, not_with, only_with
from jinpy_cache_testing.mixtures import mixtures
from jinpy_cache_testing.samples import (
    PLAIN,
    RICH,
    TRICKY,
    Point,
    deep_list,
    looped_list,
    required,
    same,
)
from jinpy_cache_testing.suite.operations import WRITING

FALSY: dict[str, object] = {
    "None": None,
    "False": False,
    "zero": 0,
    "float zero": 0.0,
    "empty str": "",
    "empty bytes": b"",
    "empty list": [],
    "empty dict": {},
}


class ValueSuite(Harness):
    """Round trips, refusals, isolation and typed reads."""

    def test_required_values_come_back_exactly(
        self, cache: CacheInterface, serializer: SerializerSpec
    ) -> None:
        """What the serializer stands for is returned equal and of the same type, by every read."""
        wrong: dict[str, object] = {}
        for name, value in required(serializer).items():
            cache.set("key", value)
            cache.set_many({"many": value})
            cache.delete("added")
            cache.add("added", value)
            read = [
                cache.get("key", MISSING),
                cache.get_many(["many"], MISSING)["many"],
                cache.pop("added", MISSING),
            ]
            if not all(same(value, one) for one in read):
                wrong[name] = read

        assert {} == wrong

    def test_other_values_come_back_exactly_or_not_at_all(self, cache: CacheInterface) -> None:
        """Never something else: a value that cannot be carried is an error that says so."""
        wrong: dict[str, object] = {}
        for name, value in {**PLAIN, **RICH, **TRICKY}.items():
            cache.delete("key")
            try:
                cache.set("key", value)
                read = cache.get("key", MISSING)
            except CacheSerializationError:
                continue
            except Exception as error:  # noqa: BLE001 - collected for the assertion
                wrong[name] = error
                continue
            if not same(value, read):
                wrong[name] = read

        assert {} == wrong

    @only_with("msgpack", "native")
    def test_mixtures_come_back_exactly(self, cache: CacheInterface) -> None:
        """Whatever is nested in whatever, it comes back as it was."""

        @hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(mixtures())
        def check(value: object) -> None:
            cache.set("key", value)
            assert same(value, cache.get("key", MISSING))

        check()

    def test_falsy_values_are_hits(self, cache: CacheInterface) -> None:
        """None, False, 0 and everything empty can be stored, found, listed and removed."""
        stored: dict[str, object] = {}
        for name, value in FALSY.items():
            try:
                cache.set(name, value)
            except CacheSerializationError:
                continue
            stored[name] = value

        assert stored
        assert sorted(stored) == sorted(cache.scan())
        assert [] == [name for name in stored if cache.get(name, MISSING) is MISSING]
        assert [] == [name for name in stored if not cache.exists(name)]
        assert [] == [name for name in stored if cache.add(name, stored[name])]
        found = cache.get_many(stored, MISSING)
        assert [] == [name for name, value in stored.items() if not same(value, found[name])]
        assert [] == [name for name in stored if not cache.delete(name)]

    @not_with(None)
    def test_a_refused_value_leaves_the_old_one(
        self, cache: CacheInterface, sample: Callable[[int], Any]
    ) -> None:
        """What cannot be stored changes nothing, neither the value nor its ttl."""
        cache.set("key", sample(1), 60)

        for name, write in WRITING.items():
            for key in ("key", "absent"):
                with pytest.raises(CacheSerializationError) as caught:
                    write(cache, key, lambda: None)
                assert "function" in str(caught.value), name

        assert sample(1) == cache.get("key")
        assert self.seconds(60) == cache.ttl("key")
        assert ["key"] == list(cache.scan())

    @not_with(None)
    def test_an_open_file_is_no_value(self, cache: CacheInterface) -> None:
        """A handle of the operating system means nothing later."""
        with open(__file__, "rb") as file, pytest.raises(CacheSerializationError):  # noqa: PTH123
            cache.set("key", file)

        assert [] == list(cache.scan())

    def test_a_list_that_holds_itself(
        self, cache: CacheInterface, sample: Callable[[int], Any]
    ) -> None:
        """It is refused, the old value staying, or comes back holding itself."""
        cache.set("key", sample(1))

        try:
            cache.set("key", looped_list())
        except CacheSerializationError:
            assert sample(1) == cache.get("key")
        else:
            read = cache.get("key")
            assert read[0] is read

    def test_a_list_a_hundred_thousand_deep(
        self, cache: CacheInterface, sample: Callable[[int], Any]
    ) -> None:
        """It is refused, the old value staying, or comes back as deep; no RecursionError leaks."""
        cache.set("key", sample(1))

        try:
            cache.set("key", deep_list(100_000))
        except CacheSerializationError:
            assert sample(1) == cache.get("key")
        else:
            depth, read = 0, cache.get("key")
            while read:
                depth, read = depth + 1, read[0]
            assert depth == 100_000

    @not_with(None, "str", "bytes")
    def test_changing_an_object_after_storing_it_changes_nothing(
        self, cache: CacheInterface
    ) -> None:
        """Values are stored by value."""
        value: Any = {"list": [1], "dict": {}}
        cache.set("key", value)
        cache.set_many({"many": value})
        cache.add("added", value)

        value["list"].append(2)
        value["dict"]["new"] = 1

        original: Any = {"list": [1], "dict": {}}
        assert dict.fromkeys(["key", "many", "added"], original) == cache.get_many(
            ["key", "many", "added"]
        )

    @not_with(None, "str", "bytes")
    def test_changing_a_returned_object_changes_nothing(self, cache: CacheInterface) -> None:
        """Each read returns an object of its own."""
        original: Any = {"list": [1], "dict": {}}
        cache.set("key", original)

        for read in (cache.get("key"), cache.get_many(["key"])["key"]):
            read["list"].append(2)
            read["dict"]["new"] = 1
            read["more"] = 1

        assert {"list": [1], "dict": {}} == cache.get("key")

    @not_with("str", "bytes")
    def test_a_type_structures_the_stored_value(self, cache: CacheInterface) -> None:
        """`get(key, type=T)` gives an instance of T, for a class of attrs too."""
        cache.set("point", {"x": 1, "y": 2})
        cache.set("int", 5)
        cache.set("str", "word")
        cache.set("points", {"a": {"x": 1, "y": 2}})

        assert Point(1, 2) == cache.get("point", type=Point)
        assert same(5, cache.get("int", type=int))
        assert same("word", cache.get("str", type=str))
        assert {"a": Point(1, 2)} == cache.get("points", type=dict[str, Point])
        assert {"x": 1, "y": 2} == cache.get("point")

    def test_an_instance_comes_back_by_its_type(
        self, cache: CacheInterface, serializer: SerializerSpec
    ) -> None:
        """What was stored as an instance of T is read with type=T, or was refused."""
        try:
            cache.set("point", Point(1, 2))
        except CacheSerializationError:
            assert serializer not in {"msgpack", "native", "pickle", None}
            return

        assert Point(1, 2) == cache.get("point", type=Point)

    @not_with("str", "bytes")
    def test_a_type_does_not_coerce(self, cache: CacheInterface) -> None:
        """A stored value that is not of the type is an error, and stays."""
        cases: dict[str, tuple[object, Any]] = {
            "int as str": (5, str),
            "digits as int": ("5", int),
            "float as int": (1.5, int),
            "True as int": (True, int),
            "None as int": (None, int),
            "wrong fields": ({"x": 1}, Point),
            "wrong field types": ({"x": "1", "y": 2}, Point),
            "list as dict": ([1], dict[str, int]),
            "wrong items": (["1"], list[int]),
        }
        coerced: dict[str, object] = {}
        for name, (value, kind) in cases.items():
            cache.set("key", value)
            try:
                coerced[name] = cache.get("key", type=kind)
            except CacheSerializationError:
                assert same(value, cache.get("key")), name

        assert {} == coerced

    def test_a_type_does_not_touch_the_default(self, cache: CacheInterface) -> None:
        """A miss returns the default as it is, whatever the type asked for."""
        assert cache.get("key", type=int) is None
        assert cache.get("key", MISSING, type=int) is MISSING
        assert "none" == cache.get("key", "none", type=int)

    @not_with(None)
    def test_a_value_over_the_limit_is_refused(
        self, make: Make, serializer: SerializerSpec
    ) -> None:
        """An encoded value over max_value_bytes is a CacheValueError; the old one stays."""
        cache = make(max_value_bytes=1000)
        small, large = ("x" * 100, "x" * 1001) if serializer != "bytes" else (b"x", b"x" * 1001)
        cache.set("key", small, 60)

        for name, write in WRITING.items():
            for key in ("key", "absent"):
                with pytest.raises(CacheValueError) as caught:
                    write(cache, key, large)
                assert "1,000" in str(caught.value) or "1000" in str(caught.value), name

        assert small == cache.get("key")
        assert self.seconds(60) == cache.ttl("key")
        assert ["key"] == list(cache.scan())

    def test_large_values_come_back(
        self, cache: CacheInterface, serializer: SerializerSpec
    ) -> None:
        """Four mebibytes are a value."""
        value = b"\x00x" * 2**21 if serializer == "bytes" else "\x00x" * 2**21
        cache.set("key", value)

        assert cache.get("key") == value
        assert cache.delete("key") is True

    def test_every_error_is_one_of_ours(self, cache: CacheInterface) -> None:
        """Values of every kind in every operation raise a CacheException or nothing."""
        foreign: dict[str, Exception] = {}
        for name, value in {**PLAIN, **RICH, **TRICKY}.items():
            for operation, write in WRITING.items():
                try:
                    write(cache, "key", value)
                    cache.incr("key")
                except CacheException:
                    pass
                except Exception as error:  # noqa: BLE001 - collected for the assertion
                    foreign[f"{operation} {name}"] = error

        assert {} == foreign
