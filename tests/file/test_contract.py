"""The contract of every backend, for the one in a directory."""

import sys
from pathlib import Path
from typing import Any

import pytest

from jinpy_cache_file import FileCacheBackend, FileCacheConfig
from jinpy_cache_testing import BackendContract, FakeClock


class TestFileContract(BackendContract):
    @pytest.fixture(autouse=True)
    def _directory(self, tmp_path: Path) -> None:
        self.directory = tmp_path / "cache"

    def make_backend(self, clock: FakeClock, **settings: Any) -> FileCacheBackend:
        config = FileCacheConfig(directory=self.directory, **settings)
        return FileCacheBackend(config, clock=clock)

    def cleanup(self, backend: Any) -> None:
        report = backend.check()
        assert report.ok, report.problems
        backend.clear()
        assert len(backend) == 0


class TestFilesOnly(TestFileContract):
    """The same with every value in a file of its own."""

    serializers = ("msgpack",)

    def make_backend(self, clock: FakeClock, **settings: Any) -> FileCacheBackend:
        return super().make_backend(clock, inline_max_bytes=0, **settings)


class TestCompressed(TestFileContract):
    """The same with everything compressed that can be."""

    serializers = ("msgpack", "json")

    def make_backend(self, clock: FakeClock, **settings: Any) -> FileCacheBackend:
        pytest.importorskip("backports.zstd" if sys.version_info < (3, 14) else "compression.zstd")
        settings = {"compression": "zstd", "compression_threshold": 1, **settings}
        return super().make_backend(clock, **settings)


class TestEncrypted(TestFileContract):
    """The same with everything compressed and encrypted."""

    serializers = ("msgpack", "pickle")

    def make_backend(self, clock: FakeClock, **settings: Any) -> FileCacheBackend:
        pytest.importorskip("cryptography")
        pytest.importorskip("backports.zstd" if sys.version_info < (3, 14) else "compression.zstd")
        settings = {"compression": "zstd", "encryption": "k" * 32, **settings}
        return super().make_backend(clock, **settings)
