"""A password is in no error: of any URL, readable or not, of every backend and source."""

import traceback
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from jinpy_utils.cache import (
    CacheBackendFactory,
    CacheConfigurationError,
    CacheManagerConfig,
    FileCacheConfig,
    MemoryCacheConfig,
    RedisCacheConfig,
)

CANARY = "hunter2canary"

SCHEMES = st.sampled_from(
    ["redis", "rediss", "redis+cluster", "redis+sentinel", "unix", "file", "memory", "valkey", "x"]
)
ODD = st.text(
    st.sampled_from([*"@:/?#[]%&=,;\\ \t\n\0aA1", "\u2100", "\uff0f", "\uff1a", "\ud800"]),
    max_size=6,
)
"""What breaks URLs: separators, what NFKC makes one of, control characters, a lone surrogate."""

URLS = st.builds(
    lambda scheme, user, before, after, host, port, rest: (
        f"{scheme}://{user}:{before}{CANARY}{after}@{host}{port}/{rest}"
    ),
    SCHEMES,
    ODD,
    ODD,
    ODD,
    st.sampled_from(["localhost", "[::1]", "[::1", "a,b", "", "cache\u2100.example"]),
    st.sampled_from(["", ":6379", ":x", ":99999", ":-1"]),
    st.sampled_from(["", "0", "x", "0/1", "0?db=x", "0?nope=1", "0?pool_size=x", "%zz", "0#f"]),
)

SOURCES: dict[str, Callable[[str], Any]] = {
    "factory": CacheBackendFactory.create,
    "dict": lambda url: CacheManagerConfig.from_dict({"backends": [url]}),
    "table": lambda url: CacheManagerConfig.from_dict({"backends": {"one": {"url": url}}}),
    "typed table": lambda url: CacheManagerConfig.from_dict(
        {"backends": [{"backend_type": "redis", "url": url, "nope": 1}]}
    ),
    "environment": lambda url: CacheManagerConfig.from_env({"JINPY_CACHE_BACKENDS__ONE": url}),
    "field of the environment": lambda url: CacheManagerConfig.from_env(
        {"JINPY_CACHE_BACKENDS__ONE__URL": url, "JINPY_CACHE_BACKENDS__ONE__POOL_SIZE": "x"}
    ),
    "configuration": lambda url: RedisCacheConfig(url=url),
    "no URL": lambda url: CacheManagerConfig.from_dict({"backends": [[url], {"url": [url]}]}),
}


def told(error: BaseException | None) -> str:
    """Everything that an error, its causes and its contexts would print, chained or not."""
    texts: list[str] = []
    while error is not None:
        texts += [str(error), repr(error), "".join(traceback.format_exception_only(error))]
        if isinstance(error, CacheConfigurationError):
            texts.append(repr(error.to_dict()))
        error = error.__cause__ or error.__context__
    return "\n".join(texts)


@pytest.mark.parametrize("source", SOURCES)
@given(url=URLS)
@example(url=f"redis://app:{CANARY}@cache\u2100.example:6379/0")
@example(url=f"redis://app:{CANARY}[@cache.example:6379/0")
@example(url=f"file://app:{CANARY}@host/x")
@example(url=f"redis://app:{CANARY}")
def test_no_error_repeats_a_password(source: str, url: str) -> None:
    """Whatever is wrong with the URL, it is our error, and the password is nowhere in its chain."""
    assume(not url.startswith("file:///"))  # that is a directory's name, if an odd one
    try:
        made = SOURCES[source](url)
    except CacheConfigurationError as error:
        said = told(error)
    else:
        said = repr(made)
        getattr(made, "close", lambda: None)()
    assert CANARY not in said


DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=6,
)
FIELDS = st.sampled_from(
    [
        *MemoryCacheConfig.__annotations__,
        *RedisCacheConfig.__annotations__,
        *FileCacheConfig.__annotations__,
        "name",
        "secret",
        "options",
        "serializer",
        "default_ttl",
        "namespace",
    ]
)
TABLES = st.dictionaries(FIELDS, DATA, max_size=4)


@given(kind=st.sampled_from(["memory", "file", "redis"]), table=TABLES)
def test_configuration_from_data_ends_in_one_kind_of_error(kind: str, table: dict) -> None:
    """Data of any shape is a configuration, or an error of ours with a path."""
    table.pop("eviction_listener", None)
    data = {"backends": [{"backend_type": kind, **table}], "enable_singleton": False}
    try:
        config = CacheManagerConfig.from_dict(data)
    except CacheConfigurationError as error:
        said = str(error)
    else:
        said = f"backends[0] is {config.backends[0].backend_type}"
    assert "backends[0]" in said


@given(data=DATA)
def test_any_data_at_all_is_told_so(data: object) -> None:
    """Even what is no table."""
    for read in (
        CacheManagerConfig.from_dict,
        lambda one: CacheManagerConfig.from_dict({"backends": one, "enable_singleton": False}),
        lambda one: CacheManagerConfig.from_dict({"options": one, "enable_singleton": False}),
        CacheBackendFactory.create,
    ):
        try:
            made = read(data)
        except CacheConfigurationError:
            continue
        getattr(made, "close", lambda: None)()
