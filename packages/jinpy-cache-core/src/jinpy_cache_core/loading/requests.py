"""What a caller of the loading layer wants, and how its factory is called."""

import inspect
from collections.abc import Callable
from types import FunctionType
from typing import Any

import attrs

from jinpy_cache_core.loading.context import FactoryContext
from jinpy_cache_core.loading.options import Policy


@attrs.frozen
class Request:
    """What a caller wants.

    Attributes:
        key: A checked key.
        factory: Computes the value; takes a `FactoryContext` if it has a required parameter.
        policy: How to go about it.
        kind: The class to structure the value into, or `None`.
        force: Whether a value that is there does not count.
    """

    key: str
    factory: Callable[..., Any]
    policy: Policy
    kind: Any = None
    force: bool = False


def called(factory: Callable[..., Any], context: FactoryContext) -> Any:
    """What a factory returns, given the context if it takes one."""
    return factory(context) if takes_context(factory) else factory()


def takes_context(factory: Callable[..., Any]) -> bool:
    """Whether a factory has a required positional parameter."""
    if type(factory) is FunctionType and not hasattr(factory, "__wrapped__"):
        return factory.__code__.co_argcount > len(factory.__defaults__ or ())
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):  # some builtins have no signature
        return False
    return any(
        one.default is one.empty and one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)
        for one in parameters
    )
