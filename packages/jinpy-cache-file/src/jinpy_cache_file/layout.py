"""How entries lie in the LMDB store: keys, records and what they are charged, as pure functions.

One tree holds everything. The first byte of a key says what it is, the namespace follows and ends
at the first colon, which no namespace contains:

    e{namespace}:{key}           an entry: its record
    l{namespace}:{start}{hash}   an entry whose key is too long for LMDB: its record begins with it
    o{namespace}:{sequence}      the order of insertion: the entry's tree key
    o{namespace}:{nine 0xFF}     the ledger of the namespace, on the page that an insertion changes
    x{namespace}:{when}{seq}     the expiry index: the entry's tree key
    f{name}                      the value files: whose they are
    m                            what this store is, and which version of it

A record is 30 bytes of head, then the payload, or a reference to the file that holds it. The head's
checksum is taken over the tree key too, so a record is never taken for another key's. It leaves out
only the first byte, the mark of use, whose corruption would cost nothing but an eviction.
"""

import struct
from hashlib import sha256
from math import inf
from typing import Final, TypeAlias
from zlib import crc32

import attrs

ENTRY: Final = b"e"
LONG_ENTRY: Final = b"l"
ORDER: Final = b"o"
EXPIRY: Final = b"x"
FILE: Final = b"f"
FORMAT_KEY: Final = b"m"

_NAME: Final = b"jinpy-cache-file 1"

FORMAT: Final = b"%b %08x" % (_NAME, crc32(_NAME))
"""What `FORMAT_KEY` holds in a store of this version; checked, as it decides about all the rest."""

MAX_TREE_KEY: Final = 511
"""The longest key that LMDB takes, in bytes."""

INLINE: Final = 0x10
"""The kind of a record that holds its payload; the high four bits are the record's version."""

IN_FILE: Final = 0x11
"""The kind of a record that holds a `Reference`."""

LAYERED: Final = 0x02
"""Set in the kind of a record whose payload has the layers of `jinpy_cache_core.entries.state`.

Such a record holds a lease, or a value that may be stale before it expires, so that no short way
may take its payload for a value.
"""

_OUTSIDE: Final = INLINE ^ IN_FILE

HEAD: Final = struct.Struct("<BIBddQ")
"""Mark of use, checksum, kind, deadline, when the expiry index has it, sequence."""

LOOK: Final = struct.Struct("<BIBd")
"""As much of the head as a read needs: mark of use, checksum, kind, deadline."""

SEAL: Final = struct.Struct("<BI")
"""What precedes the part of a record that the checksum is taken over: mark of use, checksum."""

_CHECKED: Final = struct.Struct("<BddQ")
_REFERENCE: Final = struct.Struct("<BQ16s32s")
_SEQUENCE: Final = struct.Struct(">Q")
_KEY_SIZE: Final = struct.Struct("<H")
_MOMENT: Final = struct.Struct(">d")

HEAD_SIZE: Final = HEAD.size
CHECKED_FROM: Final = SEAL.size

_REFERENCE_MARK: Final = 0x00
"""Never the first byte of a number, so that a counter operation refuses a value in a file, nor of
an envelope, so that a reference is not taken for one."""

_OVERFLOW_FROM: Final = 2000
"""LMDB gives a record of about this many bytes pages of its own."""

_PAGE: Final = 4096


Head: TypeAlias = tuple[int, int, int, float, float, int]
"""A record's head, in the order of `HEAD`."""


@attrs.frozen(slots=True)
class Reference:
    """Where a large payload is: in a file whose name proves its content and its owner.

    Attributes:
        size: Of the payload, in bytes.
        nonce: Sixteen random bytes, so that no two writes share a file.
        digest: SHA-256 of nonce, tree key and payload; in hexadecimal, the file's stem.
        extension: The end of the file's name, as configured when it was written.
    """

    size: int
    nonce: bytes
    digest: bytes
    extension: str

    @classmethod
    def to(cls, payload: bytes, tree_key: bytes, nonce: bytes, extension: str) -> "Reference":
        """The reference to a payload that is about to be written."""
        return cls(len(payload), nonce, content_digest(nonce, tree_key, payload), extension)

    @property
    def name(self) -> str:
        """The file's name: 64 lower-case hexadecimal digits and the extension."""
        return self.digest.hex() + self.extension

    def pack(self) -> bytes:
        """The reference as a record's body."""
        fixed = _REFERENCE.pack(_REFERENCE_MARK, self.size, self.nonce, self.digest)
        return fixed + self.extension.encode()

    @classmethod
    def unpack(cls, body: bytes) -> "Reference":
        """The reference in a record's body, which the record's checksum vouches for."""
        _mark, size, nonce, digest = _REFERENCE.unpack_from(body)
        return cls(size, nonce, digest, body[_REFERENCE.size :].decode())

    def proves(self, tree_key: bytes, payload: bytes) -> bool:
        """Whether this is the payload that was stored under this key."""
        return content_digest(self.nonce, tree_key, payload) == self.digest


def content_digest(nonce: bytes, tree_key: bytes, payload: bytes) -> bytes:
    """What a value file is named after."""
    digest = sha256(nonce)
    digest.update(_KEY_SIZE.pack(len(tree_key)))
    digest.update(tree_key)
    digest.update(payload)
    return digest.digest()


