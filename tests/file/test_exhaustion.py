"""Disks that are full, read-only or forbidden, and descriptors that have run out."""

import errno
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.faults


def can_mount() -> bool:
    """Whether a file system can be mounted in a namespace of its own."""
    if shutil.which("unshare") is None:
        return False
    command = ["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


needs_mount = pytest.mark.skipif(not can_mount(), reason="needs the right to mount (unshare -m)")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")


def on_tmpfs(mount: Path, options: str) -> tuple[str, ...]:
    """Run a program with a file system of its own at a directory."""
    mount.mkdir(exist_ok=True)
    script = 'mount -t tmpfs -o "mode=0700,$1" none "$0" && shift && exec "$@"'
    return ("unshare", "-m", "sh", "-c", script, str(mount), options)


def failed_with(answer: str, number: int) -> bool:
    """Whether an answer is our error with an error number."""
    return answer.startswith(f"!CacheBackendError errno={number} ")


FILL_DISK = (
    "[open(cache.directory.parent / 'ballast', 'ab', buffering=0).write(bytes(4096)) "
    "for n in range(100_000)]"
)


@needs_mount
def test_a_disk_that_the_cache_itself_fills(tmp_path, shell):
    """Whatever cuts the write short, the error has the number and the words of a full disk."""
    mount = tmp_path / "mount"
    disk = shell(on_tmpfs(mount, "size=512k"), where=mount / "cache")
    assert disk.ask("cache.set('kept', 'old')") == "None"
    answer = disk.ask("[cache.set(f'k{n}', bytes(5000)) for n in range(1000)]")
    assert failed_with(answer, errno.ENOSPC), answer
    assert "is full" in answer
    assert disk.ask("cache.get('kept')") == "'old'"
    assert disk.ask("cache.delete('k0')") == "True"


@needs_mount
@pytest.mark.parametrize("size", ["128k", "1m", "4m"])
def test_a_full_disk(tmp_path, shell, size):
    """Reads, deletes and clear go on; what adds is an error with its number; nothing is lost."""
    mount = tmp_path / "mount"
    disk = shell(on_tmpfs(mount, f"size={size}"), where=mount / "cache", inline_max_bytes=1000)
    assert disk.ask("cache.set('kept', 'old')") == "None"
    assert disk.ask("cache.set_many({f'k{n}': bytes(500) for n in range(30)})") == "None"
    disk.ask(FILL_DISK)
    for adds in (
        "[cache.set(f'new{n}', bytes(500)) for n in range(10_000)]",
        "cache.set('large', bytes(200_000))",
        "cache.set_many({f'm{n}': bytes(900) for n in range(500)})",
        "[cache.incr(f'count{n}') for n in range(10_000)]",
    ):
        answer = disk.ask(adds)
        assert failed_with(answer, errno.ENOSPC), answer
    lines = disk.ask("len(shown(lambda: cache.set('large', bytes(200_000))))")
    assert int(lines) <= 25  # what a user sees: their line, the operation, and one cause
    assert disk.ask("(cache.get('kept'), cache.get('k7') == bytes(500))") == "('old', True)"
    assert disk.ask("cache.delete('kept')") == "True"
    assert disk.ask("cache.get('kept')") == "None"
    assert disk.ask("cache.clear()") == "None"
    assert disk.ask("len(cache)") == "0"
    assert disk.ask("os.unlink(cache.directory.parent / 'ballast')") == "None"
    assert disk.ask("cache.set('after', bytes(5000))") == "None"
    assert disk.ask("cache.get('after') == bytes(5000)") == "True"
    assert disk.ask("cache.check().problems") == "()"


@needs_mount
def test_an_overwrite_on_a_full_disk_keeps_the_old_value(tmp_path, shell):
    """`set` and `incr` raise, and what was there before is there."""
    mount = tmp_path / "mount"
    disk = shell(on_tmpfs(mount, "size=512k"), where=mount / "cache", inline_max_bytes=1000)
    assert disk.ask("cache.set('large', 'old' * 1000)") == "None"
    disk.ask(FILL_DISK)
    assert failed_with(disk.ask("cache.set('large', 'new' * 100_000)"), errno.ENOSPC)
    assert disk.ask("cache.get('large') == 'old' * 1000") == "True"
    assert disk.ask("[name for _, name in cache._index.files.present()].__len__()") == "1"


@needs_mount
def test_no_inodes_left(tmp_path, shell):
    """A value that needs a file of its own is an error; small ones go on."""
    mount = tmp_path / "mount"
    prefix = on_tmpfs(mount, "size=4m,nr_inodes=8")
    disk = shell(prefix, where=mount / "cache", inline_max_bytes=1000)
    assert disk.ask("cache.set('small', 1)") == "None"
    assert failed_with(disk.ask("cache.set('large', bytes(5000))"), errno.ENOSPC)
    assert disk.ask("cache.set('small', 2)") == "None"
    assert disk.ask("(cache.get('small'), cache.get('large'))") == "(2, None)"


@needs_mount
def test_a_read_only_mount(tmp_path, directory, make, shell):
    """What is there is read; writes fail; the cache says that it is not healthy.

    No read waits for a lock that cannot be had: a hundred of them would take minutes.
    """
    cache = make(inline_max_bytes=1000)
    cache.set("a", 1)
    cache.set("large", "x" * 5000)
    cache.close()
    script = 'mount --bind -o ro "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
    disk = shell(("unshare", "-m", "sh", "-c", script, str(directory)))
    assert disk.ask("(cache.get('a'), cache.get('large') == 'x' * 5000)") == "(1, True)"
    assert disk.ask("cache.is_healthy()") == "False"
    for write in ("cache.set('a', 2)", "cache.incr('a')", "cache.delete('a')", "cache.clear()"):
        assert failed_with(disk.ask(write), errno.EROFS), write
    reads = "[cache.exists('a') for _ in range(100)]"
    assert disk.ask(f"(t := time.monotonic(), {reads}, time.monotonic() - t < 20)[2]") == "True"


@needs_root
def test_a_directory_that_another_user_cannot_write(tmp_path, shell):
    """Mode 0500, as a user whom the mode binds: reads work, writes that need names do not."""
    other = 65534
    home = Path("/tmp") / f"jinpy-{os.getpid()}-{tmp_path.name}"
    home.mkdir(mode=0o755)
    try:
        os.chown(home, other, other)
        disk = shell(where=home / "cache", inline_max_bytes=100, user=other)
        assert disk.ask("cache.set('a', 1)") == "None"
        (home / "cache").chmod(0o500)
        assert disk.ask("cache.get('a')") == "1"
        assert failed_with(disk.ask("cache.set('large', 'x' * 1000)"), errno.EACCES)
        assert disk.ask("cache.get('a')") == "1"
        (home / "cache").chmod(0o700)
        assert disk.ask("cache.set('large', 'x' * 1000)") == "None"
        (value,) = (home / "cache" / "values").rglob("*.bin")
        value.chmod(0)
        assert failed_with(disk.ask("cache.get('large')"), errno.EACCES)
    finally:
        shutil.rmtree(home)


def test_no_descriptors_left(shell):
    """An error while there are none, success once there are some, none lost on the way."""
    disk = shell(inline_max_bytes=1000)
    assert disk.ask("cache.set('large', 'x' * 5000)") == "None"
    count = "len(os.listdir('/proc/self/fd'))"
    before = disk.ask(count)
    limit = "resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, 4096))"
    assert disk.ask(limit.format(soft=3)) == "None"
    assert failed_with(disk.ask("cache.set('large', 'y' * 5000)"), errno.EMFILE)
    assert failed_with(disk.ask("cache.get('large')"), errno.EMFILE)
    assert disk.ask("(cache.set('small', 1), cache.get('small'))") == "(None, 1)"
    assert disk.ask(limit.format(soft=1024)) == "None"
    assert disk.ask("cache.get('large') == 'x' * 5000") == "True"
    work = "[(cache.set('large', 'x' * 2000), cache.get('large')) and None for _ in range(1000)][0]"
    assert disk.ask(work) == "None"
    assert disk.ask(count) == before


def test_opening_without_descriptors_is_an_error_that_passes(shell, directory):
    """A cache that cannot be opened now can be opened later."""
    disk = shell()
    again = (
        "type(cache)(type(cache.config)(name='two', directory=cache.directory / 'sub'))"
        ".__class__.__name__"
    )
    disk.ask("resource.setrlimit(resource.RLIMIT_NOFILE, (5, 4096))")
    answer = disk.ask(again)
    assert re.match(r"!CacheBackendError errno=(24|None) ", answer), answer
    disk.ask("resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 4096))")
    assert disk.ask(again) == "'FileCacheBackend'"
    assert (directory / "sub" / "data.mdb").is_file()
