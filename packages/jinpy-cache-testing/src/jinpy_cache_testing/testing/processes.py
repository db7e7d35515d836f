"""Several processes computing over one store: for backends whose stores others can share.

`computed_in_processes` and `stressed` start this module as a program in each process.
"""

import asyncio
import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import attrs

from jinpy_cache_core.backend import BaseBackend
from jinpy_cache_core.factory import CacheBackendFactory
from jinpy_cache_core.loading.flights import aloft

PATIENCE = 60.0
"""Seconds after which a process that should have ended counts as hanging."""


@attrs.frozen
class Report:
    """What the processes noted.

    Attributes:
        results: What each caller got, of all processes.
        computed: The generation of each computation.
        wrong: Values that were older than an invalidation that had ended before.
        deletes: How many invalidations there were.
    """

    results: list[str]
    computed: list[str]
    wrong: list[str]
    deletes: int


def computed_in_processes(url: str, folder: Path, count: int = 4) -> Report:
    """Let several processes ask for one missing key at once.

    Args:
        url: Of the backend.
        folder: An empty folder, for their notes.
        count: How many processes; all but one must be seen waiting before the value is there.
    """
    processes = [_start("once", url, folder) for _ in range(count)]
    try:
        _wait_for(lambda: len(_notes(folder, "waiting ")) >= count - 1, processes)
        (folder / "release").touch()
    finally:
        _end(processes)
    return _report(folder)


def stressed(url: str, folder: Path, count: int = 4) -> Report:
    """Let processes, each with threads and event loops, read what one of them keeps deleting."""
    _end([_start("stress", url, folder, str(number)) for number in range(count)])
    return _report(folder)


def _start(*arguments: object) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-m", __name__, *map(str, arguments)])  # noqa: S603


def _wait_for(done: Any, processes: "list[subprocess.Popen[bytes]]") -> None:
    until = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < until, "the processes did not come to their point"
        assert all(one.poll() in (None, 0) for one in processes), "a process failed"
        time.sleep(0.01)


def _end(processes: "list[subprocess.Popen[bytes]]") -> None:
    try:
        codes = [process.wait(PATIENCE) for process in processes]
        assert [0] * len(processes) == codes
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _notes(folder: Path, kind: str) -> list[str]:
    lines = [line for path in folder.glob("*.notes") for line in path.read_text().splitlines()]
    return [line.removeprefix(kind) for line in lines if line.startswith(kind)]


def _report(folder: Path) -> Report:
    return Report(
        _notes(folder, "result "),
        _notes(folder, "computed "),
        _notes(folder, "wrong "),
        len(_notes(folder, "deleted ")),
    )


class Notes:
    """One file of notes for each process."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / f"{os.getpid()}.notes"
        self._lock = threading.Lock()

    def add(self, line: str) -> None:
        """Append a line."""
        with self._lock, self._path.open("a") as file:
            file.write(f"{line}\n")


def _computing(notes: Notes) -> None:
    """Note the generation that the running factory computes for."""
    notes.add(f"computed {aloft.get()[-1][1].token.hex()}")


def _once(backend: BaseBackend, folder: Path, notes: Notes) -> None:
    pause = backend._plans.pause
    noted: list[bool] = []

    def noting(seconds: float) -> None:
        if not noted:
            noted.append(True)
            notes.add("waiting ")
        pause(seconds)

    def compute() -> str:
        _computing(notes)
        until = time.monotonic() + PATIENCE
        while not (folder / "release").exists() and time.monotonic() < until:
            time.sleep(0.005)
        return f"by {os.getpid()}"

    backend._plans.pause = noting
    notes.add(f"result {backend.get_or_set('key', compute, lock_timeout=PATIENCE)}")


def _stress(  # noqa: C901 - what several kinds of threads do at once
    backend: BaseBackend, notes: Notes, number: int
) -> None:
    chance = random.Random(number)  # noqa: S311 - it makes no secrets

    def compute() -> int:
        _computing(notes)
        return int(backend.get("source", 0))

    async def acompute() -> int:
        _computing(notes)
        return int(await backend.aget("source", 0))

    def check(at_least: int, got: int) -> None:
        if got < at_least:
            notes.add(f"wrong {got} after {at_least}")

    def delete() -> None:
        for _ in range(60):
            version = backend.incr("source")
            time.sleep(chance.random() * 0.01)
            backend.delete("key")
            backend.set("ended", version)
            notes.add("deleted ")
        backend.set("over", 1)

    def read() -> None:
        while not backend.exists("over"):
            at_least = backend.get("ended", 0)
            check(at_least, backend.get_or_set("key", compute, lock_timeout=PATIENCE))
            time.sleep(chance.random() * 0.002)  # so that the others get a turn

    async def aread() -> None:
        while not await backend.aexists("over"):
            at_least = await backend.aget("ended", 0)
            check(at_least, await backend.aget_or_set("key", acompute, lock_timeout=PATIENCE))
            await asyncio.sleep(chance.random() * 0.002)

    async def tasks() -> None:
        await asyncio.gather(*(aread() for _ in range(2)))
        closing = getattr(backend, "aclose_loop", None)
        if closing is not None:
            await closing()

    works = [read] * 6 + [lambda: asyncio.run(tasks())] * 2
    if number == 0:
        works[0] = delete
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main() -> None:
    """Be one of the processes."""
    what, url, folder, *rest = sys.argv[1:]
    notes = Notes(Path(folder))
    with CacheBackendFactory.create(url) as backend:
        if what == "once":
            _once(backend, Path(folder), notes)
        else:
            _stress(backend, notes, int(rest[0]))


if __name__ == "__main__":
    main()
