"""The settings that every backend has, and the checks that any setting can use."""

import math
from datetime import timedelta
from typing import Any

import attrs
import pytest

from jinpy_cache_core import (
    BaseCacheBackendConfig,
    CacheConfigurationError,
    CacheManagerConfig,
    CacheSerializationError,
    Secret,
)
from jinpy_cache_core.settings.validation import (
    backend_name,
    duration,
    lifetime,
    one_of,
    optional_namespace,
    switch,
    whole_number,
)

CANARY = "canary-never-to-be-seen"


def checked(validator: Any, value: object) -> object:
    """What a field named `setting` with this validator becomes."""
    made = attrs.make_class("Made", {"setting": attrs.field(validator=validator)})
    return made(value).setting


def test_the_defaults_need_nothing():
    """The name is that of the type, the namespace that of the name, and nothing expires."""
    config = BaseCacheBackendConfig()

    assert ("base", "base", None, "msgpack", None) == (
        config.name,
        config.namespace,
        config.default_ttl,
        config.serializer,
        config.max_value_bytes,
    )
    assert "books" == BaseCacheBackendConfig(name="books").namespace


def test_a_configuration_does_not_change():
    """A copy with changes is checked anew."""
    config = BaseCacheBackendConfig(default_ttl=60)

    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        config.default_ttl = 30
    assert 30 == config.evolve(default_ttl=30).default_ttl
    assert 60 == config.default_ttl
    with pytest.raises(CacheConfigurationError):
        config.evolve(default_ttl=-1)


def test_settings_are_named():
    """Positions mean nothing."""
    with pytest.raises(TypeError):
        BaseCacheBackendConfig("books")


@pytest.mark.parametrize("ttl", [1, 0.5, timedelta(minutes=1), None, math.inf])
def test_a_default_ttl_is_a_lifetime(ttl: Any):
    """Seconds above zero, a timedelta, or none."""
    seconds = ttl.total_seconds() if isinstance(ttl, timedelta) else ttl

    assert seconds == BaseCacheBackendConfig(default_ttl=ttl).default_ttl


@pytest.mark.parametrize("ttl", [0, -1, math.nan, -math.inf, True, "60", timedelta(0), [60]])
def test_what_is_no_lifetime_is_refused(ttl: Any):
    """A cache in which nothing lives is a mistake; the setting and the value are named."""
    with pytest.raises(CacheConfigurationError, match=r"default_ttl=.*seconds above 0"):
        BaseCacheBackendConfig(default_ttl=ttl)


@pytest.mark.parametrize("size", [0, -1, 1.5, True, "10"])
def test_a_limit_is_a_whole_number(size: Any):
    """At least 1, or None for no limit."""
    with pytest.raises(CacheConfigurationError, match=r"max_value_bytes=.*None for no limit"):
        BaseCacheBackendConfig(max_value_bytes=size)


@pytest.mark.parametrize("name", ["", "a:b", 1, None, "\ud800", "n" * 257])
def test_a_name_can_be_a_namespace(name: Any):
    """As it is one unless told otherwise."""
    with pytest.raises(CacheConfigurationError, match="name="):
        BaseCacheBackendConfig(name=name)


@pytest.mark.parametrize("serializer", ["yaml", "", 1, object(), "native", None])
def test_a_serializer_is_one_that_a_shared_store_can_have(serializer: Any):
    """Known by name, or an object with dumps and loads; not one for this process only."""
    with pytest.raises(CacheConfigurationError, match="serializer"):
        BaseCacheBackendConfig(serializer=serializer)


def test_pickle_is_signed_or_loudly_not():
    """On a shared store, nothing unpickles what anyone could have written unless told to."""
    with pytest.raises(CacheConfigurationError, match=r"secret=.*allow_unsigned_pickle=True"):
        BaseCacheBackendConfig(serializer="pickle")

    assert BaseCacheBackendConfig(serializer="pickle", secret="s" * 32).secret == Secret("s" * 32)
    assert BaseCacheBackendConfig(serializer="pickle", allow_unsigned_pickle=True).secret is None


