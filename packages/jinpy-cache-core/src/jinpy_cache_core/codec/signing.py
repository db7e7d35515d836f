"""Signatures that bind a payload to all that gives it a meaning.

That is its key and namespace, the serializer that wrote it and the version of what that writes,
the kind of store, and the envelope around it. So nothing that was forged, moved to another key or
store, or written for another serializer is ever decoded: bytes that a `"bytes"` cache signed for
somebody are not unpickled when the program switches to `"pickle"` with the same secret.

A signature does not say when: whoever can write to the store can put an older value of the same key
back, keep a value longer than its ttl, or remove it.
"""

import hmac
import struct
from collections.abc import Iterable
from typing import Final

import attrs

from jinpy_cache_core.entries.envelope import SIGNATURE_SIZE, Envelope
from jinpy_cache_core.secret import Secret

_CONTEXT: Final = b"jinpy-cache envelope 2\x00"
_LENGTH: Final = struct.Struct(">I")


@attrs.frozen
class Binding:
    """What gives signed bytes their meaning, and is signed with them.

    Attributes:
        store: The kind of store: `"file"`, `"redis"`.
        serializer: The name of what wrote the payload, and reads it.
        version: The version of what that writes.
    """

    store: str
    serializer: str
    version: str

    def content(self, storage_key: str, envelope: bytes) -> bytes:
        """Every part with its length before it, so that no two sets of parts are alike."""
        parts = [text.encode() for text in (self.store, self.serializer, self.version, storage_key)]
        return b"".join((_CONTEXT, *(_LENGTH.pack(len(one)) + one for one in parts), envelope))


def _digest(envelope: Envelope, storage_key: str, binding: Binding, secret: Secret) -> bytes:
    unsigned = attrs.evolve(envelope, signature=bytes(SIGNATURE_SIZE)).pack()
    return hmac.digest(secret.reveal_bytes(), binding.content(storage_key, unsigned), "sha256")


def sign(envelope: Envelope, storage_key: str, binding: Binding, secret: Secret) -> Envelope:
    """The envelope with its signature: HMAC-SHA256 over the binding, the key and the envelope.

    Args:
        envelope: What to sign; a signature that it already has is replaced.
        storage_key: The key in the store, namespace included.
        binding: What reads it, and where.
        secret: Known to every reader and writer, and to nobody else.
    """
    return attrs.evolve(envelope, signature=_digest(envelope, storage_key, binding, secret))


def is_signed(
    envelope: Envelope, storage_key: str, binding: Binding, secrets: Iterable[Secret]
) -> bool:
    """Whether one of the secrets signed exactly this envelope for exactly this key and reader.

    Compares in constant time. The algorithm is fixed here, never read from the entry.
    """
    signature = envelope.signature
    if signature is None:
        return False
    return any(
        hmac.compare_digest(signature, _digest(envelope, storage_key, binding, secret))
        for secret in secrets
    )
