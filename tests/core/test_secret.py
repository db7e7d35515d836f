"""A secret cannot be printed by accident."""

import copy
import pickle

import pytest

from jinpy_cache_core import Secret

CANARY = "canary-never-to-be-seen"


@pytest.mark.parametrize("content", [CANARY, CANARY.encode()])
def test_only_asking_for_it_reveals_it(content: str | bytes):
    """Neither repr, str, format nor a container's repr does."""
    secret = Secret(content)

    assert "Secret('***')" == repr(secret) == str(secret) == f"{secret}"
    assert CANARY not in repr([secret]) + repr({"secret": secret})
    assert CANARY == secret.reveal()
    assert CANARY.encode() == secret.reveal_bytes()


def test_equal_secrets_are_equal():
    """Text and its UTF-8 bytes are one secret; other types are none."""
    assert Secret("a\u00e9") == Secret("a\u00e9".encode()) == Secret(Secret("a\u00e9"))
    assert hash(Secret("a")) == hash(Secret(b"a"))
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"


@pytest.mark.parametrize("content", ["", b"", None, 1, ["a"]])
def test_a_secret_is_not_nothing(content: object):
    """The error names the type and not the content."""
    with pytest.raises(TypeError, match="non-empty str or bytes"):
        Secret(content)


def test_a_secret_is_not_pickled():
    """It does not leave the process with whatever holds it."""
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(Secret(CANARY))
    with pytest.raises(TypeError, match="not pickled"):
        copy.deepcopy(Secret(CANARY))
