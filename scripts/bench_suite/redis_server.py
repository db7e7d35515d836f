"""A throw-away Redis server for measuring, on 127.0.0.1, ended with the measurement."""

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator

STARTING = 10.0
"""Seconds that a server may take to answer."""


@contextlib.contextmanager
def throw_away_server() -> Iterator[int]:
    """Start the server that is found on PATH, and give its port."""
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        message = "There is no redis-server or valkey-server on PATH to measure with."
        raise SystemExit(message)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    settings = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with tempfile.TemporaryDirectory() as directory:
        server = subprocess.Popen(
            [program, *settings, "--dir", directory], stdout=subprocess.DEVNULL
        )
        try:
            _wait_for(port)
            yield port
        finally:
            server.terminate()
            server.wait()


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + STARTING
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return
