"""The table of `docs/reference/values.md`: each kind of value on each store, as it is there.

`python -m tests.docs.values_table` writes the page anew; a test compares.
"""

import collections
import contextlib
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import importlib
import ipaddress
import pathlib
import re
import tempfile
import threading
import types
import uuid
import zoneinfo
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import attrs

from jinpy_cache_core import BaseBackend, CacheSerializationError
from jinpy_cache_core.serializers.registry import TYPES
from jinpy_cache_file import FileCacheBackend, FileCacheConfig
from jinpy_cache_memory import MemoryCacheBackend, MemoryCacheConfig
from jinpy_cache_redis import RedisCacheConfig
from jinpy_cache_testing.samples import same

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "reference" / "values.md"
START, END = "<!-- table -->", "<!-- end of the table -->"


class Colour(enum.Enum):
    """An enum."""

    RED = 1


class Pair(NamedTuple):
    """A named tuple."""

    left: int


@attrs.frozen
class User:
    """An attrs class."""

    name: str


@dataclasses.dataclass
class Point:
    """A dataclass."""

    x: int


class Plain:
    """A class that says nothing of itself."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Plain)

    __hash__ = None  # type: ignore[assignment]


class Word(str):
    """Text by inheritance."""

    __slots__ = ()


Model: Any = None
Struct: Any = None

KINDS: dict[str, Any] = {
    "None, bool, float, str, bytes": [None, True, 1.5, "text", b"bytes"],
    "int": [1, 2**70],
    "list, dict": [[1, [2]], {"a": {"b": 1}}],
    "dict with keys of any kind": [{1: "a", (2, 3): "b", None: "c"}],
    "tuple, set, frozenset": [(1, (2,)), {1}, frozenset({1})],
    "bytearray, complex": [bytearray(b"a"), 1 + 2j],
    "memoryview": [memoryview(b"a")],
    "date, time, datetime, timedelta": [
        dt.date(2024, 1, 1),
        dt.time(1),
        dt.datetime(2024, 1, 1, tzinfo=zoneinfo.ZoneInfo("Europe/Paris")),
        dt.timedelta(1),
    ],
    "timezone, ZoneInfo": [dt.UTC, zoneinfo.ZoneInfo("Europe/Paris")],
    "Decimal, Fraction": [decimal.Decimal("1.10"), fractions.Fraction(1, 3)],
    "UUID": [uuid.UUID(int=1)],
    "Path and pure paths": [pathlib.Path("/a"), pathlib.PureWindowsPath("C:/a")],
    "addresses, networks, interfaces": [
        ipaddress.ip_address("::1"),
        ipaddress.ip_network("10.0.0.0/8"),
        ipaddress.ip_interface("10.0.0.1/8"),
    ],
    "OrderedDict, Counter, ChainMap": [
        collections.OrderedDict(a=1),
        collections.Counter("a"),
        collections.ChainMap({"a": 1}),
    ],
    "deque": [collections.deque([1], 3)],
    "defaultdict of a builtin": [collections.defaultdict(list, a=[1])],
    "defaultdict of a function": [collections.defaultdict(lambda: 1)],
    "MappingProxyType, SimpleNamespace": [
        types.MappingProxyType({"a": 1}),
        types.SimpleNamespace(a=1),
    ],
    "range, slice, Ellipsis": [range(3), slice(1, 2), ...],
    "re.Pattern": [re.compile("a")],
    "enum members": [Colour.RED],
    "named tuples": [Pair(1)],
    "attrs classes": [User("a")],
    "dataclasses": [Point(1)],
    "other classes": [Plain()],
    "subclasses of builtins": [Word("a")],
    "functions": [print],
    "classes": [User],
    "generators": [(item for item in ())],
    "open files, locks": [threading.Lock()],
    "exceptions": [ValueError("a")],
}
"""Kinds of values, with samples."""

LIBRARIES: dict[str, Callable[[], list[Any]]] = {
    "Pydantic models": lambda: [_pydantic()],
    "msgspec Structs": lambda: [_msgspec()],
    "numpy arrays and scalars": lambda: [_of("numpy").arange(3), _of("numpy").int8(1)],
    "pandas frames and series": lambda: [_of("pandas").DataFrame({"a": [1]})],
    "polars frames and series": lambda: [_of("polars").DataFrame({"a": [1]})],
}
"""Kinds of values of other libraries."""


def _of(library: str) -> Any:
    return importlib.import_module(library)


def _pydantic() -> Any:
    global Model
    Model = _of("pydantic").create_model("Model", __module__=__name__, a=(int, ...))
    return Model(a=1)


def _msgspec() -> Any:
    global Struct
    Struct = _of("msgspec").defstruct("Struct", [("a", int)], module=__name__)
    return Struct(a=1)


@contextlib.contextmanager
def stores() -> Iterator[dict[str, tuple[Callable[[Any], None], Callable[[Any], Any]]]]:
    """How to write and read on each store, by the word in the head of the table."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        backends: dict[str, BaseBackend] = {
            "memory": MemoryCacheBackend(MemoryCacheConfig()),
            "memory, portable": MemoryCacheBackend(MemoryCacheConfig(portable=True)),
            "file": FileCacheBackend(FileCacheConfig(directory=pathlib.Path(folder) / "cache")),
        }
        found: dict[str, Any] = {}
        for name, backend in backends.items():
            stack.callback(backend.close)
            found[name] = _calls(backend)
        codec = RedisCacheConfig().codec()  # what it encodes is what the server holds
        kept: list[bytes] = []
        found["Redis"] = (
            lambda value: kept.append(codec.encode("key", value)),
            lambda kind: (
                codec.decode("key", kept[-1])
                if kind is None
                else codec.decode_as("key", kept[-1], kind)
            ),
        )
        yield found


