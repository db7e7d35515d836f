"""`TypedKey`: a key that knows what is stored under it."""

from typing import Any, Final, Generic, TypeVar

from jinpy_cache_core.entries.ttl import TTL

T = TypeVar("T")


class TypedKey(Generic[T]):
    """A key with the type of its value, and how long that lives; what a `CacheKey` makes.

    It is no `str`, so that no operation takes it without knowing. Its text is `str(key)`.

    Args:
        text: The key.
        kind: What is stored under it; `None` for whatever it is.
        ttl: How long it lives where a call does not say.
    """

    __slots__ = ("kind", "text", "ttl")

    def __init__(self, text: str, kind: Any = None, ttl: TTL = None) -> None:
        self.text: Final = text
        self.kind: Final = kind
        self.ttl: Final = ttl

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"<TypedKey {self.text!r}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TypedKey):
            return NotImplemented
        return (self.text, self.kind) == (other.text, other.kind)

    def __hash__(self) -> int:
        return hash((TypedKey, self.text))