@pytest.mark.parametrize("secret", ["", b"", 1, [""], ["s", 1], [["s"]]])
def test_a_secret_is_text_or_bytes(secret: Any):
    """Not empty; what was given is not repeated."""
    with pytest.raises(CacheConfigurationError, match="non-empty str or bytes") as caught:
        BaseCacheBackendConfig(secret=secret)

    assert caught.value.__cause__ is None


def test_a_list_of_secrets_is_not_empty():
    """Without one, what is written could not be signed."""
    with pytest.raises(CacheConfigurationError, match="must not be empty"):
        BaseCacheBackendConfig(secret=[])


def test_secrets_are_changed_without_losing_what_is_stored():
    """Of several secrets the first signs and every one verifies; a dropped one no longer does."""

    def codec(*secrets: str):
        return BaseCacheBackendConfig(name="a", serializer="pickle", secret=secrets).codec()

    old = codec("old").encode("k", {1, 2})
    new = codec("new", "old").encode("k", {3})

    assert {1, 2} == codec("new", "old").decode("k", old)
    assert {3} == codec("new").decode("k", new)
    with pytest.raises(CacheSerializationError, match="known secret"):
        codec("new").decode("k", old)
    with pytest.raises(CacheSerializationError, match="known secret"):
        codec("old").decode("k", new)


@pytest.mark.parametrize("secret", [CANARY, [CANARY, CANARY + "2"]])
def test_a_secret_is_seen_nowhere(secret: Any):
    """Neither in the repr of a configuration nor in what is made of it."""
    config = BaseCacheBackendConfig(serializer="pickle", secret=secret)

    for text in (repr(config), str(config), repr(attrs.asdict(config)), repr(config.codec())):
        assert CANARY not in text
    with pytest.raises(CacheConfigurationError) as caught:
        config.evolve(max_value_bytes=0)
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    "validator, good, bad",
    [
        (whole_number(), [1, 10**9], [0, -1, 1.0, True, "1", None]),
        (whole_number(minimum=0), [0, 1], [-1, False]),
        (whole_number(optional="all"), [None, 1], [0]),
        (duration(), [1, 0.001], [0, -1, math.inf, math.nan, True, "1", None]),
        (duration(zero=True), [0, 0.0, 1], [-1, False]),
        (duration(optional="forever"), [None, 1], [0]),
        (lifetime, [1, None, math.inf], [0, -1, math.nan, "1", True]),
        (one_of("a", "b"), ["a", "b"], ["c", None, 1]),
        (switch, [True, False], [1, 0, "yes", None]),
        (optional_namespace, [None, "a", "\u00e9"], ["", "a:b", 1]),
        (backend_name, ["a", "a b"], ["", "a:b", 1, None]),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_each_check_takes_what_it_says(validator: Any, good: list[Any], bad: list[Any]):
    """And refuses the rest in a sentence with the setting's name."""
    for value in good:
        assert value == checked(validator, value)
    for value in bad:
        with pytest.raises(CacheConfigurationError, match="setting="):
            checked(validator, value)


@pytest.mark.parametrize("config_class", [BaseCacheBackendConfig, CacheManagerConfig])
def test_a_misspelt_setting_is_refused_with_the_nearest_one(config_class: Any):
    """In the words of misspelt data; as for any unknown keyword it is also a TypeError."""
    with pytest.raises(CacheConfigurationError) as caught:
        config_class(optoins={}, entirely_else=1)

    assert isinstance(caught.value, TypeError)
    assert f"{config_class.__name__} has 2 problems" in caught.value.message
    assert "optoins: is no setting. Did you mean 'options'?" in caught.value.message
    assert "entirely_else: is no setting; there are" in caught.value.message
