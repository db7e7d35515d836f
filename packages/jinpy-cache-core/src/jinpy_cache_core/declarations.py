"""`signature_of`: a method has the signature that its interface declares, overloads and all."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])


def signature_of(declaration: F) -> Callable[[Callable[..., Any]], F]:
    """Give a method, for type checkers, the signature of the one that it implements.

    At run time it stays the function that it is. Overloads are thus written once, on the interface.

    Args:
        declaration: The method of the interface.
    """

    def declared(method: Callable[..., Any]) -> F:
        return cast("F", method)

    return declared
