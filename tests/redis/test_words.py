"""What is said when a server, URL or file is not what it should be: at once, with a way out."""

import time

import pytest
import trustme
from tests.redis.servers import free_port

from jinpy_cache_core import CacheConfigurationError, CacheConnectionError
from jinpy_cache_redis import RedisCacheBackend, RedisCacheConfig

AT_ONCE = 0.2
"""Seconds for what needs no second attempt."""

CANARY = "can:ary%2F"


def said_by(call) -> str:
    """The message of the error, which must come at once; measured again if a neighbour was busy."""
    for _ in range(10):
        began = time.monotonic()
        with pytest.raises((CacheConfigurationError, CacheConnectionError)) as caught:
            call()
        if time.monotonic() - began < AT_ONCE:
            return str(caught.value)
    pytest.fail(f"it took {time.monotonic() - began:.2f} s to say: {caught.value}")


# -- What a server answers -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "url", "words"),
    [
        (
            {"requirepass": "right"},
            "redis://:wrong@127.0.0.1:{port}/0",
            ["WRONGPASS", "Correct `username` and `password`"],
        ),
        (
            {"requirepass": "right"},
            "redis://nobody:wrong@127.0.0.1:{port}/0",
            ["WRONGPASS", "Correct `username` and `password`"],
        ),
        ({"requirepass": "right"}, "redis://127.0.0.1:{port}/0", ["NOAUTH", "Give the password"]),
        (
            {},
            "redis://:useless@127.0.0.1:{port}/0",
            ["without any password configured", "Take the password out"],
        ),
        ({}, "redis://127.0.0.1:{port}/99", ["DB index is out of range", "`databases`"]),
        ({}, "redis+cluster://127.0.0.1:{port}", ["no node of a cluster", "redis://127.0.0.1:"]),
        ({}, "redis+sentinel://127.0.0.1:{port}/main", ["is no sentinel", "redis://127.0.0.1:"]),
        ({}, "rediss://127.0.0.1:{port}/0", ["does not speak TLS", "write redis://"]),
        (
            {"requirepass": "right"},
            "rediss://:right@127.0.0.1:{port}/0",
            ["does not speak TLS", "write redis://"],
        ),
        ({}, "rediss+cluster://127.0.0.1:{port}", ["does not speak TLS", "write redis://"]),
        ({}, "rediss+sentinel://127.0.0.1:{port}/main", ["does not speak TLS", "write redis://"]),
    ],
)
def test_a_server_that_does_not_take_us(half, start_server, options, url, words):
    """Its own words, and what to do; asked once."""
    server = start_server(**options)
    cache = half(url.format(port=server.port))

    said = said_by(lambda: cache.get("k"))

    assert [] == [word for word in words if word not in said], said
    assert "attempts" not in said


def test_a_right_that_is_missing(half, server):
    """The server's sentence, and who can change it."""
    server.ask("ACL", "SETUSER", "reader", "on", ">pw", "~*", "+get", "+client", "+select")
    cache = half(f"redis://reader:pw@127.0.0.1:{server.port}/0")

    said = said_by(lambda: cache.set("k", 1))

    assert "NOPERM" in said
    assert "ACL SETUSER" in said


def test_no_place_for_another_client(half, start_server):
    """The limit of the server is named, not that it should be started."""
    server = start_server(maxclients="1")
    cache = half(server.url)
    with server.admin() as client:
        client.ping()
        said = said_by(lambda: cache.get("k"))

    assert "max number of clients" in said
    assert "maxclients" in said


def test_a_password_that_the_server_repeats(half, fake):
    """A server that does not know AUTH quotes what it got; we do not."""
    import tests.redis.fake_server as module

    before = module.HANDSHAKE
    module.HANDSHAKE = {b"CLIENT"}
    try:
        server = fake(
            lambda command: (
                b"-ERR unknown command 'AUTH', with args beginning with: '%b' \r\n" % command[-1]
            )
        )
        cache = half(server.url, password=CANARY)
        said = said_by(lambda: cache.get("k"))
    finally:
        module.HANDSHAKE = before
    assert "unknown command 'AUTH'" in said
    assert CANARY not in said


