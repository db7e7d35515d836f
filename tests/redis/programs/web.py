"""An application behind real servers: one expensive function and one counter, on $CACHE.

WSGI as `application`, ASGI as `asgi`, and Celery tasks as `celery`. Each computation adds a line to
the file named by $COMPUTED, so that a test can count them over all processes.
"""

import os
import time

from jinpy_utils.cache import Cache, CacheManager, CacheManagerConfig, cached

CacheManager(CacheManagerConfig(backends=[os.environ["CACHE"]]))
cache = Cache()
if os.environ.get("WARM"):  # what --preload runs before it forks
    cache.set("warm", 1)


def note(key: str) -> None:
    """Tell the test that a value was computed."""
    descriptor = os.open(os.environ["COMPUTED"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{key} {os.getpid()}\n".encode())
    os.close(descriptor)


@cached(ttl=600, key="value:{key}")
def compute(key: str) -> str:
    """What is expensive."""
    note(key)
    time.sleep(0.3)
    return f"value of {key}"


@cached(ttl=600, key="avalue:{key}")
async def acompute(key: str) -> str:
    """The same, awaited."""
    import asyncio

    note(key)
    await asyncio.sleep(0.3)
    return f"value of {key}"


def application(environ, start_response):
    """WSGI."""
    what, _, key = environ["PATH_INFO"].strip("/").partition("/")
    body = compute(key) if what == "value" else str(cache.incr("count"))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body.encode()]


async def asgi(scope, receive, send):
    """ASGI."""
    if scope["type"] != "http":
        return
    what, _, key = scope["path"].strip("/").partition("/")
    body = await acompute(key) if what == "value" else str(await cache.aincr("count"))
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body.encode()})


if os.environ.get("BROKER"):
    from celery import Celery

    folder = os.environ["BROKER"]
    celery = Celery("web", broker="filesystem://", backend=f"file://{folder}/results")
    celery.conf.broker_transport_options = {
        "data_folder_in": f"{folder}/queue",
        "data_folder_out": f"{folder}/queue",
        "control_folder": f"{folder}/control",
    }
    celery.conf.worker_max_tasks_per_child = 10

    @celery.task(name="value")
    def value(key: str) -> str:
        """The expensive function in a task."""
        return compute(key)

    @celery.task(name="count")
    def count() -> int:
        """The counter in a task."""
        return cache.incr("count")
