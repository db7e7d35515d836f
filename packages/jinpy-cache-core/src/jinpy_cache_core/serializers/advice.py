"""What to store instead of a value that cannot be stored, by what it is.

Classes of other libraries are known by the names of their modules; none is imported.
"""

import io
from collections.abc import Awaitable, Iterator, KeysView, MappingView
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Final

_OPEN: Final = (
    "It stands for something open in this process: store what it is made from, and open it anew."
)
_RESPONSE: Final = (
    "A response is bound to its connection: store its parts, such as (status, headers, content), "
    "or the data of its JSON."
)
_ROW: Final = (
    "An ORM object is bound to its session: store the columns that are needed, as a dict or a "
    "dataclass"
)

_BY_BASE: Final[dict[str, str]] = {
    "requests.models.Response": _RESPONSE,
    "httpx.Response": _RESPONSE,
    "aiohttp.client_reqrep.ClientResponse": _RESPONSE,
    "starlette.responses.Response": _RESPONSE,
    "django.http.response.HttpResponseBase": _RESPONSE,
    "werkzeug.sansio.response.Response": _RESPONSE,
    "urllib3.response.HTTPResponse": _RESPONSE,
    "http.client.HTTPResponse": _RESPONSE,
    "sqlalchemy.engine.row.Row": "Store row._asdict(), or tuple(row).",
    "sqlalchemy.engine.result.Result": "Store [row._asdict() for row in result].",
    "django.db.models.base.Model": f"{_ROW}, such as model_to_dict(value).",
    "django.db.models.query.QuerySet": "Store list(value.values()).",
    "peewee.Model": f"{_ROW}, such as model_to_dict(value).",
    "sqlite3.Row": "Store dict(row).",
    "asyncpg.Record": "Store dict(record).",
    "polars.lazyframe.frame.LazyFrame": "Store value.collect().",
    "pandas.core.indexes.base.Index": "Store value.to_series(), or value.tolist().",
    "pandas.Index": "Store value.to_series(), or value.tolist().",
    "pandas.Timestamp": "Store value.to_pydatetime(), or value.to_datetime64().",
    "pandas._libs.tslibs.timestamps.Timestamp": (
        "Store value.to_pydatetime(), or value.to_datetime64()."
    ),
    "numpy.ndarray": "Only plain arrays are stored: use numpy.asarray(value).",
    "pyarrow.lib.Table": "Store value.to_pandas(), or polars.from_arrow(value).",
    "torch.Tensor": "Store value.numpy(force=True).",
    "PIL.Image.Image": "Store the bytes of value.save(...) into an io.BytesIO.",
    "xml.etree.ElementTree.Element": "Store ElementTree.tostring(value).",
    "lxml.etree._Element": "Store lxml.etree.tostring(value).",
    "_socket.socket": _OPEN,
    "threading.Thread": _OPEN,
    "subprocess.Popen": _OPEN,
    "sqlite3.Connection": _OPEN,
    "sqlite3.Cursor": "Store value.fetchall().",
    "_thread.lock": _OPEN,
    "_thread.RLock": _OPEN,
    "_asyncio.Future": "Await it, and store the result.",
    "concurrent.futures._base.Future": "Store value.result().",
}
_BUILTINS: Final = (str, int, float, bytes, list, dict, tuple, set, frozenset)


def advice_for(value: object, *, subclasses: bool = True) -> str | None:
    """A sentence with what to store instead, where there is something to say.

    Args:
        value: What was refused.
        subclasses: Whether it was refused for being of a subclass of a builtin.
    """
    kind = type(value)
    if hasattr(kind, "__mapper__"):
        return (
            f"{_ROW}, such as {{c.key: getattr(value, c.key) for c in value.__mapper__.columns}}."
        )
    for base in kind.__mro__:
        advice = _BY_BASE.get(f"{base.__module__}.{base.__qualname__}")
        if advice is not None:
            return advice
    if isinstance(value, io.IOBase):
        return "An open file is bound to this process: store value.read(), or its path."
    if isinstance(value, Awaitable):
        return "Await it, and store the result."
    if isinstance(value, (Iterator, MappingView)):
        word = "set" if isinstance(value, KeysView) else "list"
        return f"It can be gone through once, or shows something else: store {word}(value)."
    if isinstance(value, (type, BuiltinFunctionType, FunctionType, MethodType, ModuleType)):
        return "Code is not stored: store its name, or what it returns."
    if isinstance(value, BaseException):
        return "Store its type's name and its args, or repr(value)."
    for builtin in _BUILTINS if subclasses else ():
        if isinstance(value, builtin):
            word = builtin.__name__
            return (
                f"It would come back as a plain {word}: store {word}(value), "
                "or teach it with register_type(T, encode=..., decode=...)."
            )
    return None
