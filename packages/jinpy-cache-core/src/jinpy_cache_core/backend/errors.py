"""The one edge of every operation: what escapes it is a `CacheException` that knows its place.

`mapped_errors` is that edge, for functions, coroutine functions and both kinds of generators; it is
the only place of this package that catches whatever comes. What a user then sees is short: their
own line, the operation they called, and the last frame of what made it fail. The frames between
are ours, tell a user nothing, and are left out, unless the environment variable
`JINPY_CACHE_FULL_TRACEBACKS` is set.
"""

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Mapping
from types import TracebackType
from typing import Any, Concatenate, Final, ParamSpec, Self, TypeVar

from jinpy_cache_core.config import BaseCacheBackendConfig
from jinpy_cache_core.entries.typed_key import TypedKey
from jinpy_cache_core.enums import CacheOperation
from jinpy_cache_core.exceptions import (
    FULL_TRACEBACKS,
    CacheBackendError,
    CacheClosedError,
    CacheConnectionError,
    CacheException,
    CacheSerializationError,
    CacheTimeoutError,
    without_frames,
)

P = ParamSpec("P")
S = TypeVar("S", bound="ErrorEdge")
T = TypeVar("T")

Substitute = Callable[..., Any]
"""From the arguments of an operation to what it answers when the store cannot."""

_OURS: Final = "jinpy_cache"
"""What the names of our modules begin with."""

REFUSES: Any = object()
"""What a `Substitute` answers where there is nothing to give but the error."""


class ErrorEdge:
    """A cache as errors know it: its name, its kind, whether it is closed."""

    _config: BaseCacheBackendConfig
    _closed: bool

    @property
    def name(self) -> str:
        """The configured name."""
        return self._config.name

    @property
    def backend_type(self) -> str:
        """The kind of store: `"memory"`, `"file"`, `"redis"`, or a third party's word."""
        return self._config.backend_type

    @property
    def config(self) -> BaseCacheBackendConfig:
        """The settings this backend was built from."""
        return self._config

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def _opened(self) -> Self:
        """Return the backend itself, unless it is closed."""
        if self._closed:
            raise self._closed_error()
        return self

    def _closed_error(self) -> CacheClosedError:
        message = f"The cache {self.name!r} is closed. Create a new one, or close it later."
        return CacheClosedError(message, backend=self.name, backend_type=self.backend_type)

    def _mapped(self, error: Exception) -> CacheException:
        """Map a foreign exception of the store to ours; the given one becomes its cause."""
        reason = f"The {self.backend_type} store failed: {type(error).__name__}: {error}"
        if isinstance(error, TimeoutError):
            return CacheTimeoutError(reason, errno=error.errno)
        if isinstance(error, ConnectionError):
            return CacheConnectionError(reason, errno=error.errno)
        return CacheBackendError(reason, errno=getattr(error, "errno", None))

    def _goes_without(self, error: CacheException) -> bool:
        """Whether an operation that has an answer without its store gives it after this error."""
        return False

    def _placed(
        self,
        error: Exception,
        operation: CacheOperation,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Exception:
        """What escaped an operation, as an error of ours that knows its place, to be raised.

        Only what is no failure of the store comes back as it is: a call that does not fit the
        method, and memory that ran out.
        """
        if isinstance(error, MemoryError) or _is_of_the_call(error):
            return error
        if isinstance(error, CacheException) and not self._is_of_closing(error):
            placed, cause = error, error.__cause__
        else:
            closed = self._closed  # then the store was released while it was being used
            placed, cause = (self._closed_error() if closed else self._mapped(error)), error
        key = args[0] if args and isinstance(args[0], str) else (kwargs or {}).get("key")
        placed.in_context(
            operation=operation, backend=self.name, backend_type=self.backend_type, key=key
        )
        return shortened(placed, cause)

    def _is_of_closing(self, error: CacheException) -> bool:
        """Whether an error only says that the store was released while it was being used."""
        return self._closed and isinstance(error, CacheConnectionError)


def unread(
    first: CacheException | None, error: CacheException, key: str, values: dict[str, Any]
) -> CacheException:
    """Note that one of many values cannot be read; the error to raise once the others are there.

    Args:
        first: The error of the first that could not be read, if this is not the first.
        error: Why this one cannot be.
        key: Whose value it is.
        values: What is going to be returned; it goes without this key, and along with the error.
    """
    values.pop(key, None)
    if first is not None:
        return first
    error.partial = values
    return error.in_context(key=key)


def mapped_errors(
    operation: CacheOperation, *, miss: Substitute | None = None
) -> Callable[[Callable[Concatenate[S, P], T]], Callable[Concatenate[S, P], T]]:
    """Make a method the edge of an operation: what escapes it is a `CacheException` in its place.

    Args:
        operation: What the decorated method does.
        miss: From its arguments (`self` first) to what it answers if the store fails and the
            backend lets operations go on without it; `None` for an operation that has no answer
            then.
    """

    def decorate(method: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], T]:
        edge: Any = _edge_of(method)(method, operation, miss)
        return named_like(method, edge)

    return decorate


