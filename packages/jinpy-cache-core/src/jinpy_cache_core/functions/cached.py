"""`@cached`: a function that remembers what it returned.

A decorated function stays a function, with attributes; a decorated method becomes a descriptor, so
that `user.orders.invalidate()` knows whose orders are meant.
"""

import copy
import datetime as dt
import functools
import inspect
import sys
import types
from collections.abc import Callable, Collection
from typing import Any, Self, TypeVar, Unpack, cast, overload

from jinpy_cache_core.backend.base import BaseBackend
from jinpy_cache_core.entries.ttl import TTL
from jinpy_cache_core.exceptions import CacheConfigurationError
from jinpy_cache_core.functions.binding import CallSite
from jinpy_cache_core.functions.identity import name_of
from jinpy_cache_core.functions.keys import Keying, MakeKey, keying_of
from jinpy_cache_core.functions.results import allow_results
from jinpy_cache_core.functions.signatures import CachedFunction, Decorator
from jinpy_cache_core.functions.wrappers import wrapper_of
from jinpy_cache_core.loading.options import NO_OPTIONS, EntryOptions, EntryOverrides
from jinpy_cache_core.manager.facade import Cache, Facade

F = TypeVar("F", bound=Callable[..., Any])


@overload
def cached(function: F, /) -> CachedFunction[F]: ...
@overload
def cached(
    *,
    ttl: TTL = None,
    key: str | MakeKey | None = None,
    backend: str | BaseBackend | Cache | None = None,
    type: type[Any] | None = None,
    options: EntryOptions | None = None,
    statistics: bool = False,
    version: int | str | None = None,
    ignore: Collection[str] = (),
    **overrides: Unpack[EntryOverrides],
) -> Decorator: ...
def cached(
    function: Callable[..., Any] | None = None,
    /,
    *,
    ttl: TTL = None,
    key: str | MakeKey | None = None,
    backend: str | BaseBackend | Cache | None = None,
    type: type[Any] | None = None,
    options: EntryOptions | None = None,
    statistics: bool = False,
    version: int | str | None = None,
    ignore: Collection[str] = (),
    **overrides: Unpack[EntryOverrides],
) -> Any:
    """Remember what a function returns, by its arguments, with all that `get_or_set` guarantees.

    The decorated function has `invalidate(*args)`, `refresh(*args)`, `cache_key(*args)`,
    `cache_contains(*args)`, `cache_clear()`, `cache_info()` and `__wrapped__`; those of a coroutine
    function that touch the cache are awaited. The cache is looked up at the first call.

    Args:
        function: A function, coroutine function or method.
        ttl: Seconds or a `timedelta` that a value is fresh; by default the backend's.
        key: A template such as `"user:{user_id}"`, or a function of the same arguments that
            returns the key. By default the function's module and qualified name with its
            arguments by value; for a method, `self` must then have a value to go by: a
            `cache_key` attribute, or be a frozen dataclass or attrs class.
        backend: The name of a backend, one itself, or a `Cache`; by default the default one.
        type: Structure stored values into this class. Without it, attrs classes, dataclasses and
            enums of the return annotation come back as themselves.
        options: How values are computed, kept and renewed.
        statistics: Count hits and misses of this function, which costs each call something.
        ignore: The names of parameters that the automatic key leaves out, such as
            `("db", "request")`: what they bring along must not change the result.
        version: Part of the automatic key: change it with what the function computes, and values
            of its older body are left behind.
        overrides: Single options, as in `EntryOptions`.

    Raises:
        CacheConfigurationError: An option is illegal, the template names no parameter, or an
            automatic key would leave out something that the function depends on.
        CacheKeyTypeError: In a call: an argument has no value that a key could be made of.
    """
    said = (options or NO_OPTIONS).with_overrides(**overrides)
    if ttl is not None:
        said = EntryOptions(ttl=ttl).over(said)

    def decorate(function: Callable[..., Any]) -> Any:
        _refuse_what_is_no_function(function)
        _refuse_generators(function)
        prepare = functools.partial(allow_results, function)
        site = CallSite(backend, said, kind=type, counting=statistics, prepare=prepare)
        keying = keying_of(function, key, version, ignore)
        kind = _AsyncParts if _is_coroutine_function(function) else _Parts
        parts = kind(function, keying, site)
        if not _is_method(function):
            return parts.wrapper
        method = CachedMethod(parts)
        _bind_classmethod(method, function)
        return method

    return decorate if function is None else decorate(function)


