"""`CacheKey`: a template of keys that says what is stored under them."""

import inspect
import string
from typing import Any, Generic, TypeVar, get_args

from jinpy_cache_core.entries.ttl import TTL, ttl_seconds
from jinpy_cache_core.entries.typed_key import TypedKey
from jinpy_cache_core.exceptions import CacheConfigurationError
from jinpy_cache_core.functions.keys import keying_of

T = TypeVar("T")


class CacheKey(Generic[T]):
    """Keys of one kind: how they are spelled, what is stored under them, and for how long.

    `UserKey = CacheKey[User]("user:{id}", ttl=60)` makes keys: `cache.get(UserKey(id=7))` is a
    `User` or `None`, `cache.set(UserKey(id=7), user)` keeps it for a minute. Values are filled in
    as in `@cached(key=...)`, quoted where needed, so that no two sets of values make one key.

    Args:
        template: The key, with the names of what is filled in in braces.
        ttl: Seconds, or a `timedelta`, that a value lives where a call does not say; `None` for the
            backend's `default_ttl`.

    Raises:
        CacheConfigurationError: It is no template, or two values could run into one another.
        CacheValueError: The ttl is no duration.
    """

    def __init__(self, template: str, *, ttl: TTL = None) -> None:
        ttl_seconds(ttl)
        self.template = template
        self.ttl = ttl
        self._make = keying_of(_function_of(template), template).make

    def __call__(self, *args: object, **values: object) -> TypedKey[T]:
        """The key for these values, by name or in the order of the template.

        Raises:
            CacheKeyTypeError: A value has no text that tells it from others.
            CacheKeyError: The key is longer than 1,024 UTF-8 bytes.
            TypeError: A value is missing, or is none of the template.
        """
        return TypedKey(self._make(*args, **values), self.kind, self.ttl)

    @property
    def kind(self) -> Any:
        """What is stored: the type in brackets; `None` if there is none."""
        alias = getattr(self, "__orig_class__", None)
        if alias is None:
            bases = getattr(type(self), "__orig_bases__", ())
            alias = next((base for base in bases if get_args(base)), None)
        found = get_args(alias)
        return None if not found or isinstance(found[0], TypeVar) else found[0]

    def __repr__(self) -> str:
        return f"<CacheKey {self.template!r}>"


def _function_of(template: Any) -> Any:
    """A function whose parameters are the names in a template."""
    names: list[str] = []
    if isinstance(template, str):
        try:
            parts = list(string.Formatter().parse(template))
        except ValueError:
            parts = []
        names = list(dict.fromkeys(name for _, name, _, _ in parts if name is not None))
    for name in names:
        if not name.isidentifier():
            message = (
                f"CacheKey({template!r}): {{{name}}} is no name. Write names in braces, such as "
                "'user:{id}'."
            )
            raise CacheConfigurationError(message)

    def make_key() -> None:
        """Has the parameters of the template."""

    make_key.__qualname__ = f"CacheKey({template!r})"
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    signature = inspect.Signature([inspect.Parameter(name, kind) for name in names])
    make_key.__signature__ = signature  # type: ignore[attr-defined]
    return make_key
