"""How a serializer says no: what it met, where inside the value, and the way out."""

from typing import Never

from jinpy_cache_core.exceptions import CacheSerializationError, with_article


class Refusal(Exception):  # noqa: N818 - caught at the edge, never seen by users
    """A part of a value that cannot be carried; collects its place on the way up.

    Attributes:
        what: The type of the part, such as `"a function"`.
        way_out: What to do instead, if the part says more than the serializer.
        path: The steps from the innermost container outwards, such as `".a"` and `"[3]"`.
    """

    def __init__(self, what: str, way_out: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.way_out = way_out
        self.path: list[str] = []

    def __str__(self) -> str:
        """What it is and where in the value, such as `a set at $.a[3]`."""
        return f"{self.what} at ${''.join(reversed(self.path))}" if self.path else self.what


def step(key: object) -> str:
    """How a key of a mapping appears in a path."""
    if type(key) is str:
        return f".{key}" if key.isidentifier() and len(key) <= 40 else f"[{key!r:.40}]"
    if type(key) is int and -(2**64) < key < 2**64:
        return f"[{key}]"
    return f"[<{type_name(type(key))}>]"


def type_name(kind: type) -> str:
    """A type as a reader finds it: bare for builtins, else with its module."""
    if kind.__module__ == "builtins":
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"


def kind_of(value: object) -> type:
    """The type of a value of which nothing is known."""
    return type(value)


def instance_of(kind: type) -> str:
    """A type's name with its article, as a sentence needs it."""
    return with_article(type_name(kind))


def refuse_to_store(serializer: str, what: str, why: str) -> Never:
    """Raise the error for a value that was not stored.

    Args:
        serializer: The serializer's name.
        what: The type of the offending part, and its place if it is inside a container.
        why: A sentence with the way out.

    Raises:
        CacheSerializationError: Always.
    """
    message = f"The serializer {serializer!r} cannot store {what}. {why}"
    raise CacheSerializationError(message) from None


def refuse_to_read(serializer: str, why: object) -> CacheSerializationError:
    """The error for stored bytes that this serializer does not read; the caller raises it."""
    reason = (str(why) or type(why).__name__).rstrip(".")
    message = (
        f"The stored bytes cannot be read by the serializer {serializer!r}: {reason}. They were "
        "written by another serializer or program, or are damaged; delete or overwrite the key."
    )
    return CacheSerializationError(message)