def _refuse_what_is_no_function(given: Any) -> None:
    """Raise for what else people put into the parentheses, with what to write instead."""
    if isinstance(given, (classmethod, staticmethod, property, functools.cached_property)):
        message = (
            "@cached goes below @classmethod, @staticmethod and @property, next to the function."
        )
    elif isinstance(given, str):
        message = f"@cached({given!r}) decorates nothing; write @cached(key={given!r})."
    elif isinstance(given, (int, float, dt.timedelta)):
        message = f"@cached({given!r}) decorates nothing; write @cached(ttl={given!r})."
    elif isinstance(given, (BaseBackend, Facade)):
        message = "@cached(cache) decorates nothing; write @cached(backend=cache)."
    elif not callable(given):
        message = (
            f"@cached of a {type(given).__name__} decorates nothing. Write @cached above a "
            "function, with options by name: ttl=, key=, backend=."
        )
    else:
        return
    raise CacheConfigurationError(message)


def _refuse_generators(function: Callable[..., Any]) -> None:
    """Raise for a function whose calls return generators, which can be read only once."""
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        message = (
            f"{name_of(function)} is a generator function: what it returns can be read only once, "
            "so it cannot be cached. Cache a function that returns a list, and iterate over that."
        )
        raise CacheConfigurationError(message)


def _is_coroutine_function(function: Any) -> bool:
    """Whether calls return coroutines; an object is called by its class's `__call__`."""
    called = function.func if isinstance(function, functools.partial) else function
    return inspect.iscoroutinefunction(called) or inspect.iscoroutinefunction(
        getattr(cast("Any", type)(called), "__call__", None)  # noqa: B004 - the function itself is asked for
    )


def _is_method(function: Callable[..., Any]) -> bool:
    """Whether a function is being defined in the body of a class."""
    if not isinstance(function, types.FunctionType):
        return False
    scope = function.__qualname__.rpartition(".")[0]
    return bool(scope) and not scope.endswith("<locals>")


class _Parts:
    """What belongs to one decorated function: its wrapper, and the wrapper's attributes."""

    is_async = False

    def __init__(self, function: Callable[..., Any], keying: Keying, site: CallSite) -> None:
        self.function = function
        self.keying = keying
        self.site = site
        self.cache_key = keying.make
        self.cache_info = site.info
        made = wrapper_of(function, keying, site, is_async=self.is_async)
        made.__name__ = made.__qualname__ = name_of(function).rpartition(".")[2]
        updated = ("__dict__",) if isinstance(function, types.FunctionType) else ()
        self.wrapper: Any = functools.update_wrapper(made, function, updated=updated)
        for name in ATTRIBUTES:
            setattr(self.wrapper, name, getattr(self, name))

    def invalidate(self, *args: Any, **kwargs: Any) -> Any:
        return self.site.backend.delete(self.cache_key(*args, **kwargs))

    def refresh(self, *args: Any, **kwargs: Any) -> Any:
        factory = functools.partial(self.function, *args, **kwargs)
        return self.site.begin(self.cache_key(*args, **kwargs), factory, force=True).rest()

    def cache_contains(self, *args: Any, **kwargs: Any) -> Any:
        return self.site.backend.exists(self.cache_key(*args, **kwargs))

    def cache_clear(self) -> Any:
        backend, prefix, own = self.site.backend, self.prefix(), self.keying.is_own
        keys = [*backend.scan(prefix), *backend._loading.flights.keys(prefix)]
        return backend.delete_many([key for key in keys if own(key)])

    def prefix(self) -> str:
        if self.keying.prefix is None:
            message = (
                f"The keys of {name_of(self.function)} have no common beginning of their own, so "
                "they cannot be told from others. Invalidate them one by one, or clear the cache."
            )
            raise CacheConfigurationError(message)
        return self.keying.prefix


class _AsyncParts(_Parts):
    is_async = True

    async def invalidate(self, *args: Any, **kwargs: Any) -> Any:
        return await self.site.backend.adelete(self.cache_key(*args, **kwargs))

    async def refresh(self, *args: Any, **kwargs: Any) -> Any:
        factory = functools.partial(self.function, *args, **kwargs)
        begun = await self.site.abegin(self.cache_key(*args, **kwargs), factory, force=True)
        return await begun.rest()

    async def cache_contains(self, *args: Any, **kwargs: Any) -> Any:
        return await self.site.backend.aexists(self.cache_key(*args, **kwargs))

    async def cache_clear(self) -> Any:
        backend, prefix, own = self.site.backend, self.prefix(), self.keying.is_own
        keys = [key async for key in backend.ascan(prefix)]
        keys += backend._loading.flights.keys(prefix)
        return await backend.adelete_many([key for key in keys if own(key)])


ATTRIBUTES = (
    "cache_clear",
    "cache_contains",
    "cache_info",
    "cache_key",
    "invalidate",
    "refresh",
)
"""What a decorated function has besides what functions have."""