def test_a_node_of_a_cluster(half, cluster):
    """A `redis://` URL for one names the URL of the cluster."""
    cache = half(cluster.servers[0].url)

    said = [
        said_by(lambda key=key: cache.set(key, 1))
        for key in ("k0", "k1", "k2")
        if moved(cache, key)
    ]
    said += [
        said_by(lambda key=key: cache.pop(key)) for key in ("k0", "k1", "k2") if moved(cache, key)
    ]

    assert said
    for one in said:
        assert f"redis+cluster://127.0.0.1:{cluster.servers[0].port}" in one


def moved(cache, key: str) -> bool:
    """Whether the key belongs to another node."""
    try:
        cache.get(key)
    except CacheConnectionError:
        return True
    return False


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 400 Bad Request\r\nServer: x\r\n\r\n", ["HTTP/1.1 400", "not Redis"]),
        (b"SSH-2.0-OpenSSH_9.2\r\n", ["SSH-2.0", "not Redis"]),
        (b"\x15\x03\x01\x00\x02\x02\x50", ["speaks TLS", "rediss://"]),
        (b"-DENIED Redis is running in protected mode.\r\n", ["protected mode", "Set a password"]),
        (b"-NOAUTH Authentication required.\r\n", ["NOAUTH", "Give the password"]),
    ],
)
def test_a_port_that_is_something_else(half, speaker, answer, words):
    """What listens there is quoted."""
    port = speaker(answer)
    cache = half(f"redis://127.0.0.1:{port}/0")

    said = said_by(lambda: cache.get("k"))

    assert [] == [word for word in words if word not in said], said


@pytest.fixture
def speaker():
    """Start a server that says one thing to everybody and hangs up."""
    import contextlib
    import socket
    import threading

    listeners = []

    def serve(listener, answer) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = listener.accept()
                with sock, contextlib.suppress(OSError):
                    sock.recv(1000)
                    sock.sendall(answer)

    def start(answer: bytes) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        thread = threading.Thread(target=serve, args=(listener, answer), daemon=True)
        thread.start()
        listeners.append((listener, thread))
        return listener.getsockname()[1]

    yield start
    for listener, thread in listeners:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


# -- URLs ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("sentinel://h:26379", ["redis+sentinel://"]),
        ("redis-socket:///run/redis.sock", ["unix://"]),
        ("https://h:6379", ["rediss://"]),
        ("h.redis.cache.windows.net:6380,password=abc=,ssl=True", ["StackExchange", "rediss://"]),
        ("redis://h?ssl_ca_certs=/x", ["ssl_ca_certs", "rediss://h"]),
        ("redis+cluster://h?ssl_ca_certs=/x", ["ssl_ca_certs", "rediss+cluster://h"]),
        ("rediss://h?ssl_cert_reqs=CERT_NONE", ["ssl_cert_reqs", "ssl_insecure_skip_verify"]),
        ("rediss://h?ssl_cert_reqs=optional", ["ssl_cert_reqs", "ssl_insecure_skip_verify"]),
    ],
)
def test_urls_of_other_programs_that_cannot_be_taken(url, words):
    """The right URL, or the right setting, is named."""
    said = said_by(lambda: RedisCacheConfig(url=url, name="c"))

    assert [] == [word for word in words if word not in said], said


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("rediss://:k@h.redis.cache.windows.net:6380/0?ssl_cert_reqs=required", {"ssl": True}),
        ("rediss://:k@h:6380/0?ssl_cert_reqs=CERT_REQUIRED", {"ssl": True}),
        ("redis://h:p@h?socket_timeout=5", {"command_timeout": 5.0}),
        ("redis://h?socket_connect_timeout=0.5", {"connect_timeout": 0.5}),
        ("redis://h?max_connections=33", {"pool_size": 33}),
        ("redis://h?health_check_interval=30", {"health_check_interval": 30.0}),
        ("redis://h?health_check_interval=0", {"health_check_interval": None}),
        ("redis://h?protocol=3&retry_on_timeout=true&socket_keepalive=True", {"retries": 3}),
    ],
)
def test_urls_of_other_programs_that_are_understood(url, expected):
    """As Azure, Heroku, Celery and redis-py write them."""
    config = RedisCacheConfig(url=url, name="c")
    assert expected == {name: getattr(config, name) for name in expected}


