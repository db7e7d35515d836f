"""How a backend is found: registered by hand, or by a distribution's entry point."""

import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from jinpy_cache_core import (
    BaseBackend,
    CacheBackendFactory,
    CacheConfigurationError,
    backend_names,
    register_backend,
)
from jinpy_cache_core.configuration.registry import backend_class, backend_class_for_scheme


def publish(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """Put a distribution with one entry point on the path."""
    info = folder / "third_party-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: third-party\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[jinpy_cache.backends]\n{name} = {value}\n")
    monkeypatch.syspath_prepend(str(folder))


def test_a_registered_backend_is_found(shelf: Any) -> None:
    """`register_backend` makes a class known by name, and by URL scheme."""
    assert shelf is backend_class("shelf")
    assert shelf is backend_class_for_scheme("shelf+tls")
    assert "shelf" in backend_names()


def test_a_name_is_taken_only_once(shelf: Any) -> None:
    """Another class under the same name is refused, unless it is to replace the first."""

    class Other(shelf):
        """Another backend."""

    register_backend("shelf", shelf)
    with pytest.raises(CacheConfigurationError, match=r"'shelf' is taken by .*ShelfBackend"):
        register_backend("shelf", Other)
    register_backend("shelf", Other, replace=True)
    assert Other is backend_class("shelf")


def test_an_entry_point_is_loaded_when_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Listing the names imports nothing; asking for one imports it."""
    (tmp_path / "third_party.py").write_text(
        "from jinpy_cache_core import BaseBackend\n"
        "class Backend(BaseBackend):\n"
        "    '''A third party's.'''\n"
    )
    publish(tmp_path, monkeypatch, "third", "third_party:Backend")
    assert "third" in backend_names()
    assert "third_party" not in sys.modules
    found = backend_class("third")
    assert (found.__module__, issubclass(found, BaseBackend)) == ("third_party", True)
    del sys.modules["third_party"]


@pytest.mark.parametrize(
    ("value", "part"),
    [
        ("no_such_module:Backend", "is installed but cannot be imported: No module named"),
        ("pathlib:Path", "is no subclass of BaseBackend"),
    ],
)
def test_a_broken_entry_point_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str, part: str
) -> None:
    """An entry point that cannot be imported, or names something else, says so."""
    publish(tmp_path, monkeypatch, "broken", value)
    with pytest.raises(CacheConfigurationError, match=part):
        backend_class("broken")


def test_a_backend_of_ours_that_is_missing_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`redis` without its distribution is an error that names the distribution."""
    monkeypatch.setattr("jinpy_cache_core.configuration.registry.entry_points", _without("redis"))
    with pytest.raises(
        CacheConfigurationError,
        match=r"No cache backend named 'redis' \(.*\)\. Install it: pip install jinpy-cache-redis",
    ):
        CacheBackendFactory.create("redis://localhost")


def test_a_misspelt_backend_is_corrected() -> None:
    """An unknown name close to a known one is answered by the known one."""
    with pytest.raises(CacheConfigurationError, match="Did you mean 'memory'"):
        backend_class("memroy")
    with pytest.raises(CacheConfigurationError, match="or call register_backend"):
        backend_class("zzz")


def _without(hidden: str) -> Any:
    def visible(**wanted: str) -> Any:
        return [point for point in entry_points(**wanted) if point.name != hidden]

    return visible
