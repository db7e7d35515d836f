"""What an operation answers when its store cannot: for `mapped_errors(miss=...)`.

Each takes the arguments of the operation, `self` first. A read answers a miss, a write does
nothing; the failure of a removal is never hidden.
"""

from collections.abc import Callable, Iterable
from typing import Any

from jinpy_cache_core.backend.errors import REFUSES
from jinpy_cache_core.entries.ttl import TTL
from jinpy_cache_core.exceptions import CacheException


def answers(value: object) -> Callable[..., Any]:
    """Always the same."""
    return lambda *_args, **_kwargs: value


def given_default(_cache: Any, _key: str, default: object = None, **_: Any) -> object:
    """A miss of one key."""
    return default


def all_missed(
    _cache: Any, wanted: Iterable[str], default: object = None, *_: Any
) -> dict[str, object]:
    """A miss of every key."""
    return dict.fromkeys(wanted, default)


def unset(cache: Any, _key: str, _value: object, ttl: TTL = None) -> Any:
    """`set` did nothing, unless its ttl makes it a removal."""
    return None if _stores(cache, ttl) else REFUSES


def none_set(cache: Any, _items: Any, ttl: TTL = None) -> Any:
    """`set_many` did nothing, unless its ttl makes it a removal."""
    return None if _stores(cache, ttl) else REFUSES


def untouched(cache: Any, _key: str, ttl: TTL) -> Any:
    """`touch` found nothing, unless its ttl makes it a removal."""
    return False if _stores(cache, ttl) else REFUSES


def _stores(cache: Any, ttl: TTL) -> bool:
    try:
        return bool(cache._seconds(ttl))
    except CacheException:  # the ttl is what was wrong
        return False