def _calls(backend: Any) -> tuple[Callable[[Any], None], Callable[[Any], Any]]:
    return lambda value: backend.set("key", value), lambda kind: backend.get("key", type=kind)


def _equal(value: Any, read: Any) -> bool:
    if type(value) is not type(read):
        return False
    if hasattr(value, "equals"):
        return bool(value.equals(read))
    if hasattr(value, "tobytes"):
        return bool(value.tobytes() == read.tobytes())
    return repr(value) == repr(read) if isinstance(value, BaseException) else same(value, read)


def verdict(value: Any, write: Callable[[Any], None], read: Callable[[Any], Any]) -> str:
    """What happens to a value on a store, in the words of the table."""
    try:
        write(value)
    except CacheSerializationError as error:
        text = str(error).partition(" [")[0]
        return "refused: " + text.partition(". ")[2]
    words = ""
    try:
        got = read(None)
    except CacheSerializationError:
        got, words = read(type(value)), "exact with `type=`"
    if type(value) is memoryview and got == value.tobytes():
        return "as `bytes`"
    assert _equal(value, got), (value, got)
    return words or "exact"


def rows() -> list[tuple[str, list[str]]]:
    """Each kind, and for each store what happens."""
    table: list[tuple[str, list[str]]] = []
    with stores() as found:
        for kind, samples in {**KINDS, **{k: make() for k, make in LIBRARIES.items()}}.items():
            cells: list[str] = []
            for store, (write, read) in found.items():
                words = {verdict(value, write, read): None for value in samples}
                assert len(words) == 1, (kind, words)
                word = next(iter(words))
                # In memory it is pickle that refuses, in words of its own.
                cells.append("refused" if store == "memory" and "refused" in word else word)
            table.append((kind, cells))
    return table


def page() -> str:
    """The table as Markdown, with the sentences of refusals below it."""
    lines = ["| kind | memory | memory, `portable=True` | file | Redis |", "|---|---|---|---|---|"]
    sentences: dict[str, int] = {}
    for kind, cells in rows():
        shown: list[str] = []
        for cell in cells:
            if cell.startswith("refused: "):
                number = sentences.setdefault(cell[9:], len(sentences) + 1)
                shown.append(f"refused ({number})")
            else:
                shown.append(cell)
        lines.append(f"| {kind} | {' | '.join(shown)} |")
    lines.append("")
    lines += [f"{number}. {text}" for text, number in sentences.items()]
    return "\n".join(lines)


def written(text: str, table: str) -> str:
    """The page with the table in its place."""
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}\n\n{table}\n\n{END}{after}"


if __name__ == "__main__":
    assert TYPES.named("x") is None
    PAGE.write_text(written(PAGE.read_text(), page()))
