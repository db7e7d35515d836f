"""A backend that somebody else publishes, found by its entry point, keeps the contract whole."""

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jinpy_cache_core import (
    BaseBackend,
    Cache,
    CacheBackendFactory,
    CacheConfigurationError,
    CacheManager,
    CacheManagerConfig,
)
from jinpy_cache_core.configuration.registry import backend_class, backend_names
from jinpy_cache_testing import BackendContract, FakeClock, StatefulContract

pytestmark = pytest.mark.usefixtures("dict_distribution")


class TestDictBackend(BackendContract):
    """Four synchronous primitives over a dict are enough for every row."""

    serializers = ("msgpack", "json")

    def make_backend(self, clock: FakeClock, **settings: Any) -> BaseBackend:
        """Build one from the class that the entry point names."""
        found = backend_class("dict")
        return found(found.config_class(**settings), clock=clock)


@pytest.mark.soak
class TestDictBackendForLong(StatefulContract):
    """The model and the backend agree however long they are compared."""

    serializers = ("msgpack",)
    examples = 2000

    def make_backend(self, clock: FakeClock, **settings: Any) -> BaseBackend:
        """Build one from the class that the entry point names."""
        found = backend_class("dict")
        return found(found.config_class(**settings), clock=clock)


def test_the_entry_point_makes_it_known():
    """Installing the distribution is all that it takes to configure the backend by name."""
    assert "dict" in backend_names()
    assert "jinpy_cache_dict" == backend_class("dict").__module__


def test_plain_data_and_urls_build_it(clock: FakeClock):
    """The factory makes it from what a configuration file or the environment holds."""
    with (
        CacheBackendFactory.create({"backend_type": "dict", "default_ttl": 60}, clock=clock) as one,
        CacheBackendFactory.create("dict://other?default_ttl=30") as other,
    ):
        one.set("key", 1)
        clock.advance(59)
        assert 1 == one.get("key")
        clock.advance(1)
        assert one.get("key") is None
        assert ("dict", "other", 30) == (one.name, other.name, other.config.default_ttl)


def test_a_manager_provides_it():
    """It stands in a manager like our own backends, for both halves of the facade."""
    config = CacheManagerConfig.from_dict(
        {"backends": [{"backend_type": "dict", "name": "theirs"}], "enable_singleton": False}
    )
    with CacheManager(config) as manager:
        cache = Cache(backend="theirs", manager=manager)
        cache.set("key", {"n": 1})

        assert {"n": 1} == asyncio.run(cache.aget("key"))
        assert {"n": 1} == manager.get("key")


def test_a_misspelt_setting_of_theirs_is_refused():
    """Their configuration class is checked as ours are."""
    with pytest.raises(CacheConfigurationError, match="default_tll"):
        CacheBackendFactory.create({"backend_type": "dict", "default_tll": 60})


def test_the_suite_needs_neither_plugin_nor_configuration(dict_distribution: Path, tmp_path: Path):
    """A project with nothing but pytest and hypothesis runs the suite by subclassing one class."""
    (tmp_path / "test_theirs.py").write_text(
        "from jinpy_cache_testing import BackendContract\n"
        "from jinpy_cache_dict import DictBackend, DictConfig\n"
        "class TestTheirs(BackendContract):\n"
        "    serializers = ['json']\n"
        "    def make_backend(self, clock, **settings):\n"
        "        return DictBackend(DictConfig(**settings), clock=clock)\n"
    )
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:asyncio", "-p", "no:cacheprovider",
         "-W", "error", "-k", "test_add or test_any_sequence", "test_theirs.py"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(dict_distribution), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )  # fmt: skip

    assert 0 == run.returncode, run.stdout + run.stderr
    assert "passed" in run.stdout


@pytest.fixture
def clock() -> FakeClock:
    """The present, which moves only when told to."""
    return FakeClock()
