"""`encryption=`: AES-256-GCM, bound to all that gives an entry its meaning.

As with signatures, that is the key and namespace, the serializer and its version, the kind of store
and the envelope: they are the associated data, so an entry that was moved, or whose envelope was
changed, is refused. The key of the cipher is derived from the secret, and each entry names the
secret that it was encrypted with by four bytes of a digest.

Each entry has a random nonce of 96 bits. One secret is good for some four thousand million entries;
change it well before, by putting a new one in front of the list.
"""

import hmac
import os
from collections.abc import Iterable
from importlib import import_module
from typing import Any, Final

import attrs

from jinpy_cache_core.codec.signing import Binding
from jinpy_cache_core.entries.envelope import Encryption, Envelope
from jinpy_cache_core.exceptions import CacheConfigurationError, CacheSerializationError
from jinpy_cache_core.secret import Secret

SHORTEST: Final = 32
"""Bytes of a secret at least: a passphrase that can be remembered can be guessed."""

_CIPHER_KEY: Final = b"jinpy-cache aes-256-gcm 1"
_KEY_NUMBER: Final = b"jinpy-cache key number 1"
_NUMBER_SIZE: Final = 4
_NONCE_SIZE: Final = 12


def _cipher() -> Any:
    try:
        return import_module("cryptography.hazmat.primitives.ciphers.aead").AESGCM
    except ImportError as error:
        message = "encryption= needs a library: pip install 'jinpy-cache-core[crypto]'"
        raise CacheConfigurationError(message) from error


class Encryptor:
    """Encrypts and decrypts the payloads of one cache; shows none of its secrets.

    Args:
        secrets: The first encrypts, any decrypts.

    Raises:
        CacheConfigurationError: One is too short, two have the same number, or the library is
            missing.
    """

    __slots__ = ("_ciphers", "_current")

    def __init__(self, secrets: Iterable[Secret]) -> None:
        make = _cipher()
        self._ciphers: dict[bytes, Any] = {}
        numbers: list[bytes] = []
        for secret in secrets:
            content = secret.reveal_bytes()
            if len(content) < SHORTEST:
                message = (
                    f"A secret of encryption= has {len(content)} bytes; it takes at least "
                    f"{SHORTEST}, such as those of secrets.token_urlsafe(32)."
                )
                raise CacheConfigurationError(message)
            number = hmac.digest(content, _KEY_NUMBER, "sha256")[:_NUMBER_SIZE]
            numbers.append(number)
            self._ciphers[number] = make(hmac.digest(content, _CIPHER_KEY, "sha256"))
        if len(self._ciphers) < len(numbers):
            message = "encryption= lists a secret twice."
            raise CacheConfigurationError(message)
        self._current = numbers[0]

    def sealed(self, envelope: Envelope, storage_key: str, binding: Binding) -> Envelope:
        """The envelope with its payload encrypted."""
        nonce = os.urandom(_NONCE_SIZE)
        head = attrs.evolve(envelope, payload=b"", encryption=Encryption(self._current, nonce))
        bound = binding.content(storage_key, head.pack())
        payload: bytes = self._ciphers[self._current].encrypt(nonce, envelope.payload, bound)
        return attrs.evolve(head, payload=payload)

    def opened(self, envelope: Envelope, storage_key: str, binding: Binding) -> Envelope:
        """The envelope with its payload decrypted.

        Raises:
            CacheSerializationError: It is not encrypted, by none of the secrets, or not for this
                key, serializer, kind of store and envelope.
        """
        encryption = envelope.encryption
        if encryption is None:
            raise not_encrypted()
        cipher = self._ciphers.get(encryption.number)
        if cipher is None:
            message = (
                "The stored entry was encrypted with a secret that is not configured. If it was "
                "changed, keep the old one in the list until its entries have expired."
            )
            raise CacheSerializationError(message)
        head = attrs.evolve(envelope, payload=b"", signature=None)
        bound = binding.content(storage_key, head.pack())
        try:
            payload: bytes = cipher.decrypt(encryption.nonce, envelope.payload, bound)
        except Exception:  # noqa: BLE001 - InvalidTag, and what a forged length may bring
            payload = b""
            failed = True
        else:
            failed = False
        if failed:
            message = (
                "The stored entry was refused: it was changed, cut, or encrypted for another key, "
                "serializer or kind of store. Delete or overwrite the key."
            )
            raise CacheSerializationError(message)
        return attrs.evolve(envelope, payload=payload)

    def __repr__(self) -> str:
        return f"<Encryptor secrets={len(self._ciphers)}>"


def not_encrypted() -> CacheSerializationError:
    """The error for what is stored in clear where everything is encrypted."""
    message = (
        "The stored entry was refused before decoding: it is not encrypted, and encryption= is "
        "configured. Delete or overwrite the key."
    )
    return CacheSerializationError(message)
