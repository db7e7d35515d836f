"""Taking a Redis URL apart, so that no credential stays in it."""

from urllib.parse import SplitResult, unquote, urlsplit

import attrs

from jinpy_cache_core import CacheConfigurationError
from jinpy_cache_core.settings import is_encodable, query_of
from jinpy_cache_redis.protocol.nodes import Node

DEFAULT_PORT = 6379
SENTINEL_PORT = 26379

KINDS = {
    "redis": ("server", False),
    "rediss": ("server", True),
    "valkey": ("server", False),
    "valkeys": ("server", True),
    "unix": ("socket", False),
    "redis+sentinel": ("sentinel", False),
    "rediss+sentinel": ("sentinel", True),
    "valkey+sentinel": ("sentinel", False),
    "redis+cluster": ("cluster", False),
    "rediss+cluster": ("cluster", True),
    "valkey+cluster": ("cluster", False),
}
"""What each scheme connects to, and whether it does so over TLS."""

WAYS_OUT = {
    "password": "Put it before the host, or into the setting `password`.",
}


NAMES = {
    "socket_timeout": "command_timeout",
    "socket_connect_timeout": "connect_timeout",
    "timeout": "pool_timeout",
    "max_connections": "pool_size",
    "ssl_password": "ssl_keyfile_password",
    "service_name": "sentinel_service",
    "master_name": "sentinel_service",
}
"""What redis-py, Celery and others call our settings in a query."""

NEEDLESS = {
    "protocol": {"2", "3"},
    "encoding": {"utf-8", "utf8"},
    "socket_keepalive": {"true", "1", "yes"},
    "retry_on_timeout": {"true", "1", "yes"},
}
"""Options of redis-py whose usual values ask for what this backend does anyway."""

VERIFIED = {"required", "cert_required", "ssl.cert_required", "2"}
"""How it is written that a server's certificate must be valid."""

OTHER_SCHEMES = {
    "sentinel": "redis+sentinel://host:26379,host:26379/mymaster/0",
    "redis-sentinel": "redis+sentinel://host:26379,host:26379/mymaster/0",
    "redis-socket": "unix:///path/to/redis.sock?db=0",
    "redis+socket": "unix:///path/to/redis.sock?db=0",
    "redis-cluster": "redis+cluster://host:6379,host:6379",
    "http": "redis://host:6379/0",
    "https": "rediss://host:6379/0",
}
"""What others call the same thing, and how it is written here."""


@attrs.frozen
class ParsedURL:
    """What a URL says.

    Attributes:
        kind: `"server"`, `"socket"`, `"sentinel"` or `"cluster"`.
        tls: Whether connections are encrypted.
        nodes: The servers, sentinels or first nodes of a cluster that are named.
        db: The number of the database, if one is named.
        service: The name that sentinels know the primary by.
        username: The user, if one is named.
        password: The password, if one is given.
        bare: The URL without credentials and query.
        options: The query.
    """

    kind: str
    tls: bool
    nodes: tuple[Node, ...]
    db: int | None
    service: str | None
    username: str | None
    password: str | None = attrs.field(repr=False)
    bare: str
    options: dict[str, str] = attrs.field(repr=False)


def parse(url: str) -> ParsedURL:
    """Take a URL apart.

    Raises:
        CacheConfigurationError: It is none that this backend knows; a password is not repeated.
    """
    parts = _parts(url)
    if not is_encodable(url):
        raise _unreadable(what="half of a surrogate pair, which has no UTF-8,")
    if parts is None:  # raised out here, where no other error is its context
        raise _unreadable(what="something")
    options = _options(query_of(parts))
    if parts.scheme not in KINDS:
        raise _unknown(parts.scheme, url)
    if parts.fragment or "@" in parts.path + parts.query:
        raise _unreadable(what="something after the host")
    for name, way_out in WAYS_OUT.items():
        if name in options:
            message = f"The query of a Redis URL has no place for {name}. {way_out}"
            raise CacheConfigurationError(message)
    kind, tls = KINDS[parts.scheme]
    credentials, _, hosts = parts.netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    service, db = _path(kind, unquote(parts.path))
    if "db" in options:
        db = _number(options.pop("db"), "db in the query")
    return ParsedURL(
        kind=kind,
        tls=tls,
        nodes=_nodes(kind, hosts, unquote(parts.path)),
        db=db,
        service=service,
        username=unquote(user) or None,
        password=unquote(password) or None,
        bare=f"{parts.scheme}://{hosts}{parts.path}",
        options=options,
    )


