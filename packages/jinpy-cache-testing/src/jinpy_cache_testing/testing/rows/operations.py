"""The operations as a table, for rows that hold for every one of them."""

from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeAlias

from jinpy_cache_core.interfaces import CacheInterface

P = ParamSpec("P")

Keyed: TypeAlias = Callable[[CacheInterface, Any, Any], object]
"""Do one operation on a cache with a key and a value."""

WRITING: Mapping[str, Keyed] = {
    "set": lambda cache, key, value: cache.set(key, value),
    "add": lambda cache, key, value: cache.add(key, value),
    "set_many": lambda cache, key, value: cache.set_many({key: value}),
}
"""What stores a value under a key."""

KEYED: Mapping[str, Keyed] = {
    **WRITING,
    "get": lambda cache, key, _: cache.get(key),
    "delete": lambda cache, key, _: cache.delete(key),
    "pop": lambda cache, key, _: cache.pop(key),
    "exists": lambda cache, key, _: cache.exists(key),
    "get_many": lambda cache, key, _: cache.get_many([key]),
    "delete_many": lambda cache, key, _: cache.delete_many([key]),
    "incr": lambda cache, key, _: cache.incr(key),
    "decr": lambda cache, key, _: cache.decr(key),
    "ttl": lambda cache, key, _: cache.ttl(key),
    "touch": lambda cache, key, _: cache.touch(key, 60),
}
"""What takes a key."""

EVERY: Mapping[str, Keyed] = {
    **KEYED,
    "scan": lambda cache, _key, _value: list(cache.scan()),
    "clear": lambda cache, _key, _value: cache.clear(),
    "get_many of nothing": lambda cache, _key, _value: cache.get_many([]),
    "set_many of nothing": lambda cache, _key, _value: cache.set_many({}),
    "delete_many of nothing": lambda cache, _key, _value: cache.delete_many([]),
}
"""What a closed cache refuses: all but `close` and `is_healthy`."""

TIMED: Mapping[str, Callable[[CacheInterface, str, Any, Any], object]] = {
    "set": lambda cache, key, value, ttl: cache.set(key, value, ttl),
    "add": lambda cache, key, value, ttl: cache.add(key, value, ttl),
    "set_many": lambda cache, key, value, ttl: cache.set_many({key: value}, ttl),
    "incr": lambda cache, key, _, ttl: cache.incr(key, 1, ttl),
    "decr": lambda cache, key, _, ttl: cache.decr(key, 1, ttl),
    "touch": lambda cache, key, _, ttl: cache.touch(key, ttl),
}
"""What takes a ttl."""


def outcome(call: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> object:
    """What a call returned, or the type of the error it raised."""
    try:
        return call(*args, **kwargs)
    except Exception as error:  # noqa: BLE001 - the row that asks compares the type
        return type(error)
