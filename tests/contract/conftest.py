"""A distribution of a third party, installed for the session: a module and its metadata."""

import importlib
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

THIRD_PARTY = Path(__file__).parent / "third_party"


@pytest.fixture(scope="session")
def dict_distribution(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder that holds what installing `jinpy-cache-dict` would have put there."""
    site = tmp_path_factory.mktemp("site-packages")
    shutil.copy(THIRD_PARTY / "jinpy_cache_dict.py", site)
    metadata = site / "jinpy_cache_dict-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: jinpy-cache-dict\nVersion: 1.0\n"
    )
    (metadata / "entry_points.txt").write_text(
        "[jinpy_cache.backends]\ndict = jinpy_cache_dict:DictBackend\n"
    )
    sys.path.insert(0, str(site))
    importlib.invalidate_caches()
    yield site
    sys.path.remove(str(site))
    sys.modules.pop("jinpy_cache_dict", None)
    importlib.invalidate_caches()
