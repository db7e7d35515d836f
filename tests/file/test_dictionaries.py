"""Dictionaries that are kept beside the data: trained by one call, found by other processes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jinpy_cache_core import MISSING, CacheConfigurationError
from jinpy_cache_core.codec.compression import DICTIONARY_KEY, zstd_library
from jinpy_cache_file import FileCacheBackend, FileCacheConfig

try:
    zstd_library()
except CacheConfigurationError:  # pragma: no cover - where the extra is not installed
    pytest.skip("needs zstd", allow_module_level=True)

USERS = [
    {"id": number, "email": f"user{number}@example.org", "plan": "free", "roles": ["reader"]}
    for number in range(1000)
]


class Stores:
    """Opens the same cache as several processes would."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.opened: list[FileCacheBackend] = []

    def open(self, **settings: Any) -> FileCacheBackend:
        """One more."""
        config = FileCacheConfig(
            directory=self.directory, **{"compression": "zstd", "name": "users", **settings}
        )
        self.opened.append(FileCacheBackend(config))
        return self.opened[-1]


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[Stores]:
    """Whatever is opened is closed."""
    made = Stores(tmp_path / "cache")
    yield made
    for backend in made.opened:
        backend.close()


def stored_size(backend: FileCacheBackend, key: str) -> int:
    """Bytes of an entry."""
    record = backend._live(key)
    assert record is not None
    return len(record.payload)


@pytest.mark.parametrize("settings", [{}, {"encryption": "k" * 32}, {"secret": "s"}], ids=str)
def test_another_process_finds_and_uses_it(stores: Stores, settings: dict[str, Any]) -> None:
    """Once it has read an entry that was compressed with it."""
    if "encryption" in settings:
        pytest.importorskip("cryptography")
    writer = stores.open(**settings)
    writer.set("before", USERS[7])
    number = writer.train_dictionary(USERS)
    writer.set("key", USERS[7])
    assert stored_size(writer, "key") < stored_size(writer, "before")
    reader = stores.open(**settings)
    assert USERS[7] == reader.get("key")
    assert {"key": USERS[7], "before": USERS[7]} == reader.get_many(["key", "before"])
    reader.set("other", USERS[8])
    assert stored_size(reader, "other") < stored_size(writer, "before")
    assert f"{DICTIONARY_KEY}{number:08x}" in set(reader.scan())


def test_an_entry_whose_dictionary_is_gone_is_a_miss(stores: Stores) -> None:
    """Nothing is raised, and it can be overwritten."""
    writer = stores.open()
    number = writer.train_dictionary(USERS)
    writer.set("key", USERS[7])
    writer.delete(f"{DICTIONARY_KEY}{number:08x}")
    reader = stores.open()
    assert reader.get("key", MISSING) is MISSING
    assert "new" == reader.get_or_set("key", lambda: "new")


async def test_on_an_event_loop_it_is_found(stores: Stores) -> None:
    """The twin of training runs in a thread; here reads do as well, so none is a miss."""
    writer = stores.open()
    await writer.atrain_dictionary(USERS)
    await writer.aset("key", USERS[7])
    assert USERS[7] == await stores.open().aget("key")


def test_training_needs_compression(stores: Stores) -> None:
    """And says what to set."""
    with pytest.raises(CacheConfigurationError, match="compression='zstd'"):
        stores.open(compression="none", name="plain").train_dictionary(USERS)
