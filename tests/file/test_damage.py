"""A store that was cut, flipped or replaced: never a wrong value, never a dead process."""

import logging
import os
import socket
import struct
from pathlib import Path

import pytest

from jinpy_cache_core.exceptions import CacheBackendError, CacheConfigurationError
from jinpy_cache_file import FileCacheBackend, FileCacheConfig
from jinpy_cache_file.environment import DATA_NAME

VALUES = {f"k{number}": {"k": f"k{number}", "n": number, "pad": "x" * 50} for number in range(40)}

pytestmark = pytest.mark.faults


def fill(directory: Path) -> Path:
    """Make a small store and return its data file."""
    with FileCacheBackend(FileCacheConfig(directory=directory)) as cache:
        cache.set_many(VALUES, ttl=1e9)
    return directory / DATA_NAME


def used_bytes(whole: bytes) -> int:
    """Where the pages of a store end and its padding begins."""
    last = max(struct.unpack_from("=Q", whole, page + 136)[0] for page in (0, 4096))
    return 4096 * (last + 1)


def assert_right_or_missing(cache: FileCacheBackend) -> int:
    """Whatever is still read is what was stored under exactly that key."""
    found = {key: value for key in VALUES if (value := cache.get(key)) is not None}
    for key, value in found.items():
        assert value == VALUES[key]
    return len(found)


def only_value_file(directory: Path) -> Path:
    """The one file of a large value."""
    (file,) = (path for path in (directory / "values").rglob("*.bin"))
    return file


@pytest.mark.parametrize("step", [256, pytest.param(1, marks=pytest.mark.soak)])
def test_a_store_cut_at_any_length_is_set_aside(directory, caplog, step):
    """It is renamed, logged and counted, a new one is begun, and no read kills the process."""
    data = fill(directory)
    whole = data.read_bytes()
    used = used_bytes(whole)
    lengths = sorted({*range(0, used, step), 1, 4095, 4097, 8191, used - 1})
    caplog.set_level(logging.ERROR, "jinpy_cache.file")
    for length in lengths:
        for old in directory.glob(f"{DATA_NAME}*"):
            old.unlink()
        data.write_bytes(whole[:length])
        with FileCacheBackend(FileCacheConfig(directory=directory)) as cache:
            assert assert_right_or_missing(cache) == 0
            assert cache.set_aside == (1 if length else 0)
            cache.set("a", 1)
            assert cache.get("a") == 1
            assert cache.check().ok
        assert len(list(directory.glob(f"{DATA_NAME}.damaged-*"))) == (1 if length else 0)


def test_setting_aside_is_logged_once_and_keeps_one_copy(directory, caplog):
    """The newest damaged store is kept for whoever wants to look; no disk is filled with them."""
    for _ in range(3):
        data = fill(directory)
        os.truncate(data, 5000)
        with FileCacheBackend(FileCacheConfig(directory=directory)):
            pass
    assert len(list(directory.glob(f"{DATA_NAME}.damaged-*"))) == 1
    records = [record for record in caplog.records if record.name == "jinpy_cache.file"]
    assert len(records) == 3
    assert "set aside" in records[0].getMessage()


@pytest.mark.parametrize(
    ("bit", "step"),
    # A prime step, so that the sweep meets many offsets within pages, nodes and records.
    [(0x01, 79), (0x80, 79), pytest.param(0x10, 1, marks=pytest.mark.soak)],
)
def test_a_flipped_bit_is_never_a_wrong_value(directory, bit, step):
    """Each byte of the store in turn: what is read is right or missing, and the cache works on.

    Where the byte is one of a page's index, LMDB may look past an entry, even a new one: a miss.
    Where it is of the mark that makes the store ours, it is taken for another program's, and left.
    """
    data = fill(directory)
    whole = bytearray(data.read_bytes())
    lost = overlooked = disowned = 0
    offsets = range(0, used_bytes(whole), step)
    for offset in offsets:
        damaged = bytearray(whole)
        damaged[offset] ^= bit
        for old in directory.glob(f"{DATA_NAME}*"):
            old.unlink()
        data.write_bytes(damaged)
        try:
            cache = FileCacheBackend(FileCacheConfig(directory=directory))
        except CacheConfigurationError:
            disowned += 1
            continue
        with cache:
            found = assert_right_or_missing(cache)
            lost += found < len(VALUES)
            cache.set("after", offset)
            after = cache.get("after")
            assert after in (offset, None)
            overlooked += after is None
    assert lost
    assert overlooked + disowned < len(offsets) / 100