class Space:
    """The part of the tree that belongs to one namespace."""

    __slots__ = ("_start_size", "entries", "expiry", "ledger", "long_entries", "order")

    def __init__(self, namespace: str) -> None:
        name = namespace.encode() + b":"
        self.entries = ENTRY + name
        self.long_entries = LONG_ENTRY + name
        self.order = ORDER + name
        self.expiry = EXPIRY + name
        self.ledger = self.order + b"\xff" * 9
        self._start_size = MAX_TREE_KEY - len(self.long_entries) - 32

    def tree_key(self, key: str) -> bytes:
        """Where a key's record is; no two keys share a place."""
        tree_key = self.entries + key.encode()
        return tree_key if len(tree_key) <= MAX_TREE_KEY else self._long_tree_key(key.encode())

    def _long_tree_key(self, key: bytes) -> bytes:
        return self.long_entries + key[: self._start_size] + sha256(key).digest()

    def is_long(self, tree_key: bytes) -> bool:
        """Whether the record at this place begins with its key."""
        return tree_key.startswith(LONG_ENTRY)

    def key_prefix(self, tree_key: bytes, key: str) -> bytes:
        """What precedes the body of a record: the whole key where the tree key is cut."""
        if not self.is_long(tree_key):
            return b""
        raw = key.encode()
        return _KEY_SIZE.pack(len(raw)) + raw

    def starts(self, prefix: bytes) -> tuple[bytes, bytes]:
        """The beginnings of the tree keys of all keys that begin with a prefix."""
        return self.entries + prefix, self.long_entries + prefix[: self._start_size]

    def key_of(self, tree_key: bytes, record: bytes) -> str | None:
        """The key of a record, or `None` if it is no record of this place."""
        try:
            if not self.is_long(tree_key):
                return tree_key[len(self.entries) :].decode()
            key = long_key(record)
            return key.decode() if key and self._long_tree_key(key) == tree_key else None
        except UnicodeDecodeError:
            return None

    def order_key(self, sequence: int) -> bytes:
        """Where the order of insertion names the entry of a sequence number."""
        return self.order + _SEQUENCE.pack(sequence)

    def order_sequence(self, order_key: bytes) -> int:
        """Undo `order_key`."""
        return int.from_bytes(order_key[len(self.order) :], "big")

    def expiry_key(self, when: float, sequence: int) -> bytes:
        """Where the expiry index names the entry; sorted by `when`, which is not negative."""
        return self.expiry + _MOMENT.pack(when) + _SEQUENCE.pack(sequence)

    def expiry_moment(self, expiry_key: bytes) -> float:
        """When an expiry key is due."""
        start = len(self.expiry)
        return float(_MOMENT.unpack(expiry_key[start : start + 8])[0])


def long_key(record: bytes) -> bytes | None:
    """The key that a long entry's record begins with, or `None` if it is cut."""
    if len(record) < HEAD_SIZE + 2:
        return None
    (size,) = _KEY_SIZE.unpack_from(record, HEAD_SIZE)
    key = record[HEAD_SIZE + 2 : HEAD_SIZE + 2 + size]
    return key if len(key) == size else None


def reference_of(tree_key: bytes, record: bytes) -> Reference:
    """The reference that a sound record holds whose value is in a file."""
    return Reference.unpack(record[body_start(tree_key, record) :])


def body_start(tree_key: bytes, record: bytes) -> int:
    """Where the body of a sound record begins."""
    if not tree_key.startswith(LONG_ENTRY):
        return HEAD_SIZE
    return HEAD_SIZE + 2 + int(_KEY_SIZE.unpack_from(record, HEAD_SIZE)[0])


def pack_record(
    tree_key: bytes,
    body: bytes,
    used: int,
    kind: int,
    deadline: float,
    indexed: float,
    sequence: int,
) -> bytes:
    """A whole record; `body` includes what `Space.key_prefix` wants before it."""
    checked = _CHECKED.pack(kind, deadline, indexed, sequence) + body
    return SEAL.pack(used, crc32(checked, crc32(tree_key))) + checked


def unpack_head(tree_key: bytes, record: bytes) -> Head | None:
    """The head of a record, or `None` if the record is damaged or of another format.

    A deadline that is not a number or not positive is damage: it must not make an entry immortal.
    """
    if len(record) < HEAD_SIZE:
        return None
    head: Head = HEAD.unpack_from(record)
    if head[1] != crc32(record[CHECKED_FROM:], crc32(tree_key)):
        return None
    return head if INLINE <= head[2] <= IN_FILE | LAYERED and 0 < head[3] <= inf else None


def is_in_file(kind: int) -> bool:
    """Whether a record of this kind holds a `Reference`."""
    return bool(kind & _OUTSIDE)


def is_foreign(record: bytes) -> bool:
    """Whether a record names a version of this format that is not ours: left for its writer."""
    return len(record) > CHECKED_FROM and record[CHECKED_FROM] >> 4 != INLINE >> 4


def is_format(found: bytes) -> bool:
    """Whether this was written as a `FORMAT`, be it by another release."""
    name, _, checksum = found.rpartition(b" ")
    return checksum == b"%08x" % crc32(name)


def charge(tree_key: bytes, record_size: int, *, expires: bool) -> int:
    """What an entry costs the store in bytes, its indexes and half-filled pages included.

    In steps of 64, so that a value that changes its size by little leaves the ledger alone.
    """
    key_size = len(tree_key)
    nodes = key_size + 16 + key_size + 40
    if expires:
        nodes += key_size + 48
    pages = 0
    if record_size > _OVERFLOW_FROM:
        pages = -(-(record_size + 16) // _PAGE) * _PAGE
    else:
        nodes += record_size
    return pages + ((nodes * 3 // 2 + 63) & ~63)


def after(start: bytes) -> bytes:
    """The first tree key that no longer begins with `start`, which ends in a byte below 255."""
    return start[:-1] + bytes([start[-1] + 1])