def false_on_failure(
    method: Callable[Concatenate[S, P], bool],
) -> Callable[Concatenate[S, P], bool]:
    """Make a function answer False instead of raising, whatever happens: a health check."""

    @functools.wraps(method)
    def edge(self: S, /, *args: P.args, **kwargs: P.kwargs) -> bool:
        try:
            return method(self, *args, **kwargs)
        except Exception:
            return False

    return edge


def afalse_on_failure(
    method: Callable[Concatenate[S, P], Coroutine[Any, Any, bool]],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, bool]]:
    """Same as `false_on_failure`, for a coroutine function."""

    @functools.wraps(method)
    async def edge(self: S, /, *args: P.args, **kwargs: P.kwargs) -> bool:
        try:
            return await method(self, *args, **kwargs)
        except Exception:
            return False

    return edge


def named_like(method: Callable[..., Any], edge: Callable[..., T]) -> Callable[..., T]:
    """Let an edge be the method, in introspection and in tracebacks, which show its name."""
    code = getattr(method, "__code__", None)
    if inspect.isfunction(edge) and code is not None:
        edge.__code__ = edge.__code__.replace(co_name=code.co_name, co_qualname=code.co_qualname)
    return functools.wraps(method)(edge)


def _edge_of(method: Callable[..., Any]) -> Callable[..., Callable[..., Any]]:
    """Which edge fits a method: functions, coroutines and generators fail at different times."""
    if inspect.iscoroutinefunction(method):
        return _coroutine_edge
    if inspect.isasyncgenfunction(method):
        return _async_generator_edge
    if inspect.isgeneratorfunction(method):
        return _generator_edge
    return _function_edge


def _function_edge(
    method: Callable[..., T], operation: CacheOperation, miss: Substitute | None
) -> Callable[..., T]:
    def edge(self: ErrorEdge, /, *args: Any, **kwargs: Any) -> Any:
        try:
            return method(self, *args, **kwargs)
        except Exception as error:
            told = spelled_out(operation, args, kwargs)
            if told is not None:
                return edge(self, *told[0], **told[1])
            answer = _answer(self, operation, miss, error, args, kwargs)
            if answer is not REFUSES:
                return answer
            raise self._placed(error, operation, args, kwargs)

    return edge


def _coroutine_edge(
    method: Callable[..., Any], operation: CacheOperation, miss: Substitute | None
) -> Callable[..., Any]:
    async def edge(self: ErrorEdge, /, *args: Any, **kwargs: Any) -> Any:
        try:
            return await method(self, *args, **kwargs)
        except Exception as error:
            told = spelled_out(operation, args, kwargs)
            if told is not None:
                return await edge(self, *told[0], **told[1])
            answer = _answer(self, operation, miss, error, args, kwargs)
            if answer is not REFUSES:
                return answer
            raise self._placed(error, operation, args, kwargs)

    return edge


