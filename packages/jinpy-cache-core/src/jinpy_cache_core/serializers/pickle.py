"""`"pickle"`: any picklable object, for stores that nobody else can write to, or signed.

Reading a pickle can run any code its writer chose. On a shared store the codec therefore signs
each one with a secret and verifies before this module sees the bytes; see
`jinpy_cache_core.codec.codec`. Nothing falls back to pickle by itself.
"""

import pickle
from typing import Final

from jinpy_cache_core.exceptions import CacheSerializationError
from jinpy_cache_core.serializers.advice import advice_for
from jinpy_cache_core.serializers.culprit import culprit
from jinpy_cache_core.serializers.refusal import (
    instance_of,
    refuse_to_read,
    refuse_to_store,
    type_name,
)

PROTOCOL: Final = 5
"""Fixed, so that every supported Python writes the same bytes."""


def _is_refused(part: object) -> bool:
    try:
        pickle.dumps(part, PROTOCOL)
    except Exception:  # noqa: BLE001 - objects' own hooks raise anything
        return True
    return False


class PickleSerializer:
    """Python's own format; carries nearly everything, aliases and subclasses included."""

    __slots__ = ()
    name = "pickle"
    needs_signature = True

    def dumps(self, value: object, /) -> bytes:
        """The value's pickle.

        Raises:
            CacheSerializationError: It cannot be pickled.
        """
        try:
            return pickle.dumps(value, PROTOCOL)
        except MemoryError:
            raise
        except RecursionError:
            refuse_to_store(
                self.name,
                f"this {type_name(type(value))}",
                "It is nested too deeply; store its parts under their own keys.",
            )
        except Exception as error:  # noqa: BLE001 - objects' own hooks raise anything
            # What pickle itself raised is told in the message; what a hook raised has more to show.
            trace = error.__traceback__
            cause = error if trace is not None and trace.tb_next is not None else None
            raise self._refused(value, error) from cause

    def _refused(self, value: object, error: Exception) -> CacheSerializationError:
        """The error for what a hook of an object, or pickle itself, raised."""
        path, part = culprit(value, _is_refused)
        what = f"{instance_of(type(part))} at ${path}" if path else f"this {type_name(type(part))}"
        way_out = (
            advice_for(part, subclasses=False) or "Store the data that it is made from instead."
        )
        reason = f"{type(error).__name__}: {error}".rstrip(".")
        return CacheSerializationError(
            f"The serializer {self.name!r} cannot store {what}. {reason}. {way_out}"
        )

    def loads(self, payload: bytes, /) -> object:
        """The pickled object; only ever call it with bytes of known origin.

        Raises:
            CacheSerializationError: The bytes are no pickle, or a class of it is gone.
        """
        try:
            return pickle.loads(payload)  # noqa: S301 - verified by the codec
        except MemoryError:
            raise
        except Exception as error:
            raise refuse_to_read(self.name, f"{type(error).__name__}: {error}") from error

    def __repr__(self) -> str:
        return "<PickleSerializer>"
