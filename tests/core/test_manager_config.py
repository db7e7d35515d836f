"""Configurations from plain data, TOML, environment and URLs; every problem named with its path."""

import json
import math
import pickle
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest

from jinpy_cache_core import (
    CacheBackendFactory,
    CacheConfigurationError,
    CacheManagerConfig,
    Secret,
)
from jinpy_cache_core.configuration.sources import backend_config
from jinpy_cache_core.exceptions import CacheException

CANARY = "s3cr3t-canary"


def problems_of(data: Any) -> list[str]:
    """The problems that `from_dict` reports, without its heading."""
    with pytest.raises(CacheConfigurationError) as caught:
        CacheManagerConfig.from_dict(data)
    return caught.value.message.split("\n  - ")[1:]


def test_a_list_of_tables_becomes_configurations(shelf_config: Any) -> None:
    """Each table is structured into the class that its `backend_type` names."""
    config = CacheManagerConfig.from_dict(
        {
            "default_backend": "b",
            "backends": [
                {"backend_type": "shelf", "name": "a", "size": 3, "default_ttl": 60},
                {"backend_type": "shelf", "name": "b", "ratio": 1, "locked": True},
            ],
        }
    )
    expected = (
        shelf_config(name="a", size=3, default_ttl=60),
        shelf_config(name="b", ratio=1, locked=True),
    )
    assert expected == config.backends
    assert config.default_name == "b"


def test_a_table_of_tables_names_its_backends(shelf_config: Any) -> None:
    """The key of a table is the name of its backend; a URL may stand for a table."""
    config = CacheManagerConfig.from_dict(
        {"backends": {"a": {"backend_type": "shelf"}, "b": "shelf://?size=4"}}
    )
    assert (shelf_config(name="a"), shelf_config(name="b", size=4)) == config.backends
    assert config.default_name == "a"


def test_every_problem_is_reported_at_once_with_its_path() -> None:
    """One error lists wrong types, bad values, unknown backends and misspelt names."""
    found = problems_of(
        {
            "defualt_backend": "a",
            "enable_singleton": "yes",
            "backends": [
                {"backend_type": "shelf", "name": "a", "size": "3", "sise": 3, "locked": 1},
                {"backend_type": "shelf", "name": "b:c", "default_ttl": -1, "ratio": "x"},
                {"backend_type": "shelv"},
                {"name": "d"},
                {"name": "e", "type": "shelf"},
                42,
            ],
        }
    )
    expected = [
        "backends[0].size: expected int, not str '3'.",
        "backends[0].sise: is no setting. Did you mean 'size'?",
        "backends[0].locked: expected bool, not int 1.",
        "backends[1].name: name='b:c' is not a namespace",
        "backends[1].default_ttl: default_ttl=-1 is not allowed",
        "backends[1].ratio: expected float, not str 'x'.",
        "backends[2].backend_type: No cache backend named 'shelv'",
        "backends[3].backend_type: is missing; installed are",
        "backends[4].backend_type: is missing (is 'type' meant to be it?)",
        "backends[5]: a backend is a configuration, a URL or a table, not int.",
        "defualt_backend: is no setting. Did you mean 'default_backend'?",
        "enable_singleton: expected bool, not str 'yes'.",
    ]
    assert len(expected) == len(found)
    assert [want for want, got in zip(expected, found, strict=True) if want not in got] == []


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({"size": 0}, "size=0 is not allowed: it must be a whole number of at least 1."),
        ({"size": True}, "expected int, not bool True"),
        ({"default_ttl": math.nan}, "default_ttl=nan is not allowed"),
        ({"default_ttl": "60"}, "expected float, not str '60'"),
        ({"namespace": ""}, "namespace='' is not a namespace"),
        ({"max_value_bytes": 0}, "max_value_bytes=0 is not allowed"),
        ({"serializer": "msgpak"}, "msgpack"),
        ({"serializer": "pickle"}, "secret"),
        ({"allow_unsigned_pickle": "no"}, "expected bool, not str 'no'"),
    ],
)
def test_a_bad_setting_is_named(settings: dict[str, Any], part: str) -> None:
    """The problem repeats the setting and says what is allowed."""
    found = problems_of({"backends": [{"backend_type": "shelf", **settings}]})
    assert len(found) == 1
    assert part in found[0]


