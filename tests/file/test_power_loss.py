"""The power fails: every image that the kernel could have left on the platter is opened.

The writes of a sequence of acknowledged operations are recorded under `strace`. What was synced
before a moment is on the platter at that moment; of what was written since, any part may be, page
by page, in any order. Such images are made for each moment and opened as a store after a restart.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import attrs
import pytest

from jinpy_cache_file import FileCacheBackend, FileCacheConfig

PAGE = 4096
KEYS = 5
NOWHERE = 999
"""A descriptor that is not open: writes to it do nothing but appear in the trace."""

TRACED = "lseek,write,writev,pwrite64,pwritev,pwritev2,fsync,fdatasync,ftruncate,fallocate,msync"
ANOTHER_BOOT = b"another start of the machine"

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed"),
]

CALL = re.compile(r"^\d+ +(\w+)\((\d+)(.*)\) += (-?\d+).*$")
STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


@attrs.frozen
class Write:
    """A part of a page that was written; with `at_once` it is on the platter at once."""

    offset: int
    content: bytes
    at_once: bool


@attrs.frozen
class Sync:
    """Everything that was written before is on the platter."""


@attrs.frozen
class Acknowledged:
    """So many operations have returned."""

    operations: int


Event = Write | Sync | Acknowledged


def config_of(directory: Path, durability: str) -> FileCacheConfig:
    """The settings before and after the power cut."""
    return FileCacheConfig(name="disk", directory=directory, durability=durability)


def key_of(number: int) -> str:
    """Each key is stored again and again, and removed now and then."""
    return f"k{number % KEYS}"


def value_of(number: int) -> dict[str, object]:
    """A value that tells its key and which operation stored it."""
    return {"key": key_of(number), "number": number, "body": "x" * (number * 37 % 700)}


def operate(cache: FileCacheBackend, number: int) -> None:
    """One operation: a set, or a removal."""
    if number % 7 == 6:
        cache.delete(key_of(number))
    else:
        cache.set(key_of(number), value_of(number))


def expected_after(operations: int) -> dict[str, int]:
    """Which operation's value each key has."""
    state: dict[str, int] = {}
    for number in range(operations):
        if number % 7 == 6:
            state.pop(key_of(number), None)
        else:
            state[key_of(number)] = number
    return state


def recorded(directory: Path, durability: str, operations: int) -> tuple[bytes, list[Event]]:
    """Let a child operate on a new cache under `strace`.

    Returns:
        The store as it was before, and what happened to it.
    """
    pid = os.fork()
    if not pid:
        try:
            with FileCacheBackend(config_of(directory, durability)) as cache:
                os.kill(os.getpid(), signal.SIGSTOP)
                for number in range(operations):
                    operate(cache, number)
                    with contextlib.suppress(OSError):
                        os.write(NOWHERE, b"%d" % (number + 1))
        finally:
            os._exit(0)
    os.waitpid(pid, os.WUNTRACED)
    before = (directory / "data.mdb").read_bytes()
    at_once = {
        int(link.name): bool(flags_of(pid, link.name) & os.O_DSYNC)
        for link in Path(f"/proc/{pid}/fd").iterdir()
        if str(link.readlink()) == str(directory / "data.mdb")
    }
    trace = Path(f"{directory}.trace")
    command = ["strace", "-f", "-qq", "-xx", "-s", "1000000", "-o", str(trace), "-p", str(pid)]
    with subprocess.Popen([*command, "-e", "signal=none", "-e", f"trace={TRACED}"]) as tracer:
        while "TracerPid:\t0\n" in Path(f"/proc/{pid}/status").read_text():
            assert tracer.poll() is None
            time.sleep(0.001)
        os.kill(pid, signal.SIGCONT)
        assert os.waitpid(pid, 0)[1] == 0
    events = list(parsed(trace.read_text().splitlines(), at_once))
    assert events.count(Acknowledged(operations)) == 1
    return before, events


def flags_of(pid: int, descriptor: str) -> int:
    """The flags that a process has opened a file with."""
    found = re.search(r"flags:\s+(\d+)", Path(f"/proc/{pid}/fdinfo/{descriptor}").read_text())
    assert found is not None
    return int(found[1], 8)