def _options(given: dict[str, str]) -> dict[str, str]:
    """The query by our own names, without what goes without saying."""
    options: dict[str, str] = {}
    for name, value in given.items():
        word = value.lower()
        if name == "ssl_cert_reqs":
            if word not in VERIFIED:
                message = (
                    f"ssl_cert_reqs={value!r} in the URL would trust certificates that nobody "
                    "vouches for. Give the authority's certificate by ssl_ca_certs, or set "
                    "ssl_insecure_skip_verify=True instead if you know the network."
                )
                raise CacheConfigurationError(message)
        elif name == "health_check_interval" and word in {"0", "0.0"}:
            pass
        elif word not in NEEDLESS.get(name, ()):
            options[NAMES.get(name, name)] = value
    return options


def _unknown(scheme: str, url: str) -> CacheConfigurationError:
    if scheme in OTHER_SCHEMES:
        message = f"A Redis URL does not begin with {scheme}://: write {OTHER_SCHEMES[scheme]}."
    elif ",password=" in url.lower() or ",ssl=" in url.lower():
        message = (
            "That is a connection string of StackExchange.Redis, not a URL: write "
            "rediss://:password@host:6380/0, with the password percent-encoded."
        )
    else:
        message = f"A Redis URL begins with {', '.join(f'{known}://' for known in KINDS)}."
    return CacheConfigurationError(message)


def address(text: str) -> Node:
    """Host and port as they are written in a URL; port 0 when there is none.

    Raises:
        CacheConfigurationError: It is none.
    """
    return _node(text, default_port=None)


def _parts(url: str) -> SplitResult | None:
    try:
        return urlsplit(url)
    except ValueError:
        return None


def _path(kind: str, path: str) -> tuple[str | None, int | None]:
    """The service and the database that the path of a URL names."""
    segments = [] if kind == "socket" else [segment for segment in path.split("/") if segment]
    service = segments.pop(0) if kind == "sentinel" and segments else None
    db = _number(segments.pop(0), "the database in the path") if segments else None
    if segments:
        raise _unreadable(what="the rest of the path")
    return service, db


def _nodes(kind: str, hosts: str, path: str) -> tuple[Node, ...]:
    if kind == "socket":
        if path:
            return (Node(path, 0),)
        message = "A unix:// URL needs the path of a socket, as in unix:///run/redis.sock."
        raise CacheConfigurationError(message)
    port = SENTINEL_PORT if kind == "sentinel" else DEFAULT_PORT
    nodes = tuple(_node(host, port) for host in hosts.split(","))
    if kind == "server" and len(nodes) > 1:
        message = (
            "A redis:// URL takes one host; redis+cluster:// and redis+sentinel:// take several."
        )
        raise CacheConfigurationError(message)
    return nodes


def _node(text: str, default_port: int | None) -> Node:
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        separator, port = rest[:1], rest[1:]
        if not bracket or (rest and separator != ":"):
            raise _unreadable(what="the address in brackets")
    else:
        host, _, port = text.partition(":")
    if not port and default_port is None:
        return Node(unquote(host), 0)
    number = _number(port, "the port") if port else default_port or 0
    if not 0 < number < 65_536:
        message = f"The port in the Redis URL is {number}; ports go from 1 to 65535."
        raise CacheConfigurationError(message)
    return Node(unquote(host) or "localhost", number)


def _number(text: str, what: str) -> int:
    if text.isascii() and text.isdecimal():
        return int(text)
    raise _unreadable(what)


def _unreadable(what: str) -> CacheConfigurationError:
    """The error of a URL that may hold a raw password, for which reason none of it is repeated."""
    message = (
        f"In the Redis URL, {what} cannot be read. If the password holds one of the characters "
        "@:/?#%, write it percent-encoded, or give it by the setting `password`."
    )
    return CacheConfigurationError(message)
