"""Signatures that bind a payload to its key, so that nothing forged or moved is ever decoded."""

import hmac
import struct
from collections.abc import Iterable
from typing import Final

import attrs

from jinpy_cache_core.entries.envelope import SIGNATURE_SIZE, Envelope
from jinpy_cache_core.secret import Secret

_CONTEXT: Final = b"jinpy-cache envelope\x00"
_LENGTH: Final = struct.Struct(">I")


def _digest(envelope: Envelope, storage_key: str, secret: Secret) -> bytes:
    key = storage_key.encode()
    unsigned = attrs.evolve(envelope, signature=bytes(SIGNATURE_SIZE)).pack()
    content = b"".join((_CONTEXT, _LENGTH.pack(len(key)), key, unsigned))
    return hmac.digest(secret.reveal_bytes(), content, "sha256")


def sign(envelope: Envelope, storage_key: str, secret: Secret) -> Envelope:
    """The envelope with its signature: HMAC-SHA256 over the key, the header and the payload.

    Args:
        envelope: What to sign; a signature that it already has is replaced.
        storage_key: The key in the store, namespace included.
        secret: Known to every reader and writer, and to nobody else.
    """
    return attrs.evolve(envelope, signature=_digest(envelope, storage_key, secret))


def is_signed(envelope: Envelope, storage_key: str, secrets: Iterable[Secret]) -> bool:
    """Whether one of the secrets signed exactly this envelope for exactly this key.

    Compares in constant time. The algorithm is fixed here, never read from the entry.
    """
    signature = envelope.signature
    if signature is None:
        return False
    return any(
        hmac.compare_digest(signature, _digest(envelope, storage_key, secret)) for secret in secrets
    )