# -- Files of certificates -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Certificates and keys, right and wrong."""
    folder = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    for name in ("one", "two"):
        made = authority.issue_cert("127.0.0.1")
        made.cert_chain_pems[0].write_to_path(folder / f"{name}.crt")
        made.private_key_pem.write_to_path(folder / f"{name}.key")
    authority.cert_pem.write_to_path(folder / "ca")
    (folder / "empty").write_text("")
    (folder / "locked.key").write_text(locked((folder / "one.key").read_bytes()))
    return folder


def locked(key: bytes) -> str:
    """The key, encrypted."""
    from cryptography.hazmat.primitives import serialization as form

    loaded = form.load_pem_private_key(key, None)
    return loaded.private_bytes(
        form.Encoding.PEM, form.PrivateFormat.PKCS8, form.BestAvailableEncryption(b"open")
    ).decode()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"ssl_ca_certs": "gone"}, ["ssl_ca_certs=", "No such file"]),
        ({"ssl_ca_certs": "empty"}, ["ssl_ca_certs=", "PEM"]),
        ({"ssl_ca_path": "gone"}, ["ssl_ca_path=", "directory"]),
        ({"ssl_certfile": "gone"}, ["ssl_certfile=", "No such file"]),
        ({"ssl_certfile": "one.crt", "ssl_keyfile": "gone"}, ["ssl_keyfile=", "No such file"]),
        ({"ssl_certfile": "one.crt", "ssl_keyfile": "two.key"}, ["ssl_keyfile=", "not the key of"]),
        ({"ssl_certfile": "empty"}, ["ssl_certfile=", "PEM"]),
        (
            {"ssl_certfile": "one.crt", "ssl_keyfile": "locked.key"},
            ["is encrypted", "ssl_keyfile_password"],
        ),
    ],
)
def test_files_that_cannot_be_used(files, settings, words):
    """Said when the cache is made, by the name of the setting and the file."""
    given = {name: str(files / value) for name, value in settings.items()}
    config = RedisCacheConfig(url=f"rediss://127.0.0.1:{free_port()}", name="c", **given)

    said = said_by(lambda: RedisCacheBackend(config))

    assert [] == [word for word in words if word not in said], said


def test_a_wrong_password_of_a_key(files):
    """It is told from a missing one, and not shown."""
    config = RedisCacheConfig(
        url="rediss://127.0.0.1:1",
        name="c",
        ssl_certfile=files / "one.crt",
        ssl_keyfile=files / "locked.key",
        ssl_keyfile_password=CANARY,
    )

    said = said_by(lambda: RedisCacheBackend(config))

    assert "ssl_keyfile_password is wrong" in said
    assert CANARY not in said


def test_files_that_can_be_used(files):
    """A locked key opens by its password."""
    config = RedisCacheConfig(
        url="rediss://127.0.0.1:1",
        name="c",
        ssl_ca_certs=files / "ca",
        ssl_certfile=files / "one.crt",
        ssl_keyfile=files / "locked.key",
        ssl_keyfile_password="open",
    )
    RedisCacheBackend(config).close()


# -- Elsewhere -------------------------------------------------------------------------------------


def test_an_asynchronous_operation_outside_of_asyncio(make, standalone):
    """As trio has it: driven by hand, it says where to go instead."""
    cache = make(standalone.url)
    operation = cache.aget("k")

    said = said_by(lambda: operation.send(None))

    assert "asyncio" in said
    assert "trio.to_thread" in said


@pytest.mark.parametrize(
    "given", [{"h:1": "i"}, {"h": 3}, [("h", "i")], {"h:1": "i:x"}, {"h:99999": "i:1"}]
)
def test_address_maps_that_are_refused(given):
    """Both sides have a port, or neither; all of it is text."""
    with pytest.raises(CacheConfigurationError):
        RedisCacheConfig(name="c", address_map=given)
