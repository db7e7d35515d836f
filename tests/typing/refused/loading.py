"""Misuse of `@cached` and `get_or_set`."""

from jinpy_utils.cache import Cache, cached


@cached(ttl=60)
def plain(user_id: int) -> str:
    """A function."""
    return str(user_id)


def misuse(cache: Cache) -> None:
    """Wrong arguments are refused where they are written."""
    plain("1")  # E
    plain.invalidate()  # E
    plain.refresh(name=1)  # E
    cache.get_or_set("key", 1)  # E
    cache.get_or_set("key", lambda: 1, graze=1)  # E
