"""`compression="zstd"`: payloads made smaller where that gains, and made whole again within bounds.

Bytes in a shared store may be forged. The size that an entry announces is checked before anything
is allocated, the decompressor is given that size as its limit and a bounded window, and a small
frame that becomes something huge is refused. A payload that would break one of these rules is not
compressed when it is written.

Small values that are alike gain by a dictionary, which is trained from samples of them and kept
beside the data. A frame names its dictionary by a number; one that is not known here is fetched,
and until then the entry reads as a miss.
"""

from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any, Final, Never

import attrs

from jinpy_cache_core.entries.envelope import Compression, Envelope, NewerEnvelopeError
from jinpy_cache_core.exceptions import (
    CacheConfigurationError,
    CacheSerializationError,
    CacheValueError,
)

ZSTD: Final = 1
"""The number of the codec in envelopes."""

DEFAULT_THRESHOLD: Final = 512
"""Bytes below which a payload is left as it is, without a dictionary."""

DICTIONARY_THRESHOLD: Final = 32
"""The same with one."""

FREE_SIZE: Final = 16 * 2**20
"""Bytes that any frame may become."""

MOST_GAIN: Final = 100
"""How many times its own bytes a frame may become beyond that."""

_LEVEL: Final = 3
_WINDOW_LOG: Final = 23
"""8 MiB: more than this level ever uses."""

DICTIONARY_SIZE: Final = 8 * 1024
"""Bytes of a dictionary, if not said otherwise."""

DICTIONARY_KEY: Final = "\x00zstd dictionary "
"""What the keys begin with under which dictionaries are stored, followed by their number."""


def zstd_library() -> Any:
    """The standard library's module from Python 3.14, or its backport.

    Raises:
        CacheConfigurationError: There is neither.
    """
    for name in ("compression.zstd", "backports.zstd"):
        try:
            return import_module(name)
        except ImportError:
            continue
    message = (
        "compression='zstd' needs Python 3.14, or the backport: "
        "pip install 'jinpy-cache-core[zstd]'"
    )
    raise CacheConfigurationError(message)


@attrs.define(eq=False)
class Dictionaries:
    """The dictionaries of one cache that this process knows; replaced whole, so no lock is needed.

    Attributes:
        fetch: Looks for a dictionary beside the data, by its number.
    """

    fetch: Callable[[int], bytes | None] | None = None
    _known: dict[int, Any] = attrs.Factory(dict[int, Any])
    _current: int | None = None

    @property
    def current(self) -> Any:
        """What to compress with; `None` for no dictionary."""
        return None if self._current is None else self._known[self._current]

    def learn(self, content: bytes, *, use: bool = True) -> int:
        """Know a dictionary, and compress with it.

        Returns:
            Its number.

        Raises:
            CacheSerializationError: The bytes are no dictionary.
        """
        library = zstd_library()
        try:
            dictionary = library.ZstdDict(content)
        except (ValueError, library.ZstdError) as error:
            message = "The stored zstd dictionary is damaged: train a new one."
            raise CacheSerializationError(message) from error
        number: int = dictionary.dict_id
        self._known = {**self._known, number: dictionary}
        if use:
            self._current = number
        return number

    def numbered(self, number: int) -> Any:
        """The dictionary with this number; one that was fetched is then used for writing too.

        Raises:
            NewerEnvelopeError: It is not here: the entry is a miss.
        """
        if number not in self._known and self.fetch is not None:
            content = self.fetch(number)
            if content is not None and self.learn(content, use=False) == number:
                self._current = number
        dictionary = self._known.get(number)
        if dictionary is None:
            message = (
                f"The stored entry was compressed with dictionary {number:08x}, which is not "
                "beside the data. It reads as a miss."
            )
            raise NewerEnvelopeError(message)
        return dictionary