def test_a_flipped_byte_of_a_record_is_a_miss_that_heals(make, directory):
    """The damaged entry is dropped and counted, all others stay, and the store is whole again."""
    cache = make()
    cache.set_many(VALUES)
    cache.close()
    data = directory / DATA_NAME
    damaged = data.read_bytes().replace(b"x" * 50, b"x" * 49 + b"y")
    data.write_bytes(damaged)
    cache = make()
    assert assert_right_or_missing(cache) == 0
    assert cache.counters.discarded == len(VALUES)
    assert cache.check().ok
    cache.set("k1", "new")
    assert cache.get("k1") == "new"


def test_records_that_changed_places_are_misses(make, directory):
    """A record is bound to its key: two that were swapped are not each other's values."""
    cache = make()
    cache.set("first", "value-1")
    cache.set("other", "value-2")
    env = cache._environment.current()
    with env.begin(write=True) as txn:
        one, two = txn.get(b"edisk:first"), txn.get(b"edisk:other")
        txn.put(b"edisk:first", two)
        txn.put(b"edisk:other", one)
    assert (cache.get("first"), cache.get("other")) == (None, None)
    assert cache.check().ok


@pytest.mark.parametrize("deadline", [float("nan"), float("-inf"), -1.0, 0.0])
def test_an_impossible_deadline_is_a_miss(make, deadline):
    """An entry whose expiry cannot be read is not immortal."""
    cache = make()
    cache.set("a", 1)
    from zlib import crc32

    env, key = cache._environment.current(), b"edisk:a"
    with env.begin(write=True) as txn:
        record = bytearray(txn.get(key))
        record[6:14] = struct.pack("<d", deadline)
        record[1:5] = struct.pack("<I", crc32(record[5:], crc32(key)))
        txn.put(key, bytes(record))
    assert cache.get("a") is None
    assert cache.ttl("a") is None
    assert not cache.exists("a")


def test_a_record_of_a_later_version_is_a_miss_and_stays(make):
    """A rolling upgrade shares the directory: what the newer release wrote is left for it."""
    cache = make()
    cache.set("a", 1)
    env, key = cache._environment.current(), b"edisk:a"
    with env.begin(write=True) as txn:
        record = bytearray(txn.get(key))
        record[5] = 0x20
        txn.put(key, bytes(record))
    assert cache.get("a") is None
    with env.begin() as txn:
        assert txn.get(key) == bytes(record)


def test_a_value_file_cut_at_any_length_is_a_miss(make, directory):
    """A part of a value is not a value."""
    cache = make(inline_max_bytes=100)
    for length in range(1000):
        cache.set("a", os.urandom(500).hex())
        os.truncate(only_value_file(directory), length)
        assert cache.get("a") is None
    assert cache.check().ok
    assert cache.counters.discarded == 1000


def test_a_flipped_byte_of_a_value_file_is_a_miss(make, directory):
    """Each byte of the file in turn."""
    cache = make(inline_max_bytes=100)
    for offset in range(300):
        cache.set("a", "x" * 300)
        file = only_value_file(directory)
        content = bytearray(file.read_bytes())
        content[offset] ^= 0x10
        file.write_bytes(content)
        assert cache.get("a") is None


def replace_by_directory(path: Path) -> None:
    """Leave an empty directory."""
    path.mkdir()


def replace_by_fifo(path: Path) -> None:
    """Leave a FIFO that nobody writes to."""
    os.mkfifo(path)


def replace_by_link(path: Path) -> None:
    """Leave a link to a file of the system."""
    path.symlink_to("/etc/passwd")


def replace_by_device_link(path: Path) -> None:
    """Leave a link to a file without an end."""
    path.symlink_to("/dev/zero")