@pytest.mark.parametrize(
    ("backends", "default", "part"),
    [
        (["shelf://a", "shelf://a"], None, "'a' is also the name of backends[0]"),
        (["shelf://a"], "b", "'b' is not configured; there are 'a'."),
        ([], "b", "'b' is not configured; there are none."),
        ("shelf://a", None, "backends is a list"),
        (42, None, "not a list"),
    ],
)
def test_names_must_differ_and_the_default_exist(
    backends: Any, default: str | None, part: str
) -> None:
    """Duplicate names and a missing default are refused, however the configuration is made."""
    with pytest.raises(CacheConfigurationError, match="configuration"):
        CacheManagerConfig.from_dict({"backends": backends, "default_backend": default})
    with pytest.raises(CacheConfigurationError) as caught:
        CacheManagerConfig(backends=backends, default_backend=default)
    if backends != 42:
        assert part in caught.value.message


def test_toml_is_read_whole_or_from_a_table(tmp_path: Path, shelf_config: Any) -> None:
    """A file of its own and a table of another one say the same."""
    own, table = tmp_path / "cache.toml", tmp_path / "pyproject.toml"
    own.write_text('[backends.a]\nbackend_type = "shelf"\nsize = 5\n')
    table.write_text('[tool.cache.backends]\na = "shelf://?size=5"\n')
    expected = (shelf_config(name="a", size=5),)
    assert expected == CacheManagerConfig.from_toml(own).backends
    assert expected == CacheManagerConfig.from_toml(table, table="tool.cache").backends


def test_toml_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    """A missing file, a broken one and a missing table are each named."""
    broken = tmp_path / "broken.toml"
    broken.write_text("= 1")
    with pytest.raises(CacheConfigurationError, match="cannot be read: No such file"):
        CacheManagerConfig.from_toml(tmp_path / "absent.toml")
    with pytest.raises(CacheConfigurationError, match="is not TOML"):
        CacheManagerConfig.from_toml(broken)
    broken.write_text("[tool]\n")
    with pytest.raises(CacheConfigurationError, match=r"has no table \[tool.cache\]"):
        CacheManagerConfig.from_toml(broken, table="tool.cache")


def test_the_environment_is_parsed_by_each_settings_type(shelf_config: Any) -> None:
    """Numbers, switches and none arrive as text and become what the field is."""
    config = CacheManagerConfig.from_env(
        {
            "JINPY_CACHE_DEFAULT_BACKEND": "two",
            "JINPY_CACHE_ENABLE_SINGLETON": "off",
            "JINPY_CACHE_BACKENDS__ONE": "shelf://?size=2&default_ttl=inf",
            "JINPY_CACHE_BACKENDS__TWO__BACKEND_TYPE": "shelf",
            "JINPY_CACHE_BACKENDS__TWO__SIZE": "7",
            "JINPY_CACHE_BACKENDS__TWO__LOCKED": "yes",
            "JINPY_CACHE_BACKENDS__TWO__DEFAULT_TTL": "1.5",
            "JINPY_CACHE_BACKENDS__TWO__MAX_VALUE_BYTES": "none",
            "JINPY_CACHE_BACKENDS__TWO__PASSWORD": CANARY,
            "OTHER": "ignored",
        }
    )
    expected = (
        shelf_config(name="one", size=2, default_ttl=math.inf),
        shelf_config(name="two", size=7, locked=True, default_ttl=1.5, password=CANARY),
    )
    assert expected == config.backends
    assert (config.default_name, config.enable_singleton) == ("two", False)


def test_the_environment_reports_its_problems_too() -> None:
    """Text that is no number, a misspelt variable and a URL beside settings are refused."""
    with pytest.raises(CacheConfigurationError) as caught:
        CacheManagerConfig.from_env(
            {"JINPY_CACHE_BACKENDS__A": "shelf://?size=many&siz=2", "JINPY_CACHE_DEFAULT": "a"}
        )
    assert "backends.a.size: expected int, not the text 'many'." in caught.value.message
    assert "backends.a.siz: is no setting. Did you mean 'size'?" in caught.value.message
    assert "default: is no setting. Did you mean 'default_backend'?" in caught.value.message
    with pytest.raises(CacheConfigurationError, match="is a URL already"):
        CacheManagerConfig.from_env(
            {"JINPY_CACHE_BACKENDS__A": "shelf://", "JINPY_CACHE_BACKENDS__A__SIZE": "1"}
        )


