"""Sixty seconds of everything at once: processes, threads, tasks, cancellations, a sick server."""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
import redis

PROGRAM = Path(__file__).parent / "programs" / "chaos.py"
SECONDS = float(os.environ.get("JINPY_CHAOS_SECONDS", "60"))
PROCESSES = 8
LONGEST = 8.0
"""Seconds: two waits of `lock_timeout`, the store's two, and a busy machine."""


@pytest.mark.soak
@pytest.mark.redis
@pytest.mark.timeout(SECONDS * 3 + 120)
def test_nothing_gets_out_of_a_chaos(start_server):
    """No error, no call beyond its budget, nothing older than an invalidation, no lease left."""
    server = start_server()
    namespace = "chaos"
    programs = [
        subprocess.Popen(
            [sys.executable, PROGRAM, server.url, namespace, str(SECONDS), str(n), server.url],
            stdout=subprocess.PIPE,
        )
        for n in range(PROCESSES)
    ]
    chance = random.Random(1)
    until = time.monotonic() + SECONDS
    try:
        while time.monotonic() < until:
            time.sleep(chance.random() * 2)
            if chance.random() < 0.5:
                server.pause()
                time.sleep(chance.random() * 0.8)
                server.resume()
            else:
                server.ask("client", "kill", "type", "normal")
        ends = [json.loads(one.communicate(timeout=60)[0]) for one in programs]
    finally:
        server.resume()
        for one in programs:
            one.kill()
            one.wait()
            one.stdout.close()
    calls = sum(end["calls"] for end in ends)
    print(f"\n{calls:,} calls, longest {max(end['longest'] for end in ends):.2f} s")  # noqa: T201
    print(*(end["statistics"] for end in ends), sep="\n")  # noqa: T201

    assert calls > 1_000
    assert [] == [error for end in ends for error in end["errors"]]
    assert [] == [one for end in ends for one in end["stale"]]
    assert max(end["longest"] for end in ends) < LONGEST
    with redis.Redis.from_url(server.url) as client:
        leases = [
            key
            for key in client.scan_iter(f"{namespace}:*")
            if (client.get(key) or b"")[:4].startswith(b"\xc1\x01\x01")
        ]
    assert [] == leases
