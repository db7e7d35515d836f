"""What type checkers know of a decorated function: its parameters, its result, its own methods."""

from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

from jinpy_cache_core.functions.binding import CacheInfo

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
S = TypeVar("S")


class Decorated(Protocol[P]):
    """What every decorated function has."""

    def cache_key(self, *args: P.args, **kwargs: P.kwargs) -> str:
        """The key of the value for these arguments."""
        ...

    def cache_info(self) -> CacheInfo:
        """How its calls went, if it is decorated with `statistics=True`."""
        ...


class CachedFunction(Decorated[P], Protocol[P, R]):
    """A decorated function, or a decorated method as seen from its instance."""

    __wrapped__: Callable[P, R]

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """The value: the one that is stored, or what the function returns."""
        ...

    @overload
    def __get__(self, instance: None, owner: Any) -> "CachedFunction[P, R]": ...
    @overload
    def __get__(
        self: "CachedFunction[Concatenate[S, Q], R]", instance: S, owner: Any
    ) -> "CachedFunction[Q, R]": ...

    def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Remove the value for these arguments; one that is being computed is not stored."""
        ...

    def refresh(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Compute the value for these arguments anew, store and return it."""
        ...

    def cache_contains(self, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Whether there is a fresh value for these arguments."""
        ...

    def cache_clear(self) -> int:
        """Remove every value of this function; how many there were."""
        ...


class AsyncCachedFunction(Decorated[P], Protocol[P, R]):
    """A decorated coroutine function, or method as seen from its instance."""

    __wrapped__: Callable[P, Coroutine[Any, Any, R]]

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """The value: the one that is stored, or what the function returns."""
        ...

    @overload
    def __get__(self, instance: None, owner: Any) -> "AsyncCachedFunction[P, R]": ...
    @overload
    def __get__(
        self: "AsyncCachedFunction[Concatenate[S, Q], R]", instance: S, owner: Any
    ) -> "AsyncCachedFunction[Q, R]": ...

    async def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Remove the value for these arguments; one that is being computed is not stored."""
        ...

    async def refresh(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Compute the value for these arguments anew, store and return it."""
        ...

    async def cache_contains(self, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Whether there is a fresh value for these arguments."""
        ...

    async def cache_clear(self) -> int:
        """Remove every value of this function; how many there were."""
        ...


class Decorator(Protocol):
    """What `cached(...)` returns."""

    @overload
    def __call__(  # type: ignore[overload-overlap] # pyright: ignore[reportOverlappingOverload]
        self, function: Callable[P, Coroutine[Any, Any, R]], /
    ) -> AsyncCachedFunction[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> CachedFunction[P, R]: ...