def trained(samples: Iterable[bytes], size: int) -> bytes:
    """A dictionary for payloads like these.

    Raises:
        CacheValueError: There are too few of them, or they have nothing in common.
    """
    library = zstd_library()
    try:
        content: bytes = library.train_dict(list(samples), size).dict_content
    except (ValueError, library.ZstdError) as error:
        message = (
            f"No dictionary can be trained from these samples ({error}): give a few hundred values "
            "that are alike."
        )
        raise CacheValueError(message) from error
    return content


class Compressor:
    """Compresses payloads and makes them whole again.

    Args:
        threshold: Bytes below which a payload is left as it is; `None` for the default.
        limit: The most bytes of a payload before compression.
        dictionaries: Those of this cache.
    """

    __slots__ = ("_dictionaries", "_library", "_limit", "_options", "_threshold")

    def __init__(self, threshold: int | None, limit: int, dictionaries: Dictionaries) -> None:
        self._library = zstd_library()
        self._threshold = threshold
        self._limit = limit
        self._dictionaries = dictionaries
        self._options = {self._library.DecompressionParameter.window_log_max: _WINDOW_LOG}

    def compressed(self, payload: bytes) -> Envelope | None:
        """The payload in an envelope, if that is smaller; `None` if it is better left as it is."""
        dictionary = self._dictionaries.current
        threshold = self._threshold
        if threshold is None:
            threshold = DEFAULT_THRESHOLD if dictionary is None else DICTIONARY_THRESHOLD
        size = len(payload)
        if size < threshold or size > 0xFFFF_FFFF:
            return None
        frame: bytes = self._library.compress(payload, _LEVEL, zstd_dict=dictionary)
        if not _may_become(len(frame), size):
            return None
        envelope = Envelope(payload=frame, compression=Compression(ZSTD, size))
        return envelope if len(frame) + _OVERHEAD < size else None

    def restored(self, envelope: Envelope, compression: Compression) -> bytes:
        """The payload before compression.

        Raises:
            NewerEnvelopeError: Its codec or its dictionary is not known here.
            CacheSerializationError: It is damaged, or larger than allowed.
        """
        if compression.codec != ZSTD:
            raise unknown_codec(compression)
        frame, size = envelope.payload, compression.size
        if size > self._limit:
            message = (
                f"The stored entry announces {size:,} bytes after decompression, and "
                f"max_value_bytes={self._limit:,}. Nothing was decompressed."
            )
            raise CacheSerializationError(message)
        if not _may_become(len(frame), size):
            _damaged(f"{len(frame):,} bytes that announce {size:,}")
        library = self._library
        try:
            number: int = library.get_frame_info(frame).dictionary_id
            dictionary = self._dictionaries.numbered(number) if number else None
            decompressor = library.ZstdDecompressor(dictionary, self._options)
            payload: bytes = decompressor.decompress(frame, size + 1)
        except library.ZstdError as error:
            _damaged(str(error))
        if len(payload) != size or not decompressor.eof or decompressor.unused_data:
            _damaged("it holds another number of bytes than it announces")
        return payload


_OVERHEAD: Final = len(Envelope(payload=b"", compression=Compression(ZSTD, 1)).pack())


def _may_become(frame: int, size: int) -> bool:
    return size <= FREE_SIZE or size <= frame * MOST_GAIN


def unknown_codec(compression: Compression) -> NewerEnvelopeError:
    """The error for an entry that cannot be decompressed as this cache is configured."""
    if compression.codec == ZSTD:
        message = (
            "The stored entry is compressed with zstd, and this cache is configured without: it "
            "reads as a miss. Set compression='zstd'."
        )
        return NewerEnvelopeError(message)
    message = (
        f"The stored entry is compressed with codec {compression.codec}, which this release does "
        "not know. It reads as a miss until this program is upgraded."
    )
    return NewerEnvelopeError(message)


def _damaged(reason: str) -> Never:
    message = (
        f"The stored entry's compressed payload is damaged: {reason}. Delete or overwrite the key."
    )
    raise CacheSerializationError(message)