def test_a_url_works_wherever_a_configuration_does(shelf_config: Any) -> None:
    """The manager's list, the factory and plain data take URLs."""
    expected = shelf_config(name="a", size=2)
    assert (expected,) == CacheManagerConfig(backends=["shelf://a?size=2"]).backends
    assert expected == backend_config("shelf://a?size=2")
    assert expected == CacheBackendFactory.create("shelf://a?size=2").config


def test_a_url_that_is_none_is_not_repeated() -> None:
    """A misspelt URL may hold a password, so the message shows none of it."""
    for url in (f"shelf:/user:{CANARY}@host", f"{CANARY}", f"://{CANARY}"):
        with pytest.raises(CacheConfigurationError, match="is no URL") as caught:
            backend_config(url)
        assert CANARY not in str(caught.value)


def test_a_ttl_may_be_a_timedelta(shelf_config: Any) -> None:
    """`default_ttl` keeps seconds, whatever it was given as."""
    assert shelf_config(default_ttl=timedelta(minutes=1.5)).default_ttl == 90


def test_a_configuration_cannot_be_changed(shelf_config: Any) -> None:
    """Configurations are frozen; `evolve` makes a checked copy."""
    config = shelf_config(name="a")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        config.size = 1
    assert config.evolve(size=5).size == 5
    with pytest.raises(CacheConfigurationError, match="size=0"):
        config.evolve(size=0)


def test_a_secret_is_never_shown(shelf_config: Any, caplog: pytest.LogCaptureFixture) -> None:
    """No repr, str, dict, log record or error of a configuration shows its password."""
    config = shelf_config(name="a", password=CANARY, secret=CANARY)
    manager = CacheManagerConfig(backends=[config], enable_singleton=False)
    backend = CacheBackendFactory.create(config)
    caplog.set_level("DEBUG")
    __import__("logging").getLogger("test").warning("%r %s %r", config, manager, backend)
    shown = [
        repr(config),
        str(manager),
        repr(backend),
        json.dumps(attrs.asdict(config), default=repr),
        caplog.text,
    ]
    with pytest.raises(CacheConfigurationError) as caught:
        CacheManagerConfig.from_dict(
            {"backends": [{"backend_type": "shelf", "password": [CANARY], "sizo": 1}]}
        )
    shown += [str(caught.value), repr(caught.value.to_dict())]
    assert [text for text in shown if CANARY in text] == []
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(config)


def test_an_error_crosses_processes_whole() -> None:
    """A pickled error keeps its sentence and its context."""
    with pytest.raises(CacheException) as caught:
        backend_config("shelf://?size=0")
    again = pickle.loads(pickle.dumps(caught.value))
    assert caught.value.to_dict() == again.to_dict()
    assert type(caught.value) is type(again)


ROTATION = (Secret("new"), Secret("old"))


def test_several_secrets_are_a_list_in_data(tmp_path: Path, shelf_config: Any) -> None:
    """From objects, plain data and TOML alike: the first signs, every one verifies."""
    data = {"backends": [{"backend_type": "shelf", "secret": ["new", "old"]}]}
    file = tmp_path / "cache.toml"
    file.write_text('[[backends]]\nbackend_type = "shelf"\nsecret = ["new", "old"]\n')

    assert ROTATION == shelf_config(secret=["new", b"old"]).secret
    assert ROTATION == CacheManagerConfig.from_dict(data).backends[0].secret
    assert ROTATION == CacheManagerConfig.from_toml(file).backends[0].secret


def test_several_secrets_are_numbered_in_the_environment(shelf_config: Any) -> None:
    """A comma could be part of a secret, so each has a variable of its own, in order of numbers."""
    variables = {
        f"JINPY_CACHE_BACKENDS__SHELF__SECRET__{number}": f"{number}" for number in (10, 9)
    }
    config = CacheManagerConfig.from_env(
        {"JINPY_CACHE_BACKENDS__SHELF__BACKEND_TYPE": "shelf", **variables}
    )

    assert (Secret("9"), Secret("10")) == config.backends[0].secret


@pytest.mark.parametrize("second", ["", 1])
def test_a_wrong_one_of_several_secrets_is_not_repeated(second: Any) -> None:
    """The problem has its path, and shows none of them."""
    data = {"backends": [{"backend_type": "shelf", "secret": [CANARY, second]}]}
    with pytest.raises(CacheConfigurationError, match=r"backends\[0\].secret: is not a") as caught:
        CacheManagerConfig.from_dict(data)
    assert CANARY not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
