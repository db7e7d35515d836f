"""Applications behind the servers that people use: forked, preloaded, reloaded, recycled."""

import collections
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.redis.servers import free_port

from jinpy_cache_core import CacheBackendFactory

pytestmark = pytest.mark.soak

ROOT = Path(__file__).parents[2]
APP = "tests.redis.programs.web"
GUNICORN = ["-m", "gunicorn", f"{APP}:application", "--workers", "2", "--log-level", "warning"]

SERVERS = {
    "gthread": [*GUNICORN, "--worker-class", "gthread", "--threads", "8"],
    "gthread, preloaded": [*GUNICORN, "--worker-class", "gthread", "--threads", "8", "--preload"],
    "gthread, recycled": [
        *(*GUNICORN, "--worker-class", "gthread", "--threads", "8"),
        *("--max-requests", "25", "--max-requests-jitter", "10"),
    ],
    "gevent": [*GUNICORN, "--worker-class", "gevent"],
    "uvicorn": ["-m", "uvicorn", f"{APP}:asgi", "--workers", "2", "--log-level", "warning"],
}

HANGING_UP = [
    *("-m", "uvicorn", "tests.redis.programs.hanging_up:application"),
    *("--workers", "2", "--log-level", "critical"),
]


@pytest.fixture(params=["redis", "file"])
def settings(request, tmp_path, server) -> dict[str, str]:
    """The environment of an application with a cache of this kind."""
    urls = {
        "redis": f"redis://127.0.0.1:{server.port}/0?name=web&pool_timeout=10",
        "file": f"file://{tmp_path}/cache?name=web",
    }
    return {
        **os.environ,
        "CACHE": urls[request.param],
        "COMPUTED": str(tmp_path / "computed"),
        "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]),
        "WARM": "1",
    }


def get(port: int, path: str) -> str:
    """Ask the application."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        answer = connection.getresponse()
        assert 200 == answer.status
        return answer.read().decode()
    finally:
        connection.close()


def patient_get(port: int, path: str) -> str:
    """Ask it, again where a worker ends with the connection still in its queue."""
    until = time.monotonic() + 30
    while True:
        try:
            return get(port, path)
        except (OSError, http.client.HTTPException):
            if time.monotonic() > until:
                raise


def started(command: list[str], settings: dict[str, str]) -> tuple[subprocess.Popen, int]:
    """The server, once it answers, and its port."""
    port = free_port()
    where = ["--port", str(port)] if "uvicorn" in command else ["--bind", f"127.0.0.1:{port}"]
    process = subprocess.Popen(
        [sys.executable, *command, *where], env=settings, cwd=ROOT, start_new_session=True
    )
    assert "value of start" == patient_get(port, "/value/start")
    return process, port


def ended(process: subprocess.Popen) -> None:
    """End a server as its supervisor would, and make sure that nothing of it stays."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(30)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def computations(settings: dict[str, str]) -> collections.Counter:
    """How often each key was computed, over all workers."""
    lines = Path(settings["COMPUTED"]).read_text().splitlines()
    return collections.Counter(line.split()[0] for line in lines)


@pytest.mark.parametrize("name", SERVERS)
def test_workers_compute_once_and_count_exactly(name, settings, server) -> None:
    """Bursts on keys that nobody has: one computation each; and no count and connection is lost."""
    process, port = started(SERVERS[name], settings)
    try:
        with ThreadPoolExecutor(24) as threads:
            for burst in range(4):
                paths = [f"/value/{burst}"] * 16 + ["/count"] * 8
                answers = list(threads.map(lambda path: get_or_retry(name, port, path), paths))
                assert [f"value of {burst}"] * 16 == answers[:16]
            if "gunicorn" in SERVERS[name]:
                process.send_signal(signal.SIGHUP)
                assert "value of new" == patient_get(port, "/value/new")
    finally:
        ended(process)

    counted = computations(settings)
    if "recycled" not in name:  # a recycled worker ends with its request, which is asked again
        assert {1} == set(counted.values())
    with CacheBackendFactory.create(settings["CACHE"]) as backend:
        count = backend.get("count")
        assert count == 32 if "recycled" not in name else count >= 32
        began = time.monotonic()
        backend.get_or_set("value:after", lambda: "computed")
        assert time.monotonic() - began < 3.0, "a lease of a worker that is gone lasts for ten"
    if settings["CACHE"].startswith("redis"):
        with server.admin() as client:
            until = time.monotonic() + 10
            while len(client.client_list()) > 1 and time.monotonic() < until:
                pass
            assert 1 == len(client.client_list())


def get_or_retry(name: str, port: int, path: str) -> str:
    """Ask once; where workers are recycled under the requests, until one answers."""
    return patient_get(port, path) if "recycled" in name else get(port, path)


def test_clients_that_hang_up(settings, server) -> None:
    """A browser that goes away while its request computes is missed by nobody."""
    process, port = started(HANGING_UP, settings)
    took, found = [], []
    try:
        with CacheBackendFactory.create(settings["CACHE"]) as backend:
            for number in range(20):
                hang_up(port, str(number), settings)
                began = time.monotonic()
                found.append(backend.get_or_set(f"avalue:{number}", lambda: "mine"))
                took.append(time.monotonic() - began)
            assert "value of start" == backend.get("avalue:start")
    finally:
        ended(process)
    print(f"\nthe next caller waited {max(took):.2f} s at most")  # noqa: T201
    assert max(took) < 3.0, "a lease that is not given back lasts for ten"
    assert found.count("mine") > 10, "the one who hung up went on computing"
    if settings["CACHE"].startswith("redis"):
        with server.admin() as client:
            assert not [
                key for key in client.keys("web:*") if b"\xc1\x01\x01" == client.get(key)[:3]
            ]


def hang_up(port: int, key: str, settings: dict[str, str]) -> None:
    """Ask for a value, and go away as soon as it is being computed."""
    with socket.create_connection(("127.0.0.1", port), 30) as asking:
        asking.sendall(f"GET /value/{key} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        until = time.monotonic() + 30
        while not computations(settings)[f"{key}"] and time.monotonic() < until:
            time.sleep(0.005)


def test_celery_prefork(settings, tmp_path) -> None:
    """Forked and recycled task workers: one computation a key, and exact counts."""
    for folder in ("queue", "control", "results"):
        (tmp_path / folder).mkdir()
    settings = {**settings, "BROKER": str(tmp_path)}
    ask = (
        "import sys\n"
        f"from {APP} import celery, value, count\n"
        "asked = [value.delay(str(n % 3)) for n in range(24)]\n"
        "asked += [count.delay() for n in range(30)]\n"
        "print([one.get(timeout=60) for one in asked][-1] and 'done')\n"
    )
    worker = subprocess.Popen(
        [sys.executable, "-m", "celery", "-A", f"{APP}:celery", "worker", "--concurrency", "3"],
        env=settings,
        cwd=ROOT,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        said = subprocess.run(
            [sys.executable, "-c", ask],
            env=settings,
            cwd=ROOT,
            timeout=120,
            capture_output=True,
            text=True,
            check=False,
        )
        assert "done\n" == said.stdout, said.stderr[-2000:]
    finally:
        ended(worker)

    assert {"0": 1, "1": 1, "2": 1} == computations(settings)
    with CacheBackendFactory.create(settings["CACHE"]) as backend:
        assert 30 == backend.get("count")
