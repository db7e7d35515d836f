"""What the plans of other libraries' classes have in common."""

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from jinpy_cache_core.serializers.extensions import Tag


@attrs.frozen
class LibraryPlan:
    """A class of a library that comes back by itself, without being named or registered."""

    kind: type
    name: str
    apart: Callable[[Any], object]
    together: Callable[[Any], object]
    tag: int = Tag.LIBRARY


@attrs.frozen
class ModelPlan:
    """A class with annotated fields, stored by name as records are.

    Attributes:
        apart: From an instance to its fields by name, and more of its state.
        together: From these to the instance.
        types: The annotations of the fields, given the class or an alias of it.
        validated: An instance from plain data as JSON holds it, given the class or an alias.
        check: Raises unless a value is what an annotation takes, by the library's own rules.
    """

    kind: type
    name: str
    apart: Callable[[Any], Any]
    together: Callable[[Any], object]
    types: Callable[[Any], Mapping[str, Any]]
    validated: Callable[[Any, Any], object]
    check: Callable[[Any, Any], None]
    tag: int = Tag.MODEL
