"""Whose directory it is, what is made in it, and what is left alone."""

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from jinpy_cache_core.exceptions import CacheBackendError, CacheConfigurationError
from jinpy_cache_file import FileCacheBackend, FileCacheConfig

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act for another user")


def modes(directory: Path) -> dict[str, int]:
    """The mode of everything under a directory, and of itself."""
    paths = [directory, *directory.rglob("*")]
    return {str(path.relative_to(directory)): stat.S_IMODE(path.lstat().st_mode) for path in paths}


def test_the_default_directory_is_the_users_own(tmp_path, monkeypatch):
    """Without a directory the cache lives in the user's cache directory, wherever it is started."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert FileCacheConfig().directory == tmp_path / "xdg" / "jinpy-cache"


def test_a_relative_directory_is_taken_once(tmp_path, monkeypatch):
    """Changing the working directory later does not move the cache."""
    monkeypatch.chdir(tmp_path)
    with FileCacheBackend(FileCacheConfig(directory=Path("relative"))) as cache:
        monkeypatch.chdir("/")
        cache.set("a", b"x" * 100_000)
        assert cache.get("a") == b"x" * 100_000
        assert cache.directory == tmp_path / "relative"


@pytest.mark.parametrize("umask", ["000", "777"])
def test_everything_is_private_whatever_the_umask(tmp_path, umask):
    """Directories are 0700 at every level and files 0600, under the loosest and tightest umask."""
    program = """
import sys, threading
from pathlib import Path
import os
def forbidden(*_): raise AssertionError("os.umask was called")
os.umask = forbidden
from jinpy_cache_file import FileCacheBackend, FileCacheConfig
config = FileCacheConfig(directory=Path(sys.argv[1]), inline_max_bytes=100)
with FileCacheBackend(config) as cache:
    threads = [
        threading.Thread(target=cache.set, args=(f"k{n}", b"x" * 1000)) for n in range(20)
    ]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    assert cache.check().ok
