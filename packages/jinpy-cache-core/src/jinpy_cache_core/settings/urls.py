"""Taking URLs apart so that a password in one is repeated nowhere: not in messages, nor causes."""

import re
from typing import Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from jinpy_cache_core.exceptions import CacheConfigurationError

HIDDEN = "***"
"""What stands for a credential."""

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")

SHORTEST_HIDDEN = 4
"""A piece of a password that is shorter says little, and may be a part of any word."""


def split_url(url: str) -> SplitResult:
    """A URL in its parts, with its query known to be readable.

    Raises:
        CacheConfigurationError: It is no URL; nothing of it is repeated, and no other error, which
            might, is its cause or context.
    """
    parts = _parts(url)
    if parts is None:
        message = (
            "the URL cannot be taken apart. If its user or password holds one of the characters "
            "@:/?#[]% or one that merely looks like them, write it percent-encoded; check the port "
            "and the query, too."
        )
        raise CacheConfigurationError(message)
    return parts


def query_of(parts: SplitResult) -> dict[str, str]:
    """The parameters of a URL's query by name."""
    return dict(parse_qsl(parts.query, keep_blank_values=True))


def without_credentials(text: str, url: str) -> str:
    """A text about a URL with `***` in the place of the URL's user and password.

    Args:
        text: What is said.
        url: The URL; it need not be one that can be taken apart.
    """
    _, _, rest = url.partition("://")
    credentials, at, _ = rest.rpartition("@")
    if not at:
        return text
    _, _, password = credentials.partition(":")
    pieces = {credentials, password, *re.split(r"[:/?#&=@]", credentials)}
    pieces |= set(map(unquote, pieces))
    pieces |= {repr(piece)[1:-1] for piece in pieces}
    for secret in sorted(pieces, key=len, reverse=True):
        if len(secret) >= SHORTEST_HIDDEN or secret == password != "":
            text = text.replace(secret, HIDDEN)
    return text


def _parts(url: str) -> SplitResult | None:
    if _CONTROL.search(url):  # some are passed over in silence when a URL is split
        return None
    try:
        parts = urlsplit(url)
        parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        _ = parts.port  # is read from the text when it is asked for, and may be none
    except ValueError:
        return None
    # Behind the host an @ can only be that of a password which holds a raw separator.
    return None if "@" in parts.query + parts.fragment else parts