def _generator_edge(
    method: Callable[..., Any], operation: CacheOperation, miss: Substitute | None
) -> Callable[..., Any]:
    def edge(self: ErrorEdge, /, *args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        answer: Any
        try:
            steps: Generator[Any, Any, Any] = method(self, *args, **kwargs)
            answer = yield from steps
        except Exception as error:
            answer = _answer(self, operation, miss, error, args, kwargs)
            if answer is REFUSES:
                raise self._placed(error, operation, args, kwargs)
        return answer

    return edge


def _async_generator_edge(
    method: Callable[..., Any], operation: CacheOperation, miss: Substitute | None
) -> Callable[..., Any]:
    async def edge(self: ErrorEdge, /, *args: Any, **kwargs: Any) -> AsyncGenerator[Any, None]:
        steps = method(self, *args, **kwargs)
        try:
            async for step in steps:
                yield step
        except Exception as error:
            if _answer(self, operation, miss, error, args, kwargs) is REFUSES:
                raise self._placed(error, operation, args, kwargs)
        finally:
            await steps.aclose()

    return edge


_WRITING: Final = frozenset((CacheOperation.SET, CacheOperation.ADD))
_TTL: Final = 2
"""Where the ttl stands among the arguments of what writes."""


def spelled_out(
    operation: CacheOperation, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    """The arguments of a call with a `TypedKey`, with its text, type and ttl; `None` for others.

    No operation takes such a key, which fails as every key that is no `str` does. So the calls that
    do not use one pay nothing for those that do.
    """
    key = args[0] if args else kwargs.get("key")
    typed: Any = key
    if type(typed) is not TypedKey:
        return None
    told = dict(kwargs)
    if args:
        args = (typed.text, *args[1:])
    else:
        told["key"] = typed.text
    if operation is CacheOperation.GET and told.get("type") is None and typed.kind is not None:
        told["type"] = typed.kind
    if operation in _WRITING and typed.ttl is not None:
        if len(args) > _TTL:
            given = typed.ttl if args[_TTL] is None else args[_TTL]
            args = (*args[:_TTL], given, *args[_TTL + 1 :])
        elif told.get("ttl") is None:
            told["ttl"] = typed.ttl
    return args, told


def _answer(
    cache: ErrorEdge,
    operation: CacheOperation,
    miss: Substitute | None,
    error: Exception,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """What an operation answers without its store, or `REFUSES`."""
    if miss is None or cache.config.on_error != "miss" or _is_of_the_call(error):
        return REFUSES
    answer = miss(cache, *args, **kwargs)
    if answer is not REFUSES:
        placed = cache._placed(error, operation, args, kwargs)
        if not isinstance(placed, CacheException) or not cache._goes_without(placed):
            return REFUSES
    return answer


def shortened(error: CacheException, cause: BaseException | None) -> CacheException:
    """An error without the frames it came through, with the foreign exception behind it."""
    if FULL_TRACEBACKS:
        error.__cause__ = cause
        return error
    while cause is not None and type(cause).__module__.startswith(_OURS):
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    if cause is not None:
        if not isinstance(error, CacheSerializationError):  # there the user's own code failed
            cause.__cause__, cause.__suppress_context__ = None, True
            cause = cause.with_traceback(_last(cause.__traceback__))
        else:
            cause = cause.with_traceback(_theirs(cause.__traceback__))
    error.__cause__, error.__suppress_context__ = cause, True
    return without_frames(error)


def _last(trace: TracebackType | None) -> TracebackType | None:
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace


def _theirs(trace: TracebackType | None) -> TracebackType | None:
    """A traceback without the frames of ours that lead to the others."""
    while trace is not None and trace.tb_next is not None:
        if not trace.tb_frame.f_globals.get("__name__", "").startswith(_OURS):
            break
        trace = trace.tb_next
    return trace


def _is_of_the_call(error: Exception) -> bool:
    """Whether the arguments did not fit the method, so that it never began."""
    trace = error.__traceback__
    return isinstance(error, TypeError) and trace is not None and trace.tb_next is None
