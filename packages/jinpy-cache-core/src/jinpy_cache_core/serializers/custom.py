"""A serializer of the user's own: whatever it raises or returns, callers see one kind of error."""

from collections.abc import Callable
from typing import Any, cast

from jinpy_cache_core.exceptions import CacheException, CacheSerializationError
from jinpy_cache_core.serializers.protocol import Serializer, serializer_name
from jinpy_cache_core.serializers.refusal import refuse_to_read, type_name


class GuardedSerializer:
    """Maps the errors of another serializer at one edge, and checks that it returns bytes.

    Args:
        inner: An object with `dumps` and `loads`.
    """

    __slots__ = (
        "_dumps",
        "_loads",
        "_loads_as",
        "inner",
        "loads_as",
        "name",
        "needs_signature",
        "version",
    )

    def __init__(self, inner: Serializer) -> None:
        self.inner = inner
        self.name = serializer_name(inner)
        self.needs_signature = bool(getattr(inner, "needs_signature", False))
        # One of that name may be built in, and what that signed is not for this one.
        self.version = f"custom {getattr(inner, 'version', 1)}"
        self._dumps = inner.dumps
        self._loads = inner.loads
        self._loads_as: Callable[[bytes, Any], Any] | None = getattr(inner, "loads_as", None)
        self.loads_as = None if self._loads_as is None else self._guarded_loads_as

    def dumps(self, value: object, /) -> bytes:
        """What the inner serializer returns.

        Raises:
            CacheSerializationError: It raised, with that as the cause, or returned no `bytes`.
        """
        try:
            payload: object = self._dumps(value)
        except (CacheException, MemoryError):
            raise
        except Exception as error:
            message = (
                f"The serializer {self.name!r} cannot store this {type_name(type(value))}: "
                f"{type(error).__name__}: {error}"
            )
            raise CacheSerializationError(message) from error
        if type(payload) is not bytes:
            message = (
                f"The serializer {self.name!r} returned {type_name(type(payload))} from dumps "
                "instead of bytes; nothing was stored."
            )
            raise CacheSerializationError(message)
        return payload

    def loads(self, payload: bytes, /) -> Any:
        """What the inner serializer returns.

        Raises:
            CacheSerializationError: It raised, with that as the cause.
        """
        try:
            return self._loads(payload)
        except (CacheException, MemoryError):
            raise
        except Exception as error:
            raise refuse_to_read(self.name, f"{type(error).__name__}: {error}") from error

    def _guarded_loads_as(self, payload: bytes, kind: Any, /) -> Any:
        read = cast("Callable[[bytes, Any], Any]", self._loads_as)
        try:
            return read(payload, kind)
        except (CacheException, MemoryError):
            raise
        except Exception as error:
            raise refuse_to_read(self.name, f"{type(error).__name__}: {error}") from error

    def __repr__(self) -> str:
        return f"<GuardedSerializer {self.name}>"