"""
    directory = tmp_path / "one" / "two" / "cache"
    command = f'umask {umask}; exec "$0" -c "$1" "$2"'
    subprocess.run(["sh", "-c", command, sys.executable, program, str(directory)], check=True)
    for path, mode in modes(tmp_path / "one").items():
        assert mode == (0o700 if (tmp_path / "one" / path).is_dir() else 0o600), path


def test_a_users_own_directory_is_accepted(directory):
    """One that is there already may be readable by others, as long as they cannot write."""
    directory.mkdir(mode=0o755)
    with FileCacheBackend(FileCacheConfig(directory=directory)) as cache:
        cache.set("a", 1)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o755


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o1777])
def test_a_directory_that_others_can_write_to_is_refused(directory, mode):
    """Others could plant entries there; who trusts them has to say so."""
    directory.mkdir()
    directory.chmod(mode)
    with pytest.raises(CacheConfigurationError, match="allow_shared_directory"):
        FileCacheBackend(FileCacheConfig(directory=directory))
    with FileCacheBackend(
        FileCacheConfig(directory=directory, allow_shared_directory=True)
    ) as cache:
        cache.set("a", 1)


@as_root
def test_a_directory_of_someone_else_is_refused(directory):
    """A directory that another user made first is theirs."""
    directory.mkdir(mode=0o700)
    os.chown(directory, 65534, 65534)
    with pytest.raises(CacheConfigurationError, match="another user"):
        FileCacheBackend(FileCacheConfig(directory=directory))


def test_a_link_instead_of_a_directory_is_refused(tmp_path, directory):
    """A link may lead anywhere tomorrow."""
    (tmp_path / "real").mkdir(mode=0o700)
    directory.symlink_to(tmp_path / "real")
    with pytest.raises(CacheConfigurationError, match="symbolic link"):
        FileCacheBackend(FileCacheConfig(directory=directory))


def test_a_file_instead_of_a_directory_is_refused(directory):
    """The error says what is there."""
    directory.write_text("a file")
    with pytest.raises(CacheConfigurationError, match="not a directory"):
        FileCacheBackend(FileCacheConfig(directory=directory))


@pytest.mark.parametrize("name", ["write.lock", "lock.mdb", "reserve"])
def test_a_link_at_one_of_our_names_is_not_followed(tmp_path, directory, name):
    """Opening fails or goes another way; what the link points to is untouched."""
    target = tmp_path / "target"
    target.write_text("precious")
    directory.mkdir(mode=0o700)
    (directory / name).symlink_to(target)
    try:
        with FileCacheBackend(FileCacheConfig(directory=directory)) as cache:
            cache.set("a", 1)
    except CacheBackendError:
        assert name != "reserve"
    assert target.read_text() == "precious"


def test_foreign_files_are_left_alone(make, directory):
    """What somebody else keeps in the directory is not counted, not swept, not cleared."""
    directory.mkdir(mode=0o700)
    foreign = ["notes.bin", ".hidden", "values/readme.txt", "values/ab/other.bin", "values/zz/x"]
    for name in foreign:
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_text(name)
    cache = make()
    cache.set("a", b"x" * 100_000)
    assert len(cache) == 1
    cache.sweep()
    cache.clear()
    assert [name for name in foreign if (directory / name).read_text() != name] == []


def test_another_programs_store_is_left_alone(directory):
    """An LMDB store that is not ours keeps its content, its name and its mode."""
    import lmdb

    directory.mkdir(mode=0o700)
    with lmdb.open(str(directory)) as other, other.begin(write=True) as txn:
        txn.put(b"theirs", b"value")
    before = (directory / "data.mdb").read_bytes()
    mode = stat.S_IMODE((directory / "data.mdb").stat().st_mode)
    with pytest.raises(CacheConfigurationError, match="another program"):
        FileCacheBackend(FileCacheConfig(directory=directory))
    # A hole at the end, made before it could be looked at safely, is all that may be new.
    assert (directory / "data.mdb").read_bytes().rstrip(b"\0") == before.rstrip(b"\0")
    assert stat.S_IMODE((directory / "data.mdb").stat().st_mode) == mode
    with lmdb.open(str(directory)) as other, other.begin() as txn:
        assert txn.get(b"theirs") == b"value"


def test_names_of_value_files_are_digests(make, directory):
    """Whatever a key looks like, the path of its file is made of lower-case hexadecimal digits."""
    cache = make(inline_max_bytes=100, file_extension=".cache")
    for key in ("../../etc/x", "/abs", "a/b", ".", "C:\\x", "k" * 1024):
        cache.set(key, b"x" * 1000)
    names = [path.relative_to(directory / "values") for path in (directory / "values").rglob("*")]
    files = [name for name in names if len(name.parts) == 2]
    assert len(files) == 6
    for name in files:
        assert set(name.stem) <= set("0123456789abcdef")
        assert name.parts[0] == name.stem[:2]
        assert name.suffix == ".cache"


def test_threads_may_open_the_same_directory_at_once(directory):
    """Many backends on one directory share one environment, and the last one closes it."""
    caches: list[FileCacheBackend] = []

    def open_one(number: int) -> None:
        cache = FileCacheBackend(FileCacheConfig(name=f"n{number}", directory=directory))
        cache.set("a", number)
        caches.append(cache)

    threads = [threading.Thread(target=open_one, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(cache.get("a") for cache in caches) == list(range(10))
    for cache in caches:
        cache.close()
        cache.close()


def test_two_spellings_of_a_directory_are_one(tmp_path, directory):
    """A path through a linked parent leads to the same environment."""
    (tmp_path / "linked").symlink_to(tmp_path)
    with (
        FileCacheBackend(FileCacheConfig(directory=directory)) as one,
        FileCacheBackend(FileCacheConfig(directory=tmp_path / "linked" / "cache")) as two,
    ):
        one.set("a", 1)
        assert two.get("a") == 1


@pytest.mark.parametrize(
    "settings",
    [
        {"file_extension": "bin"},
        {"file_extension": "./x"},
        {"max_entries": 0},
        {"max_bytes": 0},
        {"inline_max_bytes": -1},
        {"durability": "maybe"},
        {"lock_timeout": 0},
        {"directory": 5},
        {"directory": "x" * 5000},
        {"directory": "a\0b"},
        {"namespace": None},
        {"serializer": "pickle"},
    ],
    ids=str,
)
def test_impossible_settings_are_refused(settings):
    """Each error names the setting."""
    with pytest.raises(CacheConfigurationError, match=next(iter(settings))):
        FileCacheConfig(**settings)


def test_a_url_names_a_directory():
    """`file:///path?setting=value` is a configuration."""
    from jinpy_cache_core import CacheManagerConfig

    config = CacheManagerConfig.from_dict(
        {"backends": ["file:///var/cache/my%20app?max_entries=1000&name=disk"]}
    )
    (one,) = config.backends
    assert (one.directory, one.max_entries) == (Path("/var/cache/my app"), 1000)


def test_the_repr_tells_the_size_and_no_values(make):
    """What a log shows of a cache."""
    cache = make(max_entries=10, secret="canary")
    cache.set("a", "value")
    assert repr(cache).startswith("<FileCacheBackend 'disk' entries=1/10 directory=")
    assert "canary" not in repr(cache) + repr(cache.config)
    cache.close()
    assert repr(cache).endswith(" closed>")


@pytest.mark.parametrize("mode", [0o777, 0o757])
def test_a_level_above_that_others_can_write_to_is_refused(tmp_path, mode):
    """Who can write there could put another directory in the place of ours, at any level."""
    parent = tmp_path / "project"
    (parent / "deep").mkdir(parents=True)
    parent.chmod(mode)
    with pytest.raises(CacheConfigurationError, match=rf"project.*mode {mode:04o}"):
        FileCacheBackend(FileCacheConfig(directory=parent / "deep" / "cache"))
    config = FileCacheConfig(directory=parent / "deep" / "cache", allow_shared_directory=True)
    FileCacheBackend(config).close()
    parent.chmod(0o1777)  # as `/tmp` is: what is ours stays ours
    FileCacheBackend(FileCacheConfig(directory=parent / "deep" / "cache")).close()


def test_a_level_above_of_somebody_else_is_refused(tmp_path):
    """Its owner could swap what is in it, or open it to others."""
    parent = tmp_path / "theirs"
    parent.mkdir()
    os.chown(parent, 65534, 65534)
    with pytest.raises(CacheConfigurationError, match=r"theirs.*another user"):
        FileCacheBackend(FileCacheConfig(directory=parent / "cache"))
    os.chown(parent, 0, 0)


def test_a_level_that_a_link_leads_to_is_looked_at_too(tmp_path):
    """A link above the directory is followed, and so is the check."""
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    (tmp_path / "link").symlink_to(open_to_all)
    with pytest.raises(CacheConfigurationError, match=r"open.*mode 0777"):
        FileCacheBackend(FileCacheConfig(directory=tmp_path / "link" / "cache"))


def test_a_level_that_somebody_else_makes_first_is_refused(tmp_path):
    """In a sticky directory others may make what is missing before we do."""
    sticky = tmp_path / "sticky"
    sticky.mkdir()
    sticky.chmod(0o1777)
    (sticky / "level").mkdir()
    os.chown(sticky / "level", 65534, 65534)
    with pytest.raises(CacheConfigurationError, match=r"level.*another user"):
        FileCacheBackend(FileCacheConfig(directory=sticky / "level" / "cache"))


def test_a_directory_swapped_for_a_link_takes_no_value_elsewhere(make, tmp_path, clock):
    """What runs goes on in the directory that was checked, and then says what is the matter."""
    directory, target = tmp_path / "cache", tmp_path / "target"
    target.mkdir(mode=0o700)
    cache = make(clock=clock, directory=directory, allow_shared_directory=True)
    cache.set("k", 1)
    directory.rename(tmp_path / "moved")
    directory.symlink_to(target)
    cache.set("large", b"secret" * 20_000)
    assert [*target.iterdir()] == []
    assert len([*(tmp_path / "moved").rglob("*.bin")]) == 1
    clock.advance(2)
    with pytest.raises(CacheConfigurationError, match="symbolic link"):
        cache.set("large", b"secret" * 20_000)
    assert [*target.iterdir()] == []
