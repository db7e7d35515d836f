"""A directory that is removed, renamed, copied or restored while processes use it."""

import contextlib
import fcntl
import os
import shutil
import signal
import threading
from pathlib import Path

import lmdb
import pytest

from jinpy_cache_core.exceptions import CacheException
from jinpy_cache_file import FileCacheBackend, FileCacheConfig
from jinpy_cache_file.layout import FORMAT_KEY
from jinpy_cache_testing import FakeClock

pytestmark = pytest.mark.faults

PROCESSES, WIPES = 4, 40


def wipe(directory: Path, chance: int) -> None:
    """Remove the files of a cache one by one, in an order that differs."""
    names = ["write.lock", "lock.mdb", "data.mdb", "reserve"]
    names = names[chance % 4 :] + names[: chance % 4]
    if chance % 3 == 0:
        shutil.rmtree(directory, ignore_errors=True)
        return
    for name in names[: 1 + chance % 4]:
        (directory / name).unlink(missing_ok=True)


def test_a_directory_that_is_wiped_again_and_again_ends_no_process(fork, directory):
    """No process aborts, and no read gives what was not stored under its key."""
    config = FileCacheConfig(name="disk", directory=directory, inline_max_bytes=2000)
    stop = os.pipe()

    def work(seed: int) -> None:
        clock = FakeClock()  # looks at the files again with each advance
        os.close(stop[1])
        os.set_blocking(stop[0], False)
        with FileCacheBackend(config, clock=clock) as cache:
            number = 0
            while True:
                with contextlib.suppress(BlockingIOError):
                    if os.read(stop[0], 1) == b"":
                        return
                number += 1
                key = f"k{number * (seed + 7) % 200}"
                with contextlib.suppress(CacheException):
                    found = cache.get(key)
                    assert found is None or found["k"] == key, (key, found)
                    size = 3000 if number % 10 == 0 else number % 900
                    cache.set(key, {"k": key, "body": b"x" * size})
                    cache.incr("n")
                if number % 7 == 0:
                    clock.advance(2)
                if number % 50 == 0:
                    with contextlib.suppress(CacheException), FileCacheBackend(config) as other:
                        other.set(key, {"k": key})

    children = [fork(lambda seed=seed: work(seed)) for seed in range(PROCESSES)]
    for chance in range(WIPES):
        threading.Event().wait(0.02)
        wipe(directory, chance)
    for descriptor in (stop[1], stop[0]):
        os.close(descriptor)
    ends = [os.waitpid(child, 0)[1] for child in children]
    assert [0] * PROCESSES == ends, [signal.Signals(end).name for end in ends if end]
    with FileCacheBackend(config) as cache:
        for key in list(cache.scan()):  # a wipe may have left an entry without its file
            cache.get(key)
        cache.sweep()
        report = cache.check()
        assert report.ok, report.problems


@pytest.mark.parametrize("missing", ["lock.mdb", "data.mdb"])
def test_two_files_are_never_paired_that_were_not_made_together(make, shell, directory, missing):
    """A process that goes on with the old files writes to none that another one has made anew."""
    cache = make()
    cache.set("old", 1)
    old = [(directory / name).stat().st_ino for name in ("data.mdb", "lock.mdb")]
    (directory / missing).unlink()
    other = shell()
    new = [(directory / name).stat().st_ino for name in ("data.mdb", "lock.mdb")]
    assert not {*old} & {*new}
    expected = "1" if missing == "lock.mdb" else "None"
    assert expected == other.ask("cache.get('old')")
    assert "None" == other.ask("cache.set('new', 2)")


@pytest.mark.parametrize("stray", ["lock.mdb", "data.mdb"])
def test_what_lmdb_has_made_itself_is_not_used(make, shell, directory, stray):
    """A file that was removed in the instant of an opening is made by LMDB, and is paired anew."""
    cache = make()
    cache.set("old", 1)
    path = directory / stray
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)
    path.chmod(0o200)
    with path.open("rb") as kept:  # so that its number is not given to another one
        made = os.fstat(kept.fileno()).st_ino
        other = shell()
        assert path.stat().st_ino != made
    assert path.stat().st_mode & 0o777 == 0o600
    assert other.ask("cache.get('old')") == ("1" if stray == "lock.mdb" else "None")
    assert "None" == other.ask("cache.set('new', 2)")


def test_a_store_that_has_lost_its_mark_is_set_aside(make, directory, tmp_path):
    """As where an older copy was put over it in place: nobody takes it for another program's."""
    with make() as cache:
        cache.set("old", 1)
    with lmdb.open(str(directory), lib_version=0) as opened, opened.begin(write=True) as txn:
        assert txn.delete(FORMAT_KEY)
    with make() as cache:
        assert cache.set_aside == 1
        assert cache.get("old") is None
        cache.set("new", 2)
    with make() as cache:
        assert cache.get("new") == 2
        assert cache.check().ok


def test_files_are_paired_by_one_process_at_a_time(make, directory):
    """Whoever cannot have the directory's own lock pairs nothing, though `write.lock` is free."""
    cache = make()
    cache.set("old", 1)
    cache.close()
    held = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        (directory / "write.lock").unlink()
        with make() as other:  # both files are there, so it can go on
            assert other.get("old") == 1
        (directory / "lock.mdb").unlink()
        with pytest.raises(CacheException, match="being made by another process"):
            make(lock_timeout=0.05)
        assert not (directory / "lock.mdb").exists()
    finally:
        os.close(held)
    assert make().get("old") == 1


def test_a_copy_of_a_cache_is_a_cache(make, directory, tmp_path):
    """A directory that was copied, or restored from a backup, serves what is in it."""
    cache = make()
    cache.set_many({f"k{number}": number for number in range(300)})
    cache.set("large", b"x" * 50_000)
    cache.close()
    shutil.copytree(directory, tmp_path / "copy")
    restored = make(directory=tmp_path / "copy")
    assert restored.get("k299") == 299
    assert restored.get("large") == b"x" * 50_000
    assert restored.check().ok


def test_a_renamed_directory_is_made_anew(make, directory, clock):
    """What is renamed away is left alone; reads and writes go to the path that was given."""
    cache = make(clock=clock)
    cache.set("k", 1)
    directory.rename(directory.with_name("renamed"))
    clock.advance(2)
    assert cache.get("k") is None
    cache.set("k", 2)
    assert cache.get("k") == 2
    moved = make(directory=directory.with_name("renamed"))
    assert moved.get("k") == 1


def test_a_directory_renamed_into_place_is_followed(make, directory, clock):
    """A backup that is put in the place of the directory is what is read from then on."""
    backup = make(directory=directory.with_name("backup"))
    backup.set("k", "backup")
    backup.close()
    cache = make(clock=clock)
    cache.set("k", "present")
    directory.rename(directory.with_name("old"))
    directory.with_name("backup").rename(directory)
    clock.advance(2)
    assert cache.get("k") == "backup"
    cache.set("k", "newer")
    assert cache.check().ok
