"""`BaseCacheBackendConfig`: the settings that every backend has, and how they are checked."""

from typing import Any, ClassVar, Self
from urllib.parse import SplitResult, unquote

import attrs

from jinpy_cache_core.codec.codec import Codec
from jinpy_cache_core.exceptions import CacheConfigurationError
from jinpy_cache_core.loading.options import NO_OPTIONS, EntryOptions, to_options
from jinpy_cache_core.secret import Secret
from jinpy_cache_core.serializers import SerializerSpec
from jinpy_cache_core.settings.structuring import KnownKeywords
from jinpy_cache_core.settings.validation import (
    backend_name,
    lifetime,
    one_of,
    optional_namespace,
    switch,
    to_seconds,
    to_secrets,
    whole_number,
)


def _own_type(config: "BaseCacheBackendConfig") -> str:
    return str(config.backend_type)


def _own_name(config: "BaseCacheBackendConfig") -> str:
    return config.name


@attrs.frozen(kw_only=True)
class BaseCacheBackendConfig(KnownKeywords):
    """What every backend is configured with; immutable, checked when it is made.

    A backend's author subclasses it with `@attrs.frozen(kw_only=True)`, names the `backend_type`
    and adds fields. Each field's validator should come from `jinpy_cache_core.settings` or raise
    `CacheConfigurationError` likewise.

    Attributes:
        name: What the backend is called in a manager, in errors and in logs; by default its type.
        default_ttl: Seconds, or a `timedelta`, that an entry lives when `ttl` is not given;
            `None` for never.
        namespace: What separates this cache's keys from others in a shared store, without a
            colon; by default its name. `None` for bare keys, where a store allows it.
        serializer: `"msgpack"`, `"json"`, `"pickle"`, `"str"`, `"bytes"`, or an object with `dumps`
            and `loads`; on memory also `"native"` and `None`.
        max_value_bytes: The largest encoded value in bytes; `None` for no limit.
        secret: Signs what `"pickle"` writes to a shared store (HMAC-SHA256, bound to the key). A
            list while it is being changed: the first signs, every one verifies.
        allow_unsigned_pickle: Read pickles that anyone could have written. Whoever can write to
            the store can then run code in this process.
        compression: `"zstd"` makes large values smaller where that gains; `"none"`, the default.
            Before Python 3.14 it needs the extra `[zstd]`.
        compression_threshold: Bytes of an encoded value below which it is left as it is; `None` for
            512, or 32 once there is a dictionary.
        encryption: Encrypts everything by AES-256-GCM, bound to the key; at least 32 bytes. A list
            while it is being changed: the first encrypts, every one decrypts. Needs the extra
            `[crypto]`.
        options: How entries are computed, kept and renewed by `get_or_set` and `@cached`, where a
            call does not say; an `EntryOptions` or a table of its fields.
        on_error: What happens when the store fails. `"compute"`, the default: `get_or_set`,
            `@cached` and their kin go on without it, all other operations raise. `"miss"`: reads
            are misses and writes do nothing as well, counted and logged; what removes or counts
            raises all the same. `"raise"`: everything raises.
        statistics: Count hits and misses, see `BaseBackend.stats`; it wraps every read.
    """

    backend_type: ClassVar[str] = "base"
    """The kind of store; a third party's word is the name of its entry point."""

    shared_store: ClassVar[bool] = True
    """Whether others could write to the store, so that pickle must be signed."""

    name: str = attrs.field(
        default=attrs.Factory(_own_type, takes_self=True), validator=backend_name
    )
    default_ttl: float | None = attrs.field(default=None, converter=to_seconds, validator=lifetime)
    namespace: str | None = attrs.field(
        default=attrs.Factory(_own_name, takes_self=True), validator=optional_namespace
    )
    serializer: SerializerSpec = attrs.field(default="msgpack")
    max_value_bytes: int | None = attrs.field(
        default=None, validator=whole_number(optional="no limit")
    )
    secret: Secret | tuple[Secret, ...] | None = attrs.field(default=None, converter=to_secrets)
    allow_unsigned_pickle: bool = attrs.field(default=False, validator=switch)
    compression: str = attrs.field(default="none", validator=one_of("none", "zstd"))
    compression_threshold: int | None = attrs.field(
        default=None, validator=whole_number(optional="the default")
    )
    encryption: Secret | tuple[Secret, ...] | None = attrs.field(default=None, converter=to_secrets)
    options: EntryOptions = attrs.field(default=NO_OPTIONS, converter=to_options)
    on_error: str = attrs.field(default="compute", validator=one_of("compute", "miss", "raise"))
    statistics: bool = attrs.field(default=False, validator=switch)

    def __attrs_post_init__(self) -> None:
        if not self.shared_store and (self.compression != "none" or self.encryption is not None):
            name = "encryption" if self.encryption is not None else "compression"
            message = (
                f"{name}= is for stores outside of this process; {self.backend_type} keeps values, "
                "not bytes. Leave it out."
            )
            raise CacheConfigurationError(message)
        self.codec()

    def codec(self) -> Codec:
        """The codec that these settings describe.

        Raises:
            CacheConfigurationError: The serializer is unknown, or is pickle without a secret.
        """
        return Codec.from_settings(
            self.serializer,
            namespace=self.namespace,
            max_value_bytes=self.max_value_bytes,
            secret=self.secret,
            allow_unsigned_pickle=self.allow_unsigned_pickle,
            shared_store=self.shared_store,
            store=str(self.backend_type),
            compression=self.compression,
            compression_threshold=self.compression_threshold,
            encryption=self.encryption,
        )

    @classmethod
    def url_fields(cls, url: SplitResult) -> dict[str, Any]:
        """The settings that a URL of this backend gives outside its query.

        The query's parameters are fields by name. A backend whose URL has more to say overrides
        this.

        Args:
            url: The URL, split; its query is dealt with by the caller.

        Returns:
            Values by field name.
        """
        name = unquote(url.netloc or url.path.strip("/"))
        return {"name": name} if name else {}

    def evolve(self, **changes: Any) -> Self:
        """A copy with some fields changed, checked anew."""
        return attrs.evolve(self, **changes)