def parsed(lines: list[str], at_once: dict[int, bool]) -> Iterator[Event]:
    """What the lines of a trace say about the store; a call that is not understood is an error."""
    position = 0
    for line in lines:
        found = CALL.match(line)
        assert found is not None, line
        name, descriptor, arguments, result = found.groups()
        if int(descriptor) == NOWHERE:
            yield Acknowledged(int(bytes_of(arguments)))
        elif int(descriptor) not in at_once:
            continue
        elif name in {"fsync", "fdatasync"}:
            yield Sync()
        elif name == "lseek":
            position = int(result)
        else:
            assert name in {"writev", "pwrite64"}, line
            content = bytes_of(arguments)
            assert int(result) == len(content), line
            start = position if name == "writev" else int(arguments.rpartition(", ")[2])
            for place in range(0, len(content), PAGE):
                part = content[place : place + PAGE]
                yield Write(start + place, part, at_once[int(descriptor)])


def bytes_of(arguments: str) -> bytes:
    """The content that a traced call was given, in one string or in several."""
    return b"".join(bytes.fromhex(text.replace("\\x", "")) for text in STRING.findall(arguments))


def image(before: bytes, events: list[Event], chance: Random) -> bytes:
    """What the platter may hold after some events: what was synced, and a part of the rest."""
    platter, pending = bytearray(before), list[Write]()

    def land(write: Write) -> None:
        end = write.offset + len(write.content)
        platter.extend(bytes(max(0, end - len(platter))))
        platter[write.offset : end] = write.content

    for event in events:
        if isinstance(event, Sync):
            for write in pending:
                land(write)
            pending.clear()
        elif isinstance(event, Write):
            if event.at_once:
                land(event)
            else:
                pending.append(event)
    share = chance.choice([0.0, 0.1, 0.5, 0.9, 1.0])
    for write in pending:
        if chance.random() < share:
            land(write)
    return bytes(platter)


def restarted(directory: Path, store: bytes) -> None:
    """Lay out a directory as it is after the machine has started again."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(mode=0o700)
    for name, content in (("data.mdb", store), ("write.lock", ANOTHER_BOOT)):
        (directory / name).write_bytes(content)
        (directory / name).chmod(0o600)


def images(
    tmp_path: Path, durability: str, operations: int, variants: int
) -> Iterator[tuple[Path, int]]:
    """Record once, then lay out image after image.

    Yields:
        The directory, and how many operations had been acknowledged.
    """
    before, events = recorded(tmp_path / "recorded", durability, operations)
    chance = Random(operations)
    acknowledged = 0
    for position, event in enumerate(events, start=1):
        if isinstance(event, Acknowledged):
            acknowledged = event.operations
        for _ in range(variants):
            restarted(tmp_path / "image", image(before, events[:position], chance))
            yield tmp_path / "image", acknowledged


def nothing_is_lost(tmp_path: Path, operations: int, variants: int) -> None:
    """With `durability="disk"`, each key has its acknowledged value, or the one being stored."""
    number = 0
    for directory, acknowledged in images(tmp_path, "disk", operations, variants):
        with FileCacheBackend(config_of(directory, "disk")) as cache:
            found = {key: value for key in map(key_of, range(KEYS)) if (value := cache.get(key))}
            assert cache.set_aside == 0
            report = cache.check()
            assert report.ok, report.problems
        states = (expected_after(acknowledged), expected_after(acknowledged + 1))
        assert found in [
            {key: value_of(number) for key, number in state.items()} for state in states
        ]
        number += 1
    assert number > operations * 3


def nothing_is_wrong(tmp_path: Path, operations: int, variants: int) -> None:
    """With `durability="os"`, a key has a value that was stored under it at some time, or none."""
    outcomes = {"kept": 0, "set aside": 0}
    for directory, acknowledged in images(tmp_path, "os", operations, variants):
        with FileCacheBackend(config_of(directory, "os")) as cache:
            for key in map(key_of, range(KEYS)):
                value = cache.get(key)
                if value is not None:
                    assert value == value_of(value["number"])
                    assert value["key"] == key
                    assert value["number"] <= acknowledged
            report = cache.check()
            assert report.ok, report.problems
            cache.set("after", "works")
            assert cache.get("after") == "works"
            outcomes["set aside" if cache.set_aside else "kept"] += 1
    assert all(outcomes.values()), outcomes


TESTS = {"disk": nothing_is_lost, "os": nothing_is_wrong}


@pytest.mark.parametrize("durability", TESTS)
def test_power_loss(tmp_path, fork, durability):
    """Every image opens; `"disk"` loses nothing acknowledged, `"os"` gives nothing wrong."""
    child = fork(lambda: TESTS[durability](tmp_path, operations=15, variants=2))
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.soak
@pytest.mark.parametrize("durability", TESTS)
def test_power_loss_again_and_again(tmp_path, fork, durability):
    """The same with more operations, and many more images of each moment."""
    child = fork(lambda: TESTS[durability](tmp_path, operations=120, variants=20))
    assert os.waitpid(child, 0)[1] == 0
