"""`RedisCacheConfig`: how to reach Redis or Valkey, and how long to wait for it."""

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, cast
from urllib.parse import SplitResult

import attrs

from jinpy_cache_core import BaseCacheBackendConfig, CacheConfigurationError, Secret
from jinpy_cache_core.settings import (
    Problems,
    duration,
    is_encodable,
    optional_namespace,
    structure_fields,
    switch,
    to_secret,
    whole_number,
)
from jinpy_cache_redis.connections.borrowed import check_given
from jinpy_cache_redis.protocol.nodes import Node
from jinpy_cache_redis.urls import address, parse

LARGEST_VALUE = 512 * 1024 * 1024
"""The largest string that a Redis server takes by default, in bytes."""


TLS_SETTINGS = (
    "ssl_ca_certs",
    "ssl_ca_path",
    "ssl_certfile",
    "ssl_keyfile",
    "ssl_keyfile_password",
    "ssl_check_hostname",
    "ssl_insecure_skip_verify",
)
"""What only means something on an encrypted connection."""

TLS_SCHEMES = {
    "redis": "rediss",
    "valkey": "valkeys",
    "redis+sentinel": "rediss+sentinel",
    "valkey+sentinel": "rediss+sentinel",
    "redis+cluster": "rediss+cluster",
    "valkey+cluster": "rediss+cluster",
}
"""The encrypted sister of each scheme."""


def _own_name(config: BaseCacheBackendConfig) -> str:
    return config.name


def _optional_text(_instance: Any, attribute: "attrs.Attribute[Any]", value: object) -> None:
    if value is not None and (not isinstance(value, str) or not value):
        message = f"{attribute.name}={value!r} is not allowed: it must be a non-empty str, or None."
        raise CacheConfigurationError(message)
    if value is not None and not is_encodable(value):
        message = f"{attribute.name}={value!r} holds half of a surrogate pair: it has no UTF-8."
        raise CacheConfigurationError(message)


def _url_text(_instance: Any, attribute: "attrs.Attribute[Any]", value: object) -> None:
    if not isinstance(value, str):
        message = (
            f"{attribute.name} is a str such as redis://host:6379/0, not {type(value).__name__}."
        )
        raise CacheConfigurationError(message)
    parse(value)


def _address_map(_instance: Any, attribute: "attrs.Attribute[Any]", value: object) -> None:
    if value is None:
        return
    if not isinstance(value, Mapping):
        message = f"{attribute.name} is a mapping from address to address, not {value!r}."
        raise CacheConfigurationError(message)
    for told, reached in cast("Mapping[object, object]", value).items():
        for one in (told, reached):
            if not isinstance(one, str):
                message = f"{attribute.name} holds {one!r}: an address is a str, host or host:port."
                raise CacheConfigurationError(message)
        if bool(address(str(told)).port) != bool(address(str(reached)).port):
            message = (
                f"{attribute.name} maps {told!r} to {reached!r}: give both a port, or neither."
            )
            raise CacheConfigurationError(message)


def _to_path(value: "str | Path | None") -> Path | None:
    return Path(value) if isinstance(value, str) else value


def _seconds(default: float) -> Any:
    return attrs.field(default=default, validator=duration())


