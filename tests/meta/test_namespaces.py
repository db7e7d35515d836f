"""A namespace that nobody chose is asked for, once, where others may share the store."""

import subprocess
import sys
import textwrap

import pytest

PROGRAM = """
    import logging, os, sys
    logging.basicConfig(format="%(levelname)s %(message)s", stream=sys.stdout)
    from jinpy_utils.cache import CacheBackendFactory, FileCacheConfig, RedisCacheConfig
    for _ in range(2):
        for config in (RedisCacheConfig({redis}), FileCacheConfig({file})):
            CacheBackendFactory.create(config).close()
"""


@pytest.mark.parametrize(
    ("redis", "file", "asked"),
    [
        ("", "", ["redis", "file"]),
        ("url='redis://user:s3cret@127.0.0.1:1/0'", "directory='here'", ["redis"]),
        ("namespace='shop'", "namespace='shop'", []),
        ("name='shop'", "name='shop'", []),
    ],
)
def test_a_namespace_is_asked_for_once(tmp_path, redis, file, asked):
    """One line a process and kind of store; a name, or a directory of one's own, is a choice."""
    program = textwrap.dedent(PROGRAM).format(redis=redis, file=file)
    run = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={"HOME": str(tmp_path), "PATH": "", "XDG_CACHE_HOME": str(tmp_path / "cache")},
    )
    lines = [line for line in run.stdout.splitlines() if "default namespace" in line]
    assert asked == [line.split("namespace ")[1].split(":")[0].strip("'") for line in lines]
    assert all("namespace='shop'" in line and "s3cret" not in line for line in lines)
