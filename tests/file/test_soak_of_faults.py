"""Everything that can be done to processes that share a cache, for a while, and what must hold.

They work on one disk, in one directory that is wiped under them again and again, and in one that is
not, where they count; and the disk is full now and then. `tests.soak` has the rest.
"""

import contextlib
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.soak import COUNTERS, KEYS, SECONDS, Conductor, judge
from tests.telltale import assert_whole

from jinpy_cache_file import FileCacheBackend, FileCacheConfig

MAX_BYTES = 8 << 20
DISK = 96 << 20

pytestmark = [
    pytest.mark.soak,
    pytest.mark.faults,
    pytest.mark.timeout(0),
    pytest.mark.filterwarnings("ignore:This process:DeprecationWarning"),
]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of our own."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=0700", "tmpfs", place], check=False
    )
    if mounted.returncode:
        pytest.skip("only who may mount can fill a disk")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


class Disk:
    """Opens the caches on a disk, and harms it.

    Args:
        place: Where it is mounted.

    Attributes:
        largest: The most bytes that a store has taken.
    """

    def __init__(self, place: Path) -> None:
        self._place = place
        self.largest = 0
        self.conductor = Conductor(
            self.values,
            self.counts,
            place.parent,
            {"wiped": self._wipe, "filled": self._fill, "measured": self._measure},
        )

    def values(self) -> FileCacheBackend:
        """The cache whose directory is wiped."""
        return FileCacheBackend(self._config("wiped", max_entries=KEYS // 2))

    def counts(self) -> FileCacheBackend:
        """The cache that keeps its directory."""
        return FileCacheBackend(self._config("kept"))

    def _config(self, name: str, **settings: Any) -> FileCacheConfig:
        """A small cache, with values in the tree and in files."""
        return FileCacheConfig(
            name="disk",
            directory=self._place / name,
            max_bytes=MAX_BYTES,
            inline_max_bytes=2000,
            lock_timeout=2,
            **settings,
        )

    def _wipe(self) -> None:
        chance = self.conductor.chance
        if chance.random() < 0.5:
            shutil.rmtree(self._place / "wiped", ignore_errors=True)
            return
        names = ["data.mdb", "lock.mdb", "write.lock", "values", "reserve"]
        for name in chance.sample(names, chance.randrange(1, 5)):
            path = self._place / "wiped" / name
            if name == "values":
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def _fill(self) -> None:
        ballast = self._place / "ballast"
        with contextlib.suppress(OSError), ballast.open("wb") as file:
            while True:
                file.write(bytes(1 << 16))
                file.flush()
        time.sleep(self.conductor.chance.uniform(0.05, 0.3))
        ballast.unlink()

    def _measure(self) -> None:
        time.sleep(0.1)
        for name in ("wiped", "kept"):
            with contextlib.suppress(OSError):
                size = (self._place / name / "data.mdb").stat().st_blocks * 512
                self.largest = max(self.largest, size)


def test_nothing_that_is_done_to_processes_harms_a_cache(disk, capfd, record_property):
    """No wrong value, no lost count, no end of a process, no store beyond its ceiling."""
    stage = Disk(disk)
    figures = stage.conductor.run(SECONDS) | {"largest store": stage.largest}
    record_property("figures", figures)
    with capfd.disabled():
        print(f"\n{figures}")  # noqa: T201 - what a soak is run for
    with stage.values() as values, stage.counts() as counts:
        counted = sum(counts.get(f"n{number}", 0) for number in range(COUNTERS))
        judge(stage.conductor, figures, counted)
        assert 0 < stage.largest <= 2 * MAX_BYTES
        values.set("after", 1)
        for key in list(values.scan("k")):
            assert_whole(key, values.get(key))
        for cache in (values, counts):
            cache.sweep()
            report = cache.check()
            assert report.ok, report.problems
