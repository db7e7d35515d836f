"""What a key is: any str of 1 to 1,024 UTF-8 bytes, verbatim, in a namespace of its own."""

from collections.abc import Callable, Sequence
from typing import Any, Never

import pytest

from jinpy_cache_core.backend.base import BaseBackend
from jinpy_cache_core.exceptions import CacheConfigurationError, CacheKeyError
from jinpy_cache_core.interfaces import CacheInterface
from jinpy_cache_testing.harness import Harness, Make, once
from jinpy_cache_testing.suite.operations import KEYED, outcome

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
"""One glyph of three people, joined by zero-width joiners."""

LOOKALIKES: dict[str, Sequence[str]] = {
    "spaces": ("a", " a", "a ", "a\t", "a\n", "a\x00", "\x00a", "a\u200b", "a\u00a0", "\ufeffa"),
    "joiners": (FAMILY, FAMILY.replace("\u200d", ""), "\u200d", "\u200d\u200d"),
    "normal forms": ("\u00e9", "e\u0301", "K", "\u212a", "k", "\u00c5", "\u212b", "A\u030a"),
    "case": ("\u00df", "SS", "ss", "\u1e9e", "I", "i", "\u0130", "\u0131", "Key", "key", "KEY"),
    "controls": ("\x00", "\x01", "\x00\x00", "\x7f", "\r\n", "\n", "\x1b[0m"),
    "numbers": ("1", "01", "1.0", "True", "None", "+1", "\u0661"),
    "colons": (":", "::", "a:b", "a::b", "a:", ":a", "a", "b"),
    "long": ("k" * 1023, "k" * 1024, "k" * 1023 + "l", "K" * 1024),
}
"""Keys that one normalisation or another would make one."""

PATHS_AND_COMMANDS = (
    "../../etc/x",
    "/abs",
    "a/b",
    ".",
    "..",
    "C:\\x",
    "a\nSET b c\r\n",
    "*",
    "[a",
    "%s%n",
    "'; DROP TABLE entries; --",
    "__class__",
    "con",
    "-rf",
    "a" * 300,
)
"""Keys that mean something to a file system, a protocol, a matcher or a formatter."""

AT_THE_LIMIT = ("k" * 1024, "\u00e9" * 512, "\u20ac" * 341 + "k", "\U0001f600" * 256)
OVER_THE_LIMIT = ("k" * 1025, "\u00e9" * 513, "\u20ac" * 342, "\U0001f600" * 257, "k" * 2**20)
NO_TEXT = (1, 1.0, True, None, b"a", ("a",), object(), bytearray(b"a"), ["a"])


def _key_id(key: str) -> str:
    return f"{len(key)} of {key[:1]!a}"


class Liar(str):
    """A str whose every method says something else than its characters."""

    __slots__ = ()

    def __hash__(self) -> int:
        return 7

    def __eq__(self, other: object) -> bool:
        return True

    def __len__(self) -> int:
        return 1

    def __str__(self) -> str:
        return "lie"

    def __format__(self, _spec: str) -> str:
        return "lie"

    def encode(self, *_: Any, **__: Any) -> bytes:  # noqa: D102
        return b"lie"

    def isascii(self) -> bool:  # noqa: D102
        return True

    def startswith(self, *_: Any) -> Never:  # noqa: D102
        message = "a key is text, not this object"
        raise AssertionError(message)