TAKES_ARGUMENTS = frozenset(("cache_contains", "cache_key", "invalidate", "refresh"))
"""Which of them take the function's arguments."""


class CachedMethod:
    """A decorated method, as it is in its class.

    Args:
        parts: What belongs to the function.
    """

    def __init__(self, parts: _Parts) -> None:
        self._wrapper = parts.wrapper
        functools.update_wrapper(self, parts.function)
        # With what functions have, inspect and asyncio see a coroutine function where it is one.
        for name in ("__code__", "__defaults__", "__kwdefaults__"):
            setattr(self, name, getattr(parts.wrapper, name))
        for name in ATTRIBUTES:
            setattr(self, name, getattr(parts, name))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it with its object as the first argument."""
        return self._wrapper(*args, **kwargs)

    @property  # type: ignore[misc]
    def __class__(self) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """A function, for `isinstance`: what collects the methods of a class takes no less."""
        return types.FunctionType

    def __get__(self, instance: object, owner: Any = None) -> Any:
        return self if instance is None else BoundCachedMethod(self, instance)

    def __reduce__(self) -> str:
        # As functions are: by name, found again where it was defined.
        return cast("str", cast("Any", self).__qualname__)

    def __copy__(self) -> "CachedMethod":
        return self

    def __deepcopy__(self, _memo: object) -> "CachedMethod":
        return self


class CachedClassMethod(classmethod):  # type: ignore[type-arg]
    """A `classmethod` of a decorated one, which binds to the class as others bind to an object."""

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        method = cast("CachedMethod", cast("Any", self).__func__)
        bound_to: Any = cast("Any", type)(instance) if owner is None else owner
        return method.__get__(bound_to)


class _WhenComplete:
    """What stands in a class while it is being defined, to find a `classmethod` above a method.

    Since 3.13 a `classmethod` binds what is below it by itself, and does not ask it.
    """

    def __init__(self, method: CachedMethod) -> None:
        self._method = method

    def __set_name__(self, owner: type, name: str) -> None:
        delattr(owner, name)
        found: Any
        for attribute, found in list(vars(owner).items()):
            if type(found) is classmethod and cast("Any", found).__func__ is self._method:
                setattr(owner, attribute, CachedClassMethod(cast("Any", self._method)))


def _bind_classmethod(method: CachedMethod, function: Callable[..., Any]) -> None:
    """Have a `classmethod` above a method replaced as soon as its class is complete."""
    if sys.hexversion < 0x030D0000:  # asked this way, type checkers read on
        return
    scope, _, name = function.__qualname__.rpartition(".")
    frame: types.FrameType | None = sys._getframe(1)
    while frame is not None:
        # Only the body of a class has a namespace that is its class's, and no fast variables.
        if not frame.f_code.co_flags & inspect.CO_OPTIMIZED:
            space = frame.f_locals
            if space.get("__qualname__") == scope:
                space[f"__cached_{name}__"] = _WhenComplete(method)
                return
        frame = frame.f_back


class BoundCachedMethod(functools.partial[Any]):
    """A decorated method of one object.

    Calling it calls the wrapper with the object, as a partial does it: without a frame of its own.
    """

    _method: Any

    def __new__(cls, method: CachedMethod, instance: object) -> Self:
        """Bind a method to an object."""
        made = super().__new__(cls, method._wrapper, instance)
        made._method = method
        return made

    def __get__(self, _instance: object, _owner: Any = None) -> Self:
        """Itself: what is bound is not bound again, by whatever class it becomes part of."""
        return self

    @property
    def __self__(self) -> object:
        return self.args[0]

    @property
    def __func__(self) -> Any:
        return self._method

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, BoundCachedMethod):
            return NotImplemented
        return self._method is other._method and self.__self__ is other.__self__

    def __hash__(self) -> int:
        return hash((id(self._method), id(self.__self__)))

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (self.__self__, self._method.__name__)

    def __copy__(self) -> "BoundCachedMethod":
        return BoundCachedMethod(self._method, self.__self__)

    def __deepcopy__(self, memo: "dict[int, Any]") -> "BoundCachedMethod":
        return BoundCachedMethod(self._method, copy.deepcopy(self.__self__, memo))

    @property
    def __wrapped__(self) -> Any:
        wrapped = self._method.__wrapped__
        return wrapped.__get__(self.__self__)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._method, name)
        return functools.partial(found, self.__self__) if name in TAKES_ARGUMENTS else found

    def __repr__(self) -> str:
        return f"<cached method {self._method.__qualname__} of {self.__self__!r}>"
