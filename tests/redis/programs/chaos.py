"""One process of the chaos run: tasks and threads that call, cancel, invalidate, and watch."""

# ruff: noqa: D103, T201

import asyncio
import json
import random
import sys
import threading
import time

import anyio
import redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from jinpy_cache_core import CacheException, cached
from jinpy_cache_redis import RedisCacheBackend, RedisCacheConfig

url, namespace, seconds, seed = sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4])
direct, KEYS, TASKS, THREADS = sys.argv[5], 50, 20, 4

LIMITS = {"command_timeout": 1.0, "operation_timeout": 2.0, "connect_timeout": 1.0}
backend = RedisCacheBackend(
    RedisCacheConfig(url=url, namespace=namespace, name="chaos", pool_size=20, **LIMITS)
)
again = Retry(ExponentialBackoff(cap=0.2, base=0.01), 50)
truth = redis.Redis.from_url(direct, retry=again)
chance = random.Random(seed)
until = time.monotonic() + seconds
floors = dict.fromkeys(range(KEYS), 0)
found = {"calls": 0, "cancelled": 0, "stale": [], "errors": [], "longest": 0.0}
lock = threading.Lock()


def version(key):
    return int(truth.hget("truth", key) or 0)


@cached(backend=backend, ttl=2, key="{key}", lock_timeout=2)
def value(key):
    seen = version(key)
    time.sleep(chance.random() * 0.02)
    return seen


@cached(backend=backend, ttl=2, key="{key}", lock_timeout=2)
async def avalue(key):
    seen = await asyncio.to_thread(version, key)
    await asyncio.sleep(chance.random() * 0.02)
    return seen


def judge(key, floor, got, began):
    with lock:
        found["calls"] += 1
        found["longest"] = max(found["longest"], time.monotonic() - began)
        if got < floor:
            found["stale"].append([key, floor, got])


def failed(error):
    with lock:
        found["errors"].append(repr(error)[:300])


def invalidate(key):
    new = int(truth.hincrby("truth", key, 1))
    while time.monotonic() < until + 10:
        try:
            backend.delete(str(key))
        except CacheException:
            time.sleep(0.05)
        else:
            floors[key] = max(floors[key], new)
            return


def thread():
    while time.monotonic() < until:
        key = chance.randrange(KEYS)
        if chance.random() < 0.02:
            invalidate(key)
            continue
        floor, began = floors[key], time.monotonic()
        try:
            judge(key, floor, value(key), began)
        except Exception as error:
            failed(error)


async def task():
    while time.monotonic() < until:
        key = chance.randrange(KEYS)
        floor, began = floors[key], time.monotonic()
        patience = chance.random() * 0.05 if chance.random() < 0.3 else None
        try:
            got = await chance.choice(WAYS)(avalue(key), patience)
        except TimeoutError as error:
            if isinstance(error, CacheException):
                failed(error)
            found["cancelled"] += 1
        except Exception as error:
            failed(error)
        else:
            judge(key, floor, got, began)


async def by_timeout(call, patience):
    async with asyncio.timeout(patience):
        return await call


async def by_scope(call, patience):
    with anyio.fail_after(patience):
        return await call


async def by_twice(call, patience):
    running = asyncio.create_task(call)
    done, _ = await asyncio.wait([running], timeout=patience)
    if done:
        return running.result()
    running.cancel()
    await asyncio.sleep(0)
    running.cancel()
    try:
        return await running
    except asyncio.CancelledError:
        raise TimeoutError from None


class Sibling(Exception):
    pass


async def by_sibling(call, patience):
    got = []

    async def ask():
        got.append(await call)
        group.cancel_scope.cancel()

    async def fail():
        await asyncio.sleep(patience)
        raise Sibling

    try:
        async with anyio.create_task_group() as group:
            group.start_soon(ask)
            if patience is not None:
                group.start_soon(fail)
    except* Sibling:
        pass
    if not got:
        raise TimeoutError
    return got[0]


WAYS = (by_timeout, by_scope, by_twice, by_sibling)


async def main():
    await asyncio.gather(*(task() for _ in range(TASKS)))
    for one in threads:
        await asyncio.to_thread(one.join)
    await backend.aclose()


threads = [threading.Thread(target=thread) for _ in range(THREADS)]
for one in threads:
    one.start()
asyncio.run(main())
found["statistics"] = {
    name: getattr(backend.stats(), name) for name in ("fills", "refused_fills", "degraded")
}
print(json.dumps(found))
