"""The memory example of the reference page, as it is printed there."""

import subprocess
import sys

MEMORY_EXAMPLE = """\
from jinpy_utils.cache import Cache, MemoryCacheConfig, CacheManagerConfig

config = CacheManagerConfig(backends=[
    MemoryCacheConfig(name="mem", default_ttl=60)
])

cache = Cache(backend="mem")
cache.set("a", 1)
assert cache.get("a") == 1
"""


def run(program: str) -> str:
    """Run a program in a new interpreter and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "" == done.stderr
    return done.stdout.strip()


def test_the_memory_example_runs_word_for_word() -> None:
    """The example runs in a new process, and its `default_ttl` counts."""
    assert "True" == run(MEMORY_EXAMPLE + 'print(59 < cache.ttl("a") <= 60)')


def test_the_memory_example_runs_inside_an_event_loop() -> None:
    """Its synchronous calls work in a coroutine too, beside asynchronous ones."""
    program = (
        "import asyncio\n"
        "async def main():\n"
        + "".join(f"    {line}\n" for line in MEMORY_EXAMPLE.splitlines())
        + '    await cache.aset("b", [2])\n'
        '    print(await cache.aget("a"), cache.get("b"))\n'
        "asyncio.run(main())"
    )
    assert "1 [2]" == run(program)