def replace_by_socket(path: Path) -> None:
    """Leave a socket."""
    # The name of a socket is limited to 107 bytes, that of a temporary directory is not.
    with socket.socket(socket.AF_UNIX) as one:
        here = os.open(path.parent, os.O_RDONLY)
        try:
            one.bind(f"/proc/self/fd/{here}/{path.name[:20]}")
            (path.parent / path.name[:20]).rename(path)
        finally:
            os.close(here)


def replace_by_sparse_file(path: Path) -> None:
    """Leave ten gigabytes of nothing."""
    path.touch(mode=0o600)
    os.truncate(path, 10 << 30)


REPLACEMENTS = [
    replace_by_directory,
    replace_by_fifo,
    replace_by_link,
    replace_by_device_link,
    replace_by_socket,
    replace_by_sparse_file,
]


@pytest.mark.parametrize("replace", REPLACEMENTS, ids=lambda replace: replace.__name__)
def test_something_else_at_the_place_of_a_value_file_is_a_miss(make, directory, replace):
    """Nothing is followed, waited for, or read to its end; the key can be used again."""
    cache = make(inline_max_bytes=100)
    cache.set("a", "x" * 300)
    file = only_value_file(directory)
    file.unlink()
    replace(file)
    assert cache.get("a") is None
    cache.set("a", "y" * 300)
    assert cache.get("a") == "y" * 300


@pytest.mark.parametrize("replace", REPLACEMENTS, ids=lambda replace: replace.__name__)
def test_something_else_at_the_place_of_the_store_is_set_aside(directory, replace):
    """A new store is begun, and what was there is renamed, not followed."""
    data = fill(directory)
    data.unlink()
    replace(data)
    with FileCacheBackend(FileCacheConfig(directory=directory)) as cache:
        assert cache.get("k1") is None
        assert cache.set_aside == 1
        cache.set("a", 1)
        assert cache.get("a") == 1


def test_the_value_file_of_another_key_is_a_miss(make, directory):
    """A file that was moved to another name is not that name's value."""
    cache = make(inline_max_bytes=100)
    cache.set("a", "a" * 300)
    first = only_value_file(directory)
    cache.set("b", "b" * 300)
    (second,) = (path for path in (directory / "values").rglob("*.bin") if path != first)
    first.rename(second)
    assert (cache.get("a"), cache.get("b")) == (None, None)


def test_a_directory_removed_under_a_running_cache_is_made_again(make, directory, clock):
    """At most a second later everything works on, in a new private directory."""
    import shutil

    cache = make(clock)
    cache.set("a", 1)
    shutil.rmtree(directory)
    clock.advance(2)
    cache.set("b", 2)
    assert (cache.get("a"), cache.get("b")) == (None, 2)
    assert cache.check().ok
    with FileCacheBackend(FileCacheConfig(name="disk2", directory=directory)) as other:
        other.set("c", 3)


def test_a_directory_replaced_by_a_file_is_a_clear_error(make, directory, clock):
    """And when the file is gone, the same object works again."""
    import shutil

    cache = make(clock)
    cache.set("a", 1)
    shutil.rmtree(directory)
    directory.write_text("a file")
    clock.advance(2)
    with pytest.raises((CacheBackendError, CacheConfigurationError), match="not a directory"):
        cache.set("b", 2)
    directory.unlink()
    clock.advance(2)
    cache.set("b", 2)
    assert cache.get("b") == 2


def test_a_store_set_aside_by_another_process_is_left_by_this_one(make, start, directory, clock):
    """A process that still has the damaged store open follows to the new one within a second."""
    cache = make(clock)
    cache.set("a", 1)
    (directory / DATA_NAME).rename(directory / "gone")
    other = start("shell", directory)
    assert other.stdout.readline() == "ready\n"
    other.stdin.write("cache.set('b', 2)\n")
    other.stdin.flush()
    assert other.stdout.readline() == "None\n"
    clock.advance(2)
    assert cache.get("b") == 2
    cache.set("c", 3)
    other.stdin.write("cache.get('c')\n")
    other.stdin.flush()
    assert other.stdout.readline() == "3\n"