class KeySuite(Harness):
    """Keys and namespaces."""

    @pytest.mark.parametrize("keys", LOOKALIKES.values(), ids=LOOKALIKES)
    def test_keys_that_look_alike_are_different(
        self, cache: CacheInterface, sample: Callable[[int], Any], keys: Sequence[str]
    ) -> None:
        """Keys are verbatim: never stripped, folded or normalised."""
        values = {key: sample(number) for number, key in enumerate(keys)}
        for key, value in values.items():
            cache.set(key, value)

        assert values == {key: cache.get(key) for key in keys}
        assert values == cache.get_many(keys)
        assert sorted(keys) == sorted(cache.scan())
        for number, key in enumerate(keys, start=1):
            assert cache.delete(key) is True
            assert sorted(keys[number:]) == sorted(cache.scan())

    def test_keys_that_mean_something_elsewhere_mean_nothing_here(
        self, cache: CacheInterface, sample: Callable[[int], Any]
    ) -> None:
        """Paths, patterns, commands and line ends are stored and read back verbatim."""
        values = {key: sample(number) for number, key in enumerate(PATHS_AND_COMMANDS)}
        cache.set_many(values)

        assert values == {key: cache.get(key) for key in PATHS_AND_COMMANDS}
        assert values == {key: cache.pop(key) for key in list(cache.scan())}
        assert [] == list(cache.scan())

    @once
    @pytest.mark.parametrize("key", AT_THE_LIMIT, ids=["ascii", "two", "three", "four"])
    def test_a_key_of_1024_bytes_works(
        self, cache: CacheInterface, sample: Callable[[int], Any], key: str
    ) -> None:
        """The longest keys, of characters of one to four bytes, serve every operation."""
        for name, call in KEYED.items():
            if name not in {"incr", "decr"}:
                call(cache, key, sample(1))
        cache.set(key, sample(2))

        assert sample(2) == cache.get(key)
        assert [key] == list(cache.scan())
        assert [key] == list(cache.scan(key))

    @once
    @pytest.mark.parametrize("key", ["", "\ud800", "a\udfffb", *OVER_THE_LIMIT], ids=_key_id)
    def test_text_that_is_no_key_is_refused(
        self, cache: CacheInterface, sample: Callable[[int], Any], key: str
    ) -> None:
        """Empty, over 1,024 UTF-8 bytes or not encodable: every operation refuses it alike."""
        cache.set("other", sample(1))

        refused = {name: outcome(call, cache, key, sample(2)) for name, call in KEYED.items()}

        assert dict.fromkeys(KEYED, CacheKeyError) == refused
        assert ["other"] == list(cache.scan())

    @once
    @pytest.mark.parametrize("key", NO_TEXT, ids=lambda key: type(key).__name__)
    def test_what_is_no_text_is_no_key(
        self, cache: CacheInterface, sample: Callable[[int], Any], key: Any
    ) -> None:
        """Nothing else is taken for a str: the error is a CacheKeyError and a TypeError."""
        cache.set("1", sample(1))
        cache.set("True", sample(1))
        cache.set("None", sample(1))
        cache.set("a", sample(1))

        for name, call in KEYED.items():
            if name == "set_many" and key.__hash__ is None:
                continue
            with pytest.raises(CacheKeyError) as caught:
                call(cache, key, sample(2))
            assert isinstance(caught.value, TypeError), name

        assert dict.fromkeys(["1", "True", "None", "a"], sample(1)) == cache.get_many(
            list(cache.scan())
        )

    @once
    def test_a_str_subclass_is_its_characters(
        self, cache: CacheInterface, sample: Callable[[int], Any]
    ) -> None:
        """Whatever a subclass of str says of itself, its characters are the key."""
        cache.set("a", sample(1))
        cache.set("lie", sample(2))

        assert sample(1) == cache.get(Liar("a"))
        assert {"a": sample(1)} == cache.get_many([Liar("a")])
        cache.set(Liar("a"), sample(3))
        assert sample(3) == cache.get("a")
        cache.set_many({Liar("b"): sample(4)})
        assert sample(4) == cache.get("b")
        assert cache.delete(Liar("b")) is True
        assert sample(2) == cache.get("lie")
        assert all(type(key) is str for key in cache.scan())

    @once
    def test_a_scanned_key_reads_its_entry(
        self, cache: CacheInterface, sample: Callable[[int], Any]
    ) -> None:
        """`scan` gives keys as they were stored, without the namespace."""
        cache.set("a:b", sample(1))

        (key,) = cache.scan()

        assert "a:b" == key
        assert sample(1) == cache.get(key)


class NamespaceSuite(Harness):
    """Caches that share a store."""

    def test_namespaces_never_meet(
        self, make: Make, settings: dict[str, Any], sample: Callable[[int], Any]
    ) -> None:
        """No namespace and key spell another namespace's key."""
        base = settings["namespace"]
        first, second = make(namespace=f"{base}a"), make(namespace=f"{base}ab")

        first.set("bc", sample(1))
        first.set("b:c", sample(2))
        first.set(":c", sample(3))

        assert [] == list(second.scan())
        assert [None] * 4 == list(second.get_many(["c", "bc", ":c", "b:c"]).values())
        second.set("c", sample(4))
        second.set(":c", sample(5))
        assert {"bc": sample(1), "b:c": sample(2), ":c": sample(3)} == first.get_many(
            ["bc", "b:c", ":c"]
        )
        assert ["b:c", "bc"] == sorted(first.scan("b"))

    @once
    def test_clear_leaves_other_namespaces_alone(
        self, make: Make, settings: dict[str, Any], sample: Callable[[int], Any]
    ) -> None:
        """Neither a longer name nor one that looks like a pattern is cleared with another's."""
        base = settings["namespace"]
        endings = ("", "x", "x2", "x[1]*", "x1z", "x?", "*", "x\\", "x/..", "x.")
        caches = [make(namespace=f"{base}{ending}") for ending in endings]
        for number, cache in enumerate(caches):
            cache.set_many({"key": sample(number), "x:key": sample(number), "*": sample(number)})

        for cleared, cache in enumerate(caches, start=1):
            cache.clear()

            left = [sorted(other.scan()) for other in caches]
            there = [["*", "key", "x:key"]] * (len(caches) - cleared)
            assert [[]] * cleared + there == left

    @once
    @pytest.mark.parametrize("namespace", ["a:b", ":", "", "\ud800", "n" * 257, 1])
    def test_a_namespace_that_could_meet_another_is_refused(
        self, build: Callable[..., BaseBackend], namespace: Any
    ) -> None:
        """A namespace is a non-empty str of at most 256 UTF-8 bytes without a colon."""
        with pytest.raises(CacheConfigurationError, match="namespace"):
            build(namespace=namespace)
