"""The built site, a throw-away Redis server, and what the checks of both stand on."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

sys.path.insert(0, str(ROOT / "scripts"))


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def build_log(root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of the site, built strictly, and what the build said."""
    pytest.importorskip("mkdocs", reason="mkdocs is not installed here; `scripts/test docs` has it")
    site = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)],
        cwd=root,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if built.returncode:
        pytest.fail(f"mkdocs build --strict failed:\n{built.stdout}", pytrace=False)
    return site, built.stdout


@pytest.fixture(scope="session")
def site(build_log: tuple[Path, str]) -> Path:
    """The folder of the built site."""
    return build_log[0]


@pytest.fixture(scope="session")
def redis_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a Redis server that is ended afterwards."""
    wanted = (os.environ.get("JINPY_TEST_REDIS_SERVER", ""), "redis-server", "valkey-server")
    program = next(filter(None, map(shutil.which, wanted)), None)
    if program is None:
        pytest.skip("no redis-server or valkey-server program on PATH")
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
    server = subprocess.Popen(
        [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"],
        cwd=tmp_path_factory.mktemp("redis"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_until_it_answers(server, port)
        yield port
    finally:
        server.terminate()
        server.wait()


def _wait_until_it_answers(server: "subprocess.Popen[bytes]", port: int) -> None:
    end = time.monotonic() + 10
    while time.monotonic() < end and server.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                if connection.recv(16).startswith(b"+PONG"):
                    return
        except OSError:
            continue
    pytest.fail("the Redis server did not answer within 10 s")
