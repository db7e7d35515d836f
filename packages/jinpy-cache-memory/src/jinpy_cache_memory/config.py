"""`MemoryCacheConfig`: the settings of an in-process cache."""

from typing import Any, ClassVar

import attrs

from jinpy_cache_core import BaseCacheBackendConfig, CacheBackendType, CacheConfigurationError
from jinpy_cache_core.backend import Codec
from jinpy_cache_core.serializers import SerializerSpec
from jinpy_cache_core.settings import one_of, switch, whole_number
from jinpy_cache_memory.eviction.names import DEFAULT_POLICY, POLICIES
from jinpy_cache_memory.listeners import EvictionListener, Weigher


def _callable(_instance: Any, attribute: "attrs.Attribute[Any]", value: object) -> None:
    if value is not None and not callable(value):
        message = f"{attribute.name}={value!r:.80} is not allowed: it must be a function, or None."
        raise CacheConfigurationError(message)


@attrs.frozen(kw_only=True)
class MemoryCacheConfig(BaseCacheBackendConfig):
    """The settings of an in-process cache; immutable, checked when it is made.

    Attributes:
        serializer: `"native"` keeps immutable values as they are and copies the rest; `None` keeps
            references, fastest, for who never changes a cached value; or as for every backend.
        portable: Take and refuse exactly the values that file and Redis do, with the same words, so
            that what works here works there: for tests and laptops. Values are then encoded as
            there, by `"msgpack"` unless another serializer of theirs is named.
        max_entries: The most entries held; `None` for no limit, which must be asked for.
        max_bytes: The most weight held, in bytes; `None` for no limit.
        weigher: Tells how many bytes an entry weighs, given its key and its value; by default what
            the key and the stored form take in memory. Needs `max_bytes`.
        eviction: Which entry goes when the cache is full: `"adaptive"` learns what the application
            reads again, `"lru"`, `"lfu"`, `"fifo"` and the others do what they are known for.
        eviction_listener: Called with key, value and `EvictionCause` after a value was dropped.
    """

    backend_type: ClassVar[str] = CacheBackendType.MEMORY.value
    shared_store: ClassVar[bool] = False

    serializer: SerializerSpec = attrs.field(default="native")
    portable: bool = attrs.field(default=False, validator=switch)
    max_entries: int | None = attrs.field(
        default=100_000, validator=whole_number(optional="no limit")
    )
    max_bytes: int | None = attrs.field(default=None, validator=whole_number(optional="no limit"))
    weigher: Weigher | None = attrs.field(default=None, validator=_callable)
    eviction: str = attrs.field(default=DEFAULT_POLICY, validator=one_of(*POLICIES))
    eviction_listener: EvictionListener | None = attrs.field(default=None, validator=_callable)

    def __attrs_post_init__(self) -> None:
        if self.portable is True:
            self._check_portable()
        super().__attrs_post_init__()
        if self.weigher is not None and self.max_bytes is None:
            message = "weigher weighs against max_bytes, which is None: give both, or neither."
            raise CacheConfigurationError(message)
        if self.serializer is None and self.max_value_bytes is not None:
            message = (
                "serializer=None keeps references, whose size max_value_bytes cannot measure: "
                "choose a serializer, or limit the cache with max_bytes and a weigher."
            )
            raise CacheConfigurationError(message)

    def _check_portable(self) -> None:
        """Take the serializer of a shared store instead of the default one of this store."""
        if self.serializer is None:
            message = (
                "portable=True refuses what shared stores refuse, and serializer=None keeps "
                "everything: leave one of the two out."
            )
            raise CacheConfigurationError(message)
        if self.serializer == "native":
            object.__setattr__(self, "serializer", "msgpack")
        Codec.from_settings(
            self.serializer,
            secret=self.secret,
            allow_unsigned_pickle=self.allow_unsigned_pickle,
        )
