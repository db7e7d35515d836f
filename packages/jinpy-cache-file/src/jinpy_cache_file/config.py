"""`FileCacheConfig`: the settings of a cache in a directory."""

import re
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import SplitResult, unquote

import attrs

from jinpy_cache_core import BaseCacheBackendConfig, CacheBackendType, CacheConfigurationError
from jinpy_cache_core.settings import duration, one_of, switch, whole_number
from jinpy_cache_file.directory import default_directory

DEFAULT_MAX_BYTES = 1 << 30
"""One GiB."""

DEFAULT_INLINE_MAX_BYTES = 32 * 1024

_EXTENSION = re.compile(r"\.[A-Za-z0-9_-]{1,15}")
_LONGEST_PATH = 3800


def _to_path(value: "str | Path") -> Path:
    return Path(value).expanduser() if isinstance(value, (str, Path)) else value


def _directory(_instance: Any, attribute: "attrs.Attribute[Any]", value: object) -> None:
    message = ""
    if not isinstance(value, Path):
        message = f"{attribute.name}={value!r:.80} is not allowed: it must be a path."
    elif "\0" in str(value):
        message = f"{attribute.name}={str(value)!r:.80} is not allowed: it holds a null character."
    elif len(str(value)) > _LONGEST_PATH:
        message = (
            f"{attribute.name}={str(value)[:60]!r}... is not allowed: the path has "
            f"{len(str(value)):,} characters, and the limit is {_LONGEST_PATH:,}."
        )
    if message:
        raise CacheConfigurationError(message)


def _extension(_instance: Any, attribute: "attrs.Attribute[Any]", value: object) -> None:
    if not isinstance(value, str) or not _EXTENSION.fullmatch(value):
        message = (
            f"{attribute.name}={value!r:.80} is not allowed: it must be a dot and 1 to 15 of the "
            "characters A-Z, a-z, 0-9, _ and -."
        )
        raise CacheConfigurationError(message)


@attrs.frozen(kw_only=True)
class FileCacheConfig(BaseCacheBackendConfig):
    """The settings of a cache in a directory; immutable, checked when it is made.

    Attributes:
        directory: Where the cache lives; made private if it is missing. By default `jinpy-cache` in
            the user's cache directory (`~/.cache` on Linux). A relative path is taken from the
            working directory once, when the backend is made.
        file_extension: What the names of value files end in.
        max_entries: The most entries held; `None` for no limit but `max_bytes`.
        max_bytes: The most bytes held, keys, indexes and half-filled pages included. It is also the
            size of the memory map, of which the largest among the caches of a directory counts.
        inline_max_bytes: The largest encoded value that is kept in the index; a larger one gets a
            file of its own.
        durability: `"os"` hands each write to the operating system: it survives the death of any
            process, and after a power cut the store is consistent or set aside. `"disk"` waits for
            the platter with every write.
        lock_timeout: Seconds that a write waits for other writers before `CacheTimeoutError`.
        allow_shared_directory: Accept a directory that belongs to somebody else or that others can
            write to. Whoever can write there can read, change and invent entries.
    """

    backend_type: ClassVar[str] = CacheBackendType.FILE

    directory: Path = attrs.field(
        factory=default_directory, converter=_to_path, validator=_directory
    )
    file_extension: str = attrs.field(default=".bin", validator=_extension)
    max_entries: int | None = attrs.field(default=None, validator=whole_number(optional="no limit"))
    max_bytes: int = attrs.field(default=DEFAULT_MAX_BYTES, validator=whole_number())
    inline_max_bytes: int = attrs.field(
        default=DEFAULT_INLINE_MAX_BYTES, validator=whole_number(minimum=0)
    )
    durability: str = attrs.field(default="os", validator=one_of("os", "disk"))
    lock_timeout: float = attrs.field(default=5.0, validator=duration())
    allow_shared_directory: bool = attrs.field(default=False, validator=switch)

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if self.namespace is None:
            message = (
                "namespace=None is not allowed: several caches may share a directory, and clear() "
                "must know which entries are this one's. Leave it out to use the cache's name."
            )
            raise CacheConfigurationError(message)

    @classmethod
    def url_fields(cls, url: SplitResult) -> dict[str, Any]:
        """The directory of a `file:///absolute/path` URL.

        Args:
            url: The URL, split; its query is dealt with by the caller.

        Raises:
            CacheConfigurationError: It names a host.
        """
        if url.netloc not in {"", "localhost"}:
            message = (
                f"file://.../{url.path.lstrip('/')} names a host. Write a directory as "
                "file:///absolute/path, with three slashes."
            )
            raise CacheConfigurationError(message)
        return {"directory": Path(unquote(url.path))} if url.path else {}
