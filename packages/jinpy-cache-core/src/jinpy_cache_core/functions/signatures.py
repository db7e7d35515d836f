"""What type checkers know of a decorated function: what it is called with, and its own methods."""

from collections.abc import Callable, Coroutine
from typing import (
    Any,
    Concatenate,
    Generic,
    Never,
    ParamSpec,
    Protocol,
    TypeAlias,
    TypeVar,
    overload,
)

from jinpy_cache_core.functions.binding import CacheInfo

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
S = TypeVar("S")
F = TypeVar("F", bound=Callable[..., Any])
F_co = TypeVar("F_co", bound=Callable[..., Any], covariant=True)

MYPY = False
"""Taken for true by mypy alone, which keeps a generic function generic only as a whole."""


class CachedFunction(Generic[F_co]):
    """A decorated function, for type checkers: `CachedFunction[Callable[[int], str]]`.

    It is called with what the function takes and gives what it returns, a coroutine where that is
    one; a method is bound to its object or class, and a static one to neither. At run time it is a
    function, or the method of a class.

    Each of `invalidate`, `cache_contains` and `cache_clear` is awaited where the function is a
    coroutine function. A result of `Any` counts as none: hence the first of their overloads.
    """

    __name__: str
    __qualname__: str

    @property
    def __wrapped__(self) -> F_co:
        raise NotImplementedError

    if MYPY:

        @property
        def __call__(self) -> F_co:  # pyright: ignore[reportRedeclaration]
            """The function as it is called."""
            raise NotImplementedError

    else:

        def __call__(
            self: "CachedFunction[Callable[Q, R]]", *args: Q.args, **kwargs: Q.kwargs
        ) -> R:
            """The value: the one that is stored, or what the function returns."""
            raise NotImplementedError

    @overload
    def __get__(
        self: "CachedFunction[Callable[Concatenate[type[S], Q], R]]",
        instance: None,
        owner: type[S],
        /,
    ) -> "CachedFunction[Callable[Q, R]]": ...
    @overload
    def __get__(self, instance: None, owner: Any, /) -> "CachedFunction[F_co]": ...
    @overload
    def __get__(
        self: "CachedFunction[Callable[Concatenate[type[S], Q], R]]", instance: S, owner: Any, /
    ) -> "CachedFunction[Callable[Q, R]]": ...
    @overload
    def __get__(
        self: "CachedFunction[Callable[Concatenate[S, Q], R]]", instance: S, owner: Any, /
    ) -> "CachedFunction[Callable[Q, R]]": ...
    @overload
    def __get__(self, instance: object, owner: Any, /) -> "CachedFunction[F_co]": ...
    def __get__(self, instance: Any, owner: Any, /) -> Any:
        raise NotImplementedError

    def cache_key(
        self: "CachedFunction[Callable[Q, Any]]", *args: Q.args, **kwargs: Q.kwargs
    ) -> str:
        """The key of the value for these arguments."""
        raise NotImplementedError

    def cache_info(self) -> CacheInfo:
        """How its calls went, if it is decorated with `statistics=True`."""
        raise NotImplementedError

    def refresh(self: "CachedFunction[Callable[Q, R]]", *args: Q.args, **kwargs: Q.kwargs) -> R:
        """Compute the value for these arguments anew, store and return it."""
        raise NotImplementedError

    @overload
    def invalidate(  # type: ignore[overload-overlap]
        self: "CachedFunction[Callable[Q, Never]]", *args: Q.args, **kwargs: Q.kwargs
    ) -> bool: ...
    @overload
    def invalidate(
        self: "CachedFunction[Callable[Q, Coroutine[Any, Any, Any]]]",
        *args: Q.args,
        **kwargs: Q.kwargs,
    ) -> Coroutine[Any, Any, bool]: ...
    @overload
    def invalidate(
        self: "CachedFunction[Callable[Q, Any]]", *args: Q.args, **kwargs: Q.kwargs
    ) -> bool: ...
    def invalidate(self, *args: Any, **kwargs: Any) -> Any:
        """Remove the value for these arguments; one that is being computed is not stored."""
        raise NotImplementedError

    @overload
    def cache_contains(  # type: ignore[overload-overlap]
        self: "CachedFunction[Callable[Q, Never]]", *args: Q.args, **kwargs: Q.kwargs
    ) -> bool: ...
    @overload
    def cache_contains(
        self: "CachedFunction[Callable[Q, Coroutine[Any, Any, Any]]]",
        *args: Q.args,
        **kwargs: Q.kwargs,
    ) -> Coroutine[Any, Any, bool]: ...
    @overload
    def cache_contains(
        self: "CachedFunction[Callable[Q, Any]]", *args: Q.args, **kwargs: Q.kwargs
    ) -> bool: ...
    def cache_contains(self, *args: Any, **kwargs: Any) -> Any:
        """Whether there is a fresh value for these arguments."""
        raise NotImplementedError

    @overload
    def cache_clear(  # type: ignore[overload-overlap]
        self: "CachedFunction[Callable[..., Never]]",
    ) -> int: ...
    @overload
    def cache_clear(
        self: "CachedFunction[Callable[..., Coroutine[Any, Any, Any]]]",
    ) -> Coroutine[Any, Any, int]: ...
    @overload
    def cache_clear(self) -> int: ...
    def cache_clear(self) -> Any:
        """Remove every value of this function; how many there were."""
        raise NotImplementedError


AsyncCachedFunction: TypeAlias = CachedFunction[Callable[P, Coroutine[Any, Any, R]]]
"""A decorated coroutine function: `AsyncCachedFunction[[int], str]`."""


class Decorator(Protocol):
    """What `cached(...)` returns."""

    def __call__(self, function: F, /) -> CachedFunction[F]:
        """Decorate a function."""
        ...
