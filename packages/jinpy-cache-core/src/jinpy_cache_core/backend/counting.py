"""Hits and misses, counted for who asks: the reads of an instance are wrapped, or untouched."""

from abc import ABCMeta
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from jinpy_cache_core.sentinels import MISSING

if TYPE_CHECKING:
    from jinpy_cache_core.backend.loading import LoadingOperations


class CountingReads(ABCMeta):
    """Wraps the reads of a backend that is to count them, once it is complete."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:  # noqa: D102 - see the class
        backend = super().__call__(*args, **kwargs)
        if backend.config.statistics:
            count_reads(backend)
        return backend


def count_reads(backend: "LoadingOperations") -> None:
    """Wrap the reads of this instance so that hits and misses are counted."""
    add = backend._plans.counters.add
    get, get_many = backend.get, backend.get_many
    aget, aget_many = backend.aget, backend.aget_many

    def seen(value: object, default: object) -> Any:
        found = value is not MISSING
        add("hits" if found else "misses")
        return value if found else default

    def seen_many(values: dict[str, Any], default: object) -> dict[str, Any]:
        return {key: seen(value, default) for key, value in values.items()}

    def counted_get(key: str, default: object = None, *, type: Any = None) -> Any:
        return seen(get(key, MISSING, type=type), default)

    def counted_get_many(keys: Iterable[str], default: object = None) -> dict[str, Any]:
        return seen_many(get_many(keys, MISSING), default)

    async def counted_aget(key: str, default: object = None, *, type: Any = None) -> Any:
        return seen(await aget(key, MISSING, type=type), default)

    async def counted_aget_many(keys: Iterable[str], default: object = None) -> dict[str, Any]:
        return seen_many(await aget_many(keys, MISSING), default)

    vars(backend).update(get=counted_get, get_many=counted_get_many)
    own = {"aget": counted_aget, "aget_many": counted_aget_many}
    vars(backend).update({name: own[name] for name in backend._own_areads})
