"""The function that a decorated one becomes, made to its measure.

A hit should cost little more than the lookup itself. So for a function with plain parameters the
wrapper is written as source with exactly these parameters, as `attrs` and `namedtuple` write
theirs: no packing of arguments, no loop over them, and a key that is one f-string while they are of
types whose `repr` is quick and exact. The last keys are remembered by their arguments, exact `int`
and `str` only, which are equal only when they are the same; that spares writing the text, and its
hash. Everything else takes the general way.
"""

import functools
import inspect
import types
from collections.abc import Callable
from typing import Any, Final

from jinpy_cache_core.exceptions import CacheException
from jinpy_cache_core.functions.binding import CallSite
from jinpy_cache_core.functions.keys import LONGEST, Keying
from jinpy_cache_core.sentinels import MISSING

_MOST_PARAMETERS: Final = 8

_MOST_KEYS: Final = 4096
"""How many keys a wrapper remembers before it forgets them all; each is a few hundred bytes."""

_SOURCE: Final = """
def make(
    _jp_get, _jp_missing, _jp_error, _jp_make, _jp_function, _jp_begin, _jp_keys, _jp_builtins,
    {defaults}
):
    _jp_type, _jp_int, _jp_str, _jp_len, _jp_any_error, _jp_partial = _jp_builtins

    {define} wrapper({parameters}):
        if {quick}:
            _jp_key = _jp_keys.get({arguments})
            if _jp_key is None:
                _jp_key = f"{prefix}{fields})"
                if _jp_len(_jp_key) > {longest}:
                    _jp_key = _jp_make({names})
                else:
                    if _jp_len(_jp_keys) >= {most_keys}:
                        _jp_keys.clear()
                    _jp_keys[{arguments}] = _jp_key
        else:
            _jp_key = _jp_make({names})
        _jp_failed = None
        try:
            _jp_value = {get}(_jp_key, _jp_missing)
        except _jp_error as _jp_caught:
            _jp_value, _jp_failed = _jp_missing, _jp_caught
        if _jp_value is not _jp_missing:
            return _jp_value
        _jp_run = {begin}(_jp_key, _jp_partial(_jp_function, {names}), _jp_failed)
        if _jp_run.pending is None:
            return _jp_run.value
        try:
            _jp_value = {function}({names})
        except _jp_any_error as _jp_caught:
            if {await_}_jp_run.failed(_jp_caught):
                raise
            return _jp_run.value
        return {await_}_jp_run.done(_jp_value)

    return wrapper
"""


def wrapper_of(
    function: Callable[..., Any], keying: Keying, site: CallSite, *, is_async: bool
) -> Callable[..., Any]:
    """A function that looks its arguments up, and calls the other for what is not there.

    It calls it itself, so a function that calls itself finds one frame of ours for each of its own.

    Args:
        function: What is decorated.
        keying: How its keys are made.
        site: Its cache.
        is_async: Whether the wrapper is to be a coroutine function.
    """
    parameters = inspect.signature(function).parameters
    names = keying.names
    fits = names is not None and len(names) <= _MOST_PARAMETERS
    if fits and names is not None and not any(name.startswith("_jp_") for name in names):
        return _written(function, keying, names, parameters, site, is_async=is_async)
    general = _general_async if is_async else _general
    return general(function, keying, site)


def _written(
    function: Callable[..., Any],
    keying: Keying,
    names: tuple[str, ...],
    parameters: Any,
    site: CallSite,
    *,
    is_async: bool,
) -> Callable[..., Any]:
    defaults = {
        f"_jp_default_{index}": parameters[name].default
        for index, name in enumerate(names)
        if parameters[name].default is not inspect.Parameter.empty
    }
    declared = [
        f"{name}=_jp_default_{index}" if f"_jp_default_{index}" in defaults else name
        for index, name in enumerate(names)
    ]
    source = _SOURCE.format(
        define="async def" if is_async else "def",
        defaults=", ".join(defaults),
        parameters=", ".join(declared),
        quick=" and ".join(
            f"((_jp_kind := _jp_type({name})) is _jp_int or _jp_kind is _jp_str)" for name in names
        )
        or "True",
        prefix=_as_source(keying.prefix or ""),
        fields=", ".join(f"{{{name}!r}}" for name in names),
        longest=LONGEST,
        most_keys=_MOST_KEYS,
        arguments=names[0] if len(names) == 1 else "({})".format("".join(f"{n}, " for n in names)),
        names=", ".join(names),
        get="await _jp_get" if is_async else "_jp_get",
        begin="await _jp_begin" if is_async else "_jp_begin",
        function="await _jp_function" if is_async else "_jp_function",
        await_="await " if is_async else "",
    )
    space: dict[str, Any] = {}
    exec(source, space)  # noqa: S102 - made of the names of parameters, which are identifiers
    made: types.FunctionType = space["make"](
        None,
        MISSING,
        CacheException,
        keying.make,
        function,
        site.abegin if is_async else site.begin,
        {},
        (type, int, str, len, BaseException, functools.partial),
        **defaults,
    )
    cells = dict(zip(made.__code__.co_freevars, made.__closure__ or (), strict=True))
    site.attach("aget" if is_async else "get", cells["_jp_get"])
    return made


def _as_source(text: str) -> str:
    """A text as it stands inside of a double-quoted f-string."""
    escaped = text.encode("unicode_escape").decode("ascii").replace('"', '\\"')
    return escaped.replace("{", "{{").replace("}", "}}")


def _general(function: Callable[..., Any], keying: Keying, site: CallSite) -> Callable[..., Any]:
    make, begin = keying.make, site.begin

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        key, failed = make(*args, **kwargs), None
        try:
            value = site.get(key, MISSING)
        except CacheException as error:
            value, failed = MISSING, error
        if value is not MISSING:
            return value
        run = begin(key, functools.partial(function, *args, **kwargs), failed)
        if run.pending is None:
            return run.value
        try:
            value = function(*args, **kwargs)
        except BaseException as error:
            if run.failed(error):
                raise
            return run.value
        return run.done(value)

    return wrapper


def _general_async(
    function: Callable[..., Any], keying: Keying, site: CallSite
) -> Callable[..., Any]:
    make, begin = keying.make, site.abegin

    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        key, failed = make(*args, **kwargs), None
        try:
            value = await site.aget(key, MISSING)
        except CacheException as error:
            value, failed = MISSING, error
        if value is not MISSING:
            return value
        run = await begin(key, functools.partial(function, *args, **kwargs), failed)
        if run.pending is None:
            return run.value
        try:
            value = await function(*args, **kwargs)
        except BaseException as error:
            if await run.failed(error):
                raise
            return run.value
        return await run.done(value)

    return wrapper
