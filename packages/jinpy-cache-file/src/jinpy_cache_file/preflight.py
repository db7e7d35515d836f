"""A look at `data.mdb` before LMDB maps it, because LMDB trusts what it maps.

A store that is shorter than its meta pages say kills the process with SIGBUS on the first read of
a page that is not there. So the meta pages are read here first, as bytes.
"""

import os
import struct
from pathlib import Path
from typing import Final

import attrs
from lmdb import verify

_MAGIC: Final = 0xBEEFC0DE
_DATA_VERSION: Final = 1
_HEADER: Final = struct.Struct("=Q2xH4x")
_META: Final = struct.Struct("=II8xQI44x48xQQ")
_META_FLAG: Final = 0x08
_SMALLEST_PAGE: Final = 256
_LARGEST_PAGE: Final = 32768
_PADDING: Final = 2 * 65536
_LARGEST_PADDED: Final = 1 << 44


@attrs.frozen(slots=True)
class Meta:
    """What one meta page says."""

    page_size: int
    last_page: int
    transaction: int


def problem_of(path: Path, *, thorough: bool = False) -> str | None:
    """Say why a data file must not be opened, or `None` if it may be.

    Args:
        path: A regular file; nobody may be writing to it, if it is walked.
        thorough: Walk every page, about 80 MB a second, instead of the meta pages alone.

    Returns:
        The reason in a few words.
    """
    if not path.stat().st_size:
        return None
    with path.open("rb") as file:
        first = _meta(file.read(_HEADER.size + _META.size), 0)
        if isinstance(first, str):
            return first
        file.seek(first.page_size)
        second = _meta(file.read(_HEADER.size + _META.size), 1)
        if isinstance(second, str):
            return second
        # After the meta pages: a store in use grows before they say so.
        size = os.fstat(file.fileno()).st_size
    if first.page_size != second.page_size:
        return "its meta pages disagree on the page size"
    current = second if first.transaction < second.transaction else first
    expected = (current.last_page + 1) * current.page_size
    if size < expected:
        # Free pages at the end may never have been written; anything else is a cut file.
        return _walk(path) and f"it has {size:,} of {expected:,} bytes"
    return _walk(path) if thorough else None


def pad(descriptor: int) -> None:
    """Let a data file end in a hole, so that a damaged page cannot lead beyond its end.

    LMDB checks the numbers of pages, but not where a page says that its nodes begin: up to 64 KiB
    further on. In a hole it finds zeros; beyond the end, SIGBUS.
    """
    raw = os.pread(descriptor, 2 * _LARGEST_PAGE, 0)
    first = _meta(raw, 0)
    if isinstance(first, str):
        return  # a new file; it has no pages to be damaged
    second = _meta(raw[first.page_size :], 1)
    metas = [meta for meta in (first, second) if isinstance(meta, Meta)]
    end = max((meta.last_page + 1) * meta.page_size for meta in metas) + _PADDING
    if os.fstat(descriptor).st_size < end <= _LARGEST_PADDED:
        os.ftruncate(descriptor, end)


def _meta(raw: bytes, number: int) -> Meta | str:
    if len(raw) < _HEADER.size + _META.size:
        return f"it ends within meta page {number}"
    page, flags = _HEADER.unpack_from(raw)
    magic, version, _map_size, page_size, last_page, transaction = _META.unpack_from(
        raw, _HEADER.size
    )
    if magic != _MAGIC or not flags & _META_FLAG or page != number:
        return f"its page {number} is not a meta page"
    if version != _DATA_VERSION:
        return f"its format is version {version}, not {_DATA_VERSION}"
    if page_size & (page_size - 1) or not _SMALLEST_PAGE <= page_size <= _LARGEST_PAGE:
        return f"its page size of {page_size:,} is none"
    return Meta(page_size, last_page, transaction)


def _walk(path: Path) -> str | None:
    try:
        problems: list[str] = verify.verify(str(path), subdir=False)  # type: ignore[no-untyped-call]
    except (verify.VerifyError, ValueError, IndexError, OverflowError, struct.error) as error:
        return str(error)
    return "; ".join(problems[:3]) or None
