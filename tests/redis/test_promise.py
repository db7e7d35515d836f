"""A server that freezes, dies and comes back under functions: the value, on time, whatever it does.

`pytest -s tests/redis/test_promise.py -k outage` prints the table that the guide on failures shows.
"""

import asyncio
import contextlib
import inspect
import itertools
import signal
import statistics
import subprocess
import sys
import textwrap
import threading
import time

import pytest
import redis
from tests.redis.conftest import LATE
from tests.redis.proxy import Proxy

from jinpy_cache_core.functions.cached import cached
from jinpy_cache_redis import RedisCacheBackend
from jinpy_cache_redis.commands import operations
from jinpy_cache_testing.sync_view import new_runner

CALLS = 10_000
ROUND_TRIP = 0.04
BUSY = 0.0002

pytestmark = [pytest.mark.redis]


def _times(call, count=CALLS):
    times = []
    for number in range(count):
        began = time.perf_counter()
        call(number % 100)
        times.append(time.perf_counter() - began)
    return times


def _p99(found):
    times = sorted(itertools.chain.from_iterable(found))
    return times[int(len(times) * 0.99)]


def _same(n):
    return n


async def _asame(n):
    return n


def _sync(cache):
    return [_times(cache(_same))]


def _threads(cache):
    function = cache(_same)
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(_times(function, CALLS // 4)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def _tasks(cache):
    function = cache(_asame)

    async def task():
        times = []
        for number in range(CALLS // 200):
            began = time.perf_counter()
            await function(number)
            times.append(time.perf_counter() - began)
            await asyncio.sleep(0)  # let the others have their first call
        return times

    async def main():
        return await asyncio.gather(*(task() for _ in range(200)))

    with new_runner() as runner:
        return runner.run(main())


def _busy(function):
    """Work in the place of a cache: calls that wait for nobody, as a busy machine has them."""

    def work():
        until = time.thread_time() + BUSY
        while time.thread_time() < until:
            pass

    if inspect.iscoroutinefunction(function):

        async def call(n):
            work()
            return await function(n)

        return call

    return lambda n: (work(), function(n))


CALLERS = {"one thread": _sync, "4 threads": _threads, "200 tasks": _tasks}


TABLE = """
| server | callers | first call at most | 99 of 100 others within | hits again after it goes on |
|---|---|---|---|---|
"""


@pytest.fixture(scope="module")
def table():
    """Rows of the table, printed when all are there."""
    rows = []
    yield rows
    print(TABLE + "\n".join(rows))  # noqa: T201


@pytest.mark.serial
@pytest.mark.faults
@pytest.mark.parametrize("callers", CALLERS)
@pytest.mark.parametrize("how", ["frozen (SIGSTOP)", "killed"])
def test_an_outage_costs_the_first_call_one_timeout_and_the_others_nothing(
    start_server, make, table, how, callers
):
    """The first call of each caller at most `command_timeout`; the rest less than 1 ms.

    No caller waits in full twice: who waited for a silent server has learnt it for all. On a busy
    machine any call is late now and then, so they may take as long as ones that use no cache.
    """
    server = start_server()
    backend = make(server.url, command_timeout=1.0)
    backend.get("key")
    frozen = how != "killed"
    if frozen:
        server.pause()
    else:
        server.kill()
    cache = cached(backend=backend, ttl=60)
    try:
        found = CALLERS[callers](cache)
        calmest = rest = _p99(times[1:] for times in found)
        allowed = 0.001
        for _ in range(4):
            if calmest < allowed:
                break
            allowed = max(allowed, _p99(CALLERS[callers](_busy)))
            calmest = min(calmest, _p99(CALLERS[callers](cache)))
    finally:
        if frozen:
            server.resume()
        else:
            server.start()
    first = max(times[0] for times in found)
    back = _seconds_until_hits(backend)
    cells = [how, callers, _shown(first), _shown(rest), _shown(back)]
    table.append(f"| {' | '.join(cells)} |")
    assert back < 2.0
    assert first < 1.0 + 0.3
    assert max(sum(one > 0.9 for one in times) for times in found) <= 1
    assert calmest < allowed
    assert 1 == backend.stats().outages


def _shown(seconds):
    return f"{seconds:.1f} s" if seconds >= 0.1 else f"{seconds * 1e3:.2g} ms"


def _seconds_until_hits(backend):
    began = time.monotonic()
    while True:
        before = backend.stats().degraded
        backend.get_or_set("back", lambda: 1)
        if backend.stats().degraded == before:
            return time.monotonic() - began
        assert time.monotonic() - began < 10
        time.sleep(0.005)


@pytest.mark.parametrize("keys", [1, 1_000])
@pytest.mark.parametrize("how", ["refused", "hanging"])
def test_one_budget_bounds_a_call_whatever_its_steps_and_keys(half, proxy, make, how, keys):
    """The first step that fails is the last one."""
    cache = half(proxy.url, command_timeout=0.3, operation_timeout=0.5, connect_timeout=0.3)
    cache.get("key")
    if how == "refused":
        proxy.close()
        proxy.cut()
    else:
        proxy.swallow = True
    names = [f"k{n}" for n in range(keys)]
    began = time.monotonic()
    found = cache.get_or_set_many(names, lambda missing: dict.fromkeys(missing, 1))
    one = cache.get_or_set("one", lambda: 1)
    took = time.monotonic() - began

    assert (dict.fromkeys(names, 1), 1) == (found, one)
    assert took < 2.5, "one step after the other would take a second for each key"


def test_a_thousand_missing_keys_cost_a_handful_of_round_trips(half, proxy):
    """Claims and values are sent together."""
    cache = half(proxy.url)
    cache.get("key")
    proxy.delay = ROUND_TRIP
    names = [f"k{n}" for n in range(1_000)]
    before = proxy.trips
    cache.get_or_set_many(names, lambda missing: dict.fromkeys(missing, 1))
    trips = proxy.trips - before
    proxy.delay = 0.0

    assert dict.fromkeys(names, 1) == cache.get_many(names)
    assert trips <= 6


@pytest.mark.parametrize("operation", ["set_many", "get_or_set_many"])
def test_a_large_batch_is_sent_in_parts(half, proxy, monkeypatch, operation):
    """Each has the time of one command, so a slow line needs that for a part, not for all."""
    monkeypatch.setattr(operations, "BATCH_BYTES", 64 * 1024)
    cache = half(proxy.url)
    cache.get("warm")
    values = {f"k{number}": b"x" * 16_384 for number in range(200)}
    proxy.largest = 0
    if operation == "set_many":
        cache.set_many(values)
    else:
        assert values == cache.get_or_set_many(values, lambda _: values)

    assert values == cache.get_many(values)
    assert proxy.largest < 128 * 1024


def test_a_burst_on_one_key_is_one_question(server, slow_link, make):
    """Ten thousand tasks: one computation, no error, a handful of commands.

    Callers share the next claim that is not sent yet. One more is needed for each round trip in
    which tasks still begin to ask, so a busy machine may need some more now and then.
    """
    proxy = slow_link
    # Ten thousand tasks keep a busy machine's loop from looking at its sockets for a while.
    patient = dict.fromkeys(("connect_timeout", "command_timeout", "pool_timeout"), 20.0)
    backend = make(proxy.url, **patient, operation_timeout=30.0)
    proxy.delay = 0.01
    commands = []

    async def burst(key):
        computed = []

        async def compute():
            computed.append(1)
            await asyncio.sleep(0)
            return "value"

        before = _commands(server)
        calls = (backend.aget_or_set(key, compute) for _ in range(10_000))
        assert ["value"] * 10_000 == await asyncio.gather(*calls)
        assert [1] == computed
        commands.append(_commands(server) - before)

    with new_runner() as runner:
        for key in "abc":
            runner.run(burst(key))
        proxy.delay = 0.0
    assert min(commands) <= 20
    assert max(commands) <= 60


@pytest.fixture
def slow_link(server):
    """A proxy in front of the test's own server."""
    made = Proxy(server.port)
    yield made
    made.close()


def _commands(server):
    """How many commands of ours the server has executed."""
    stats = server.ask("info", "commandstats")
    ours = ("get", "set", "pttl", "watch", "unwatch", "multi", "exec", "unlink", "mget", "getrange")
    return sum(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ours)


def test_a_cancel_at_any_moment_costs_nobody_else_anything(proxy, make):
    """The next caller of another backend waits for a round trip or two, never for the lease.

    What it takes is compared with a miss that nobody is in the way of, right after it.
    """
    backend, other = make(proxy.url), make(proxy.url)
    backend.get("warm")
    proxy.delay = ROUND_TRIP
    longer = []

    async def slow():
        await asyncio.Event().wait()

    async def took(key):
        began = time.monotonic()
        assert 1 == await other.aget_or_set(key, lambda: 1, 5)
        return time.monotonic() - began

    async def main():
        await backend.aget("warm")
        await other.aget("warm")
        undisturbed = []
        for moment in range(10, 200, 15):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(moment / 1_000):
                    await backend.aget_or_set(f"key{moment}", slow, 5)
            behind_a_cancelled_one = await took(f"key{moment}")
            undisturbed.append(await took(f"free{moment}"))
            longer.append(behind_a_cancelled_one - undisturbed[-1])
        return max(undisturbed) - min(undisturbed)

    with new_runner() as runner:
        unsteadiness = runner.run(main())
        proxy.delay = 0.0
    *_, third_quarter = statistics.quantiles(longer)
    assert third_quarter < 0.1 + ROUND_TRIP + unsteadiness
    assert max(longer) < 2, "a lease would be waited for much longer"


def test_a_lease_goes_back_in_a_few_round_trips(proxy, make):
    """Even from a process that has no connection yet but those of its event loop."""
    backend = make(proxy.url)

    async def main():
        computing = asyncio.Event()

        async def slow():
            computing.set()
            await asyncio.Event().wait()

        await backend.aget("warm")
        task = asyncio.create_task(backend.aget_or_set("key", slow, 5))
        await asyncio.wait_for(computing.wait(), 30)
        trips, accepted = proxy.trips, proxy.accepted
        task.cancel()
        await asyncio.wait([task])
        assert await asyncio.to_thread(backend._loading.returns.drain, 30)
        return proxy.trips - trips, proxy.accepted - accepted

    with new_runner() as runner:
        trips, accepted = runner.run(main())
    assert trips <= 4, "an introduction, a look, and the end of the lease"
    assert accepted <= 1


@pytest.mark.parametrize("keys", [1, 10_000])
def test_a_cancel_is_prompt_while_the_server_hangs(proxy, make, keys):
    """Leases are given back behind the one who is cancelled."""
    backend = make(proxy.url)

    async def main():
        computing = asyncio.Event()

        async def slow(*_):
            computing.set()
            await asyncio.Event().wait()

        if keys == 1:
            call = backend.aget_or_set("key", slow, 5)
        else:
            call = backend.aget_or_set_many([f"k{n}" for n in range(keys)], slow, 5)
        task = asyncio.create_task(call)
        await asyncio.wait_for(computing.wait(), 30)
        proxy.swallow = True
        began = time.monotonic()
        task.cancel()
        await asyncio.wait([task], timeout=10)
        took = time.monotonic() - began
        assert task.cancelled()
        return took

    with new_runner() as runner:
        took = runner.run(main())
        proxy.swallow = False
    assert took < 1.0, "the lease's time or the server's would be several times that"


ENDING = """
    import signal, sys, threading, time
    from jinpy_cache_redis import RedisCacheBackend, RedisCacheConfig

    backend = RedisCacheBackend(RedisCacheConfig(url=sys.argv[1], namespace=sys.argv[2]))
    leading = threading.Event()
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def hang():
        leading.set()
        while True:
            time.sleep(0.05)

    def lead():
        backend.get_or_set("key", hang)

    if sys.argv[3] == "exit":
        threading.Thread(target=lead, daemon=True).start()
        leading.wait(10)
        print("leading", flush=True)
    else:
        threading.Thread(target=lambda: (leading.wait(), print("leading", flush=True))).start()
        lead()
"""


@pytest.mark.faults
@pytest.mark.parametrize("ending", ["exit", "SIGTERM", "SIGINT"])
def test_a_process_that_ends_gives_its_leases_back(server, make, ending):
    """A normal end with a daemon thread that computes, and the signals that end a process."""
    backend = make(server.url)
    program = [sys.executable, "-c", textwrap.dedent(ENDING), server.url]
    program += [backend.config.namespace, ending]
    process = subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        assert b"leading\n" == process.stdout.readline()
        if ending != "exit":
            process.send_signal(getattr(signal, ending))
        process.wait(10)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    if ending == "SIGTERM":
        assert process.returncode == -signal.SIGTERM
    began = time.monotonic()
    assert "mine" == backend.get_or_set("key", lambda: "mine")
    assert time.monotonic() - began < 1.0, "the lease's time would be ten times that"


@pytest.mark.parametrize("skew", [-3_700, -60, 60, 3_700])
def test_clocks_of_hosts_that_are_apart_change_nothing(make, server, skew):
    """Freshness, grace and the age of a lease are told by the server's clock."""
    true = make(server.url)
    with RedisCacheBackend(true.config, clock=lambda: time.time() + skew) as apart:
        _compare(apart, true)


@pytest.mark.parametrize("skew", [-60, 0, 60])
def test_hosts_that_are_apart_renew_each_others_values_early(half, make, server, skew):
    """What the one has computed is taken for the same value in each look of the other."""
    reader = half(server.url)
    with RedisCacheBackend(make(server.url).config, clock=lambda: time.time() + skew) as writer:
        writer.get_or_set("key", lambda: "old", ttl=600, refresh_ahead=0.5)
        admin = redis.Redis(port=server.port)
        with contextlib.closing(admin):
            for stored in admin.scan_iter():
                admin.pexpire(stored, 200_000)
        patience = time.monotonic() + LATE
        while "new" != reader.get_or_set("key", lambda: "new", ttl=600, refresh_ahead=0.5):
            assert time.monotonic() < patience
            time.sleep(0.01)


def _compare(apart, true):
    apart.get_or_set("graced", lambda: 1, ttl=30, grace=600)
    computed = []
    gate = threading.Event()

    def slow():
        gate.wait(10)
        computed.append("apart")
        return "value"

    leader = threading.Thread(target=lambda: apart.get_or_set("key", slow, ttl=30))
    leader.start()
    while not apart._loading.flights.leased():
        time.sleep(0.001)
    threading.Timer(0.05, gate.set).start()
    value = true.get_or_set("key", lambda: computed.append("true"), ttl=30)
    leader.join()

    assert (1, True, {"graced": 1}) == (
        true.get("graced"),
        true.exists("graced"),
        true.get_many(["graced"]),
    )
    assert 29 < true.ttl("graced") <= 30.5
    assert ("value", ["apart"]) == (value, computed)
    assert "value" == true.get("key")
