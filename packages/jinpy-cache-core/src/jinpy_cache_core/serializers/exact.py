"""`"str"` and `"bytes"`: text or bytes and nothing else, stored as they are."""

from jinpy_cache_core.serializers.refusal import instance_of, refuse_to_read, refuse_to_store


class StrSerializer:
    """Text as UTF-8; subclasses of `str` would come back as plain `str`, so they are refused."""

    __slots__ = ()
    name = "str"

    def dumps(self, value: object, /) -> bytes:
        """The text's UTF-8 bytes.

        Raises:
            CacheSerializationError: It is not exactly a `str`, or holds lone surrogates.
        """
        if type(value) is not str:
            refuse_to_store(
                self.name,
                instance_of(type(value)),
                "It takes exactly str; convert the value, or choose serializer='msgpack'.",
            )
        try:
            return value.encode()
        except UnicodeEncodeError as error:
            refuse_to_store(
                self.name,
                "a str with a lone surrogate",
                f"UTF-8 has no form for the character at index {error.start}; choose "
                "serializer='msgpack', which carries it.",
            )

    def loads(self, payload: bytes, /) -> str:
        """The text.

        Raises:
            CacheSerializationError: The bytes are not UTF-8.
        """
        try:
            return payload.decode()
        except UnicodeDecodeError as error:
            raise refuse_to_read(self.name, f"not UTF-8 at byte {error.start}") from error

    def __repr__(self) -> str:
        return "<StrSerializer>"


class BytesSerializer:
    """Bytes as they are; a `bytearray` or `memoryview` would come back changed, so is refused."""

    __slots__ = ()
    name = "bytes"

    def dumps(self, value: object, /) -> bytes:
        """The same bytes.

        Raises:
            CacheSerializationError: It is not exactly a `bytes`.
        """
        if type(value) is not bytes:
            refuse_to_store(
                self.name,
                instance_of(type(value)),
                "It takes exactly bytes; convert the value, or choose serializer='msgpack'.",
            )
        return value

    def loads(self, payload: bytes, /) -> bytes:
        """The same bytes."""
        return payload

    def __repr__(self) -> str:
        return "<BytesSerializer>"