@attrs.frozen(kw_only=True)
class RedisCacheConfig(BaseCacheBackendConfig):
    """The settings of a cache in Redis or Valkey; immutable, checked when it is made.

    Attributes:
        url: `redis://host:port/db`, `rediss://` for TLS, `unix:///path`,
            `redis+sentinel://host:port,host:port/service/db`, `redis+cluster://host:port,host:port`
            (`valkey` may stand for `redis`). User and password may be in it, percent-encoded; they
            are moved to `username` and `password`.
        username: The user of the server's access control list.
        password: The password.
        db: The number of the database; by default that of the URL, or 0.
        client_name: What the server's `CLIENT LIST` shows.
        decode_responses: Accepted for settings shared with redis-py. It changes nothing here:
            values are what the serializer makes of the stored bytes.
        namespace: What keys begin with, by default the backend's name; `None` for raw keys, with
            which `clear` is refused.
        max_value_bytes: The largest encoded value in bytes, by default what a server takes; `None`
            leaves it to the server to refuse.
        pool_size: How many connections to one server a process keeps, and each event loop of it.
        pool_timeout: Seconds to wait for one of them to become free.
        connect_timeout: Seconds for making a connection.
        command_timeout: Seconds for one attempt, from sending to the last reply.
        operation_timeout: Seconds for an operation, retries and waiting included. `clear` and
            `scan` take as long for each page.
        health_check_interval: After how many seconds without use a connection is first asked
            whether it still stands (`PING`), for networks that drop idle ones without a word;
            `None` asks never.
        retries: How many attempts may follow the first one. A counter, `add` and `pop` are tried
            again only when the server cannot have executed them.
        retry_backoff: Seconds before the second retry at most, doubled for each further one; spread
            by chance.
        retry_backoff_max: Seconds between two attempts at most.
        ssl: Encrypt connections; implied by `rediss://`.
        ssl_ca_certs: A file of certificates to trust instead of the system's.
        ssl_ca_path: A directory of them.
        ssl_certfile: This client's certificate.
        ssl_keyfile: The key of that certificate.
        ssl_keyfile_password: The password of that key.
        ssl_check_hostname: Whether the certificate must be the host's.
        ssl_insecure_skip_verify: Trust any certificate. Whoever can redirect the connection can
            then read and write everything, the password included.
        address_map: Where to go instead of the addresses that a cluster or sentinels tell, for
            those behind a NAT or in containers: `{"10.0.0.5:6379": "redis.example.org:7001"}`, or
            a host alone on both sides, which keeps the port.
        sentinel_service: The name that sentinels know the primary by, if the URL does not say.
        sentinel_username: The user of the sentinels themselves.
        sentinel_password: Their password.
        client: An existing `redis.Redis` or connection pool, used for the synchronous operations
            and, in worker threads, for the others; never closed. Servers and time limits of
            connections are then its affair.
        async_client: An existing `redis.asyncio.Redis` or pool, used for the asynchronous
            operations on the one event loop it belongs to; never closed.
    """

    backend_type: ClassVar[str] = "redis"

    url: str = attrs.field(default="redis://localhost:6379/0", validator=_url_text)
    username: str | None = attrs.field(default=None, validator=_optional_text)
    password: Secret | None = attrs.field(default=None, converter=to_secret)
    db: int | None = attrs.field(
        default=None, validator=whole_number(minimum=0, optional="that of the URL")
    )
    client_name: str | None = attrs.field(default=None, validator=_optional_text)
    decode_responses: bool = attrs.field(default=False, validator=switch)
    namespace: str | None = attrs.field(
        default=attrs.Factory(_own_name, takes_self=True), validator=optional_namespace
    )
    max_value_bytes: int | None = attrs.field(
        default=LARGEST_VALUE, validator=whole_number(optional="the server's own limit")
    )
    pool_size: int = attrs.field(default=10, validator=whole_number())
    pool_timeout: float = _seconds(2.0)
    connect_timeout: float = _seconds(2.0)
    command_timeout: float = _seconds(2.0)
    operation_timeout: float = _seconds(5.0)
    health_check_interval: float | None = attrs.field(
        default=None, validator=attrs.validators.optional(duration())
    )
    retries: int = attrs.field(default=3, validator=whole_number(minimum=0))
    retry_backoff: float = _seconds(0.05)
    retry_backoff_max: float = _seconds(0.5)
    ssl: bool = attrs.field(default=False, validator=switch)
    ssl_ca_certs: Path | None = attrs.field(default=None, converter=_to_path)
    ssl_ca_path: Path | None = attrs.field(default=None, converter=_to_path)
    ssl_certfile: Path | None = attrs.field(default=None, converter=_to_path)
    ssl_keyfile: Path | None = attrs.field(default=None, converter=_to_path)
    ssl_keyfile_password: Secret | None = attrs.field(default=None, converter=to_secret)
    ssl_check_hostname: bool = attrs.field(default=True, validator=switch)
    ssl_insecure_skip_verify: bool = attrs.field(default=False, validator=switch)
    address_map: Mapping[str, str] | None = attrs.field(default=None, validator=_address_map)
    sentinel_service: str | None = attrs.field(default=None, validator=_optional_text)
    sentinel_username: str | None = attrs.field(default=None, validator=_optional_text)
    sentinel_password: Secret | None = attrs.field(default=None, converter=to_secret)
    client: object | None = attrs.field(default=None, repr=False)
    async_client: object | None = attrs.field(default=None, repr=False)

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        parsed = parse(self.url)
        for name, value in self._read_query(parsed.options).items():
            self._take_over(name, value)
        for name, value in (
            ("username", parsed.username),
            ("password", to_secret(parsed.password)),
            ("db", parsed.db),
            ("sentinel_service", parsed.service),
        ):
            if value is not None:
                self._agree(name, value)
        if parsed.tls:
            self._take_over("ssl", True)
        self._take_over("url", parsed.bare)
        self._check_together()

    def _take_over(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def _agree(self, name: str, value: object) -> None:
        """Take what the URL says, unless the setting of that name says otherwise."""
        given = getattr(self, name)
        if given is not None and given != value:
            message = f"The URL and {name}= disagree: give {name} in one of the two places."
            raise CacheConfigurationError(message)
        self._take_over(name, value)

    def _read_query(self, options: dict[str, str]) -> dict[str, Any]:
        if not options:
            return {}
        problems = Problems()
        fields: dict[str, Any] = dict(attrs.fields_dict(type(self)))
        given = structure_fields(type(self), options, problems=problems, path="url", text=True)
        problems.raise_if_any("The query of the Redis URL")
        converters: dict[str, Any] = {name: fields[name].converter for name in given}
        return {
            name: value if converters[name] is None else converters[name](value)
            for name, value in given.items()
        }

    def _check_together(self) -> None:
        kind = self.kind
        if kind == "cluster" and self.db:
            message = (
                f"A cluster has database 0 only, not db={self.db}; separate caches by namespace."
            )
            raise CacheConfigurationError(message)
        if kind == "sentinel" and not self.sentinel_service:
            message = (
                "A redis+sentinel:// URL needs the name that the sentinels know the primary by: "
                "redis+sentinel://host:26379/mymaster, or sentinel_service='mymaster'."
            )
            raise CacheConfigurationError(message)
        if self.username is not None and self.password is None:
            message = f"username={self.username!r} needs a password= too."
            raise CacheConfigurationError(message)
        if self.ssl and kind == "socket":
            message = "ssl=True does not go with a unix:// URL: a local socket is not encrypted."
            raise CacheConfigurationError(message)
        if not self.ssl:
            self._check_unencrypted()
        if self.ssl_keyfile is not None and self.ssl_certfile is None:
            message = f"ssl_keyfile={str(self.ssl_keyfile)!r} needs ssl_certfile= too."
            raise CacheConfigurationError(message)
        for name in ("client", "async_client"):
            check_given(getattr(self, name), name)

    def _check_unencrypted(self) -> None:
        """Settings of an encryption that there is not are a mistake, not a wish to go without."""
        for name in TLS_SETTINGS:
            if getattr(self, name) != attrs.fields_dict(type(self))[name].default:
                scheme, rest = self.url.split("://", 1)
                message = (
                    f"{name} says how to encrypt, but {scheme}:// does not encrypt: write "
                    f"{TLS_SCHEMES.get(scheme, scheme)}://{rest}, or set ssl=True."
                )
                raise CacheConfigurationError(message)

    @property
    def addresses(self) -> dict[Node, Node]:
        """`address_map`, read; a host alone has port 0."""
        given = self.address_map or {}
        return {address(told): address(reached) for told, reached in given.items()}

    @classmethod
    def url_fields(cls, url: SplitResult) -> dict[str, Any]:
        """The setting that a URL gives outside its query: itself."""
        return {"url": url._replace(query="").geturl()}

    @property
    def kind(self) -> str:
        """What the URL connects to: `"server"`, `"socket"`, `"sentinel"` or `"cluster"`."""
        return parse(self.url).kind

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The servers, sentinels or first nodes of a cluster that the URL names."""
        return parse(self.url).nodes

    @property
    def exposes_password(self) -> bool:
        """Whether the password travels in plain text beyond this machine."""
        return (
            self.password is not None
            and not self.ssl
            and not all(_is_local(node) for node in self.nodes)
        )


def _is_local(node: Node) -> bool:
    if not node.port or node.host == "localhost":
        return True
    try:
        return ipaddress.ip_address(node.host).is_loopback
    except ValueError:
        return False
