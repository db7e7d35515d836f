"""What a serializer is: two methods, and a few attributes it may have."""

from typing import Any, Protocol, TypeAlias, runtime_checkable


@runtime_checkable
class Serializer(Protocol):
    """Turns a value into bytes and back; any object with these two methods is one.

    Both are pure: same input, same output, no I/O. Whatever they raise reaches the user as a
    `CacheSerializationError` with that exception as its cause.

    A serializer may also have:

    * `name: str`, the word that errors and configuration use for it;
    * `needs_signature: bool`, true if `loads` can run code chosen by whoever wrote the bytes: then
      a shared store demands a secret, as it does of `"pickle"`;
    * `version: int`, raised when `loads` gives the same bytes another meaning: signatures bind what
      is stored to the name and the version;
    * `loads_as(payload, kind)`, to read bytes as a given type without knowing that type beforehand.
    """

    def dumps(self, value: Any, /) -> bytes:
        """The value as bytes.

        Args:
            value: Any object.

        Raises:
            CacheSerializationError: The value cannot be carried exactly.
        """
        ...

    def loads(self, payload: bytes, /) -> Any:
        """The value that `dumps` was given.

        Args:
            payload: What `dumps` returned, or anything else: the store may have been written by
                another program.

        Raises:
            CacheSerializationError: The bytes are not what `dumps` writes.
        """
        ...


SerializerSpec: TypeAlias = Serializer | str | None
"""What configuration takes: a name, an object with `dumps` and `loads`, or `None` (memory only)."""


def serializer_name(serializer: object) -> str:
    """The word for a serializer in messages: its `name`, else its type's."""
    name = getattr(serializer, "name", None)
    return name if isinstance(name, str) else type(serializer).__name__
