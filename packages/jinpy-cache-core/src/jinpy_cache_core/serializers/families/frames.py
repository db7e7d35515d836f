"""Frames and series of pandas and polars through Arrow IPC, never pickle.

What Arrow would change (a column of lists, the frequency of an index, mixed types) is found by
reading back what was written, and refused.
"""

import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module
from io import BytesIO
from typing import Any, Final

from jinpy_cache_core.exceptions import CacheSerializationError
from jinpy_cache_core.serializers.families.plan import LibraryPlan
from jinpy_cache_core.serializers.refusal import Refusal, instance_of, kind_of

_NAMES: Final = ("pandas.DataFrame", "pandas.Series", "polars.DataFrame", "polars.Series")


def own_plan(kind: type) -> LibraryPlan | None:
    """How a frame or a series is stored."""
    for name in _NAMES:
        library, _, word = name.partition(".")
        if getattr(sys.modules.get(library), word, None) is kind:
            return LibraryPlan(kind, name, partial(_apart, name), partial(restored, name))
    return None


def _apart(name: str, value: Any) -> object:
    to_content, _, same = _ROOMS[name.partition(".")[0]]
    try:
        content = to_content(value)
    except (CacheSerializationError, MemoryError):
        raise
    except Exception as error:
        what = f"{instance_of(kind_of(value))} that Arrow does not carry ({type(error).__name__})"
        raise Refusal(what, _WAY_OUT) from error
    if not same(restored(name, content), value):
        what = f"{instance_of(kind_of(value))} that Arrow would change"
        raise Refusal(what, _WAY_OUT)
    return content


def restored(name: str, content: Any) -> object:
    """A frame or a series from what was stored of it."""
    if name not in _NAMES:
        message = f"nothing is known of {name}"
        raise ValueError(message)
    library, _, word = name.partition(".")
    return _ROOMS[library][1](content, word == "Series")


_COLUMN: Final = "values"
_WAY_OUT: Final = (
    "It may hold objects, lists, mixed types or an index with a frequency: store plain columns, "
    "such as value.to_dict('list')."
)


def _arrow() -> Any:
    try:
        return import_module("pyarrow")
    except ImportError as error:
        message = "Frames of pandas are stored through Arrow, which needs: pip install pyarrow"
        raise CacheSerializationError(message) from error


def _pandas_content(value: Any) -> list[object]:
    """The title of a series, the columns in Arrow, and what Arrow would lose of both indexes."""
    arrow = _arrow()
    pandas: Any = sys.modules["pandas"]
    title: object = value.name if value.ndim == 1 else None
    frame = value.to_frame(_COLUMN) if value.ndim == 1 else value
    columns: list[object] | None = None
    if type(frame.columns) is pandas.RangeIndex:
        numbers = frame.columns
        columns = [numbers.start, numbers.stop, numbers.step, numbers.name]
        frame = frame.set_axis([str(at) for at in range(len(numbers))], axis="columns")
    freq = getattr(value.index, "freqstr", None)
    table = arrow.Table.from_pandas(frame)
    sink = arrow.BufferOutputStream()
    with arrow.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return [title, sink.getvalue().to_pybytes(), freq, columns]


def _pandas_value(content: Any, is_series: bool) -> Any:
    arrow = _arrow()
    pandas: Any = sys.modules["pandas"]
    title, data, freq, columns = content
    with arrow.ipc.open_stream(arrow.BufferReader(data)) as reader:
        table = reader.read_all()
    table.validate(full=True)  # forged offsets would read other memory
    frame = table.to_pandas()
    if freq is not None and isinstance(frame.index, (pandas.DatetimeIndex, pandas.TimedeltaIndex)):
        frame.index.freq = freq
    if columns is not None:
        start, stop, step, name = columns
        frame.columns = pandas.RangeIndex(start, stop, step, name=name)
    if not is_series:
        return frame
    series = frame[_COLUMN]
    series.name = title
    return series


def _same_index(left: Any, right: Any) -> bool:
    return bool(
        type(left) is type(right)
        and left.equals(right)
        and list(left.names) == list(right.names)
        and getattr(left, "dtype", None) == getattr(right, "dtype", None)
        and getattr(left, "freq", None) == getattr(right, "freq", None)
        and list(map(type, left)) == list(map(type, right))
    )


def _same_column(left: Any, right: Any) -> bool:
    if left.dtype != right.dtype or not left.equals(right):
        return False
    return left.dtype != object or list(map(type, left)) == list(map(type, right))


def _same_pandas(left: Any, right: Any) -> bool:
    if type(left) is not type(right) or not _same_index(left.index, right.index):
        return False
    if left.attrs != right.attrs or left.flags != right.flags:
        return False
    if left.ndim == 1:
        return left.name == right.name and _same_column(left, right)
    return _same_index(left.columns, right.columns) and all(
        _same_column(left.iloc[:, at], right.iloc[:, at]) for at in range(left.shape[1])
    )


def _polars_content(value: Any) -> bytes:
    sink = BytesIO()
    frame = value if hasattr(value, "write_ipc") else value.to_frame()
    frame.write_ipc(sink, compression="uncompressed")
    return sink.getvalue()


def _polars_value(content: Any, is_series: bool) -> Any:
    try:
        frame = sys.modules["polars"].read_ipc(BytesIO(content))
    except BaseException as error:
        if isinstance(error, Exception) or type(error).__name__ != "PanicException":
            raise
        message = "polars cannot read it"  # a panic of its native part is no Exception
        raise ValueError(message) from error
    return frame.to_series() if is_series else frame


def _same_polars(left: Any, right: Any) -> bool:
    if left.shape != right.shape:
        return False
    if hasattr(left, "schema"):
        return bool(left.schema == right.schema and left.equals(right))
    return bool(
        left.name == right.name
        and left.dtype == right.dtype
        and left.equals(right, null_equal=True)
    )


_Room = tuple[Callable[[Any], object], Callable[[Any, bool], Any], Callable[[Any, Any], bool]]
_ROOMS: Final[dict[str, _Room]] = {
    "pandas": (_pandas_content, _pandas_value, _same_pandas),
    "polars": (_polars_content, _polars_value, _same_polars),
}
