"""What users' own functions raise is theirs: named, with its cause, and never taken for damage."""

import traceback
from typing import Any

import pytest

from jinpy_cache_core import CacheSerializationError
from jinpy_cache_core.serializers import MsgpackSerializer, NativeSerializer, TypeRegistry
from jinpy_cache_core.serializers.culprit import culprit
from jinpy_cache_core.serializers.plans import CustomPlan


class Token:
    """A class with functions that fail."""


def failing(_: Any) -> Any:
    """Fails as a user's own function does."""
    message = "of the user"
    raise ZeroDivisionError(message)


def serializer(encode: Any, decode: Any) -> MsgpackSerializer:
    """One that knows tokens."""
    registry = TypeRegistry()
    registry.register(CustomPlan(Token, "app.Token", encode, decode))
    return MsgpackSerializer(registry)


def test_what_decode_raises_is_not_damaged_data() -> None:
    """The message names the function, typed and untyped, deep inside and not."""
    broken = serializer(lambda _: 1, failing)
    for value, kind in ((Token(), Token), ([{"a": (Token(),)}], list[dict[str, tuple[Token]]])):
        payload = broken.dumps(value)
        for read in (
            lambda payload=payload: broken.loads(payload),
            lambda payload=payload, kind=kind: broken.loads_as(payload, kind),
        ):
            with pytest.raises(CacheSerializationError, match="decode= that is") as caught:
                read()
            assert "damaged" not in str(caught.value)
            assert "Token" in str(caught.value)
            assert isinstance(caught.value.__cause__, ZeroDivisionError)
            assert "in failing" in "".join(traceback.format_exception(caught.value))


def test_what_encode_raises_keeps_its_cause() -> None:
    """Likewise at writing."""
    with pytest.raises(CacheSerializationError, match="encode= that is") as caught:
        serializer(failing, failing).dumps([Token()])
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


class Stubborn:
    """Fails to be pickled."""

    __getstate__ = failing  # type: ignore[assignment]


class Reducing:
    """Fails likewise."""

    __reduce__ = failing  # type: ignore[assignment]


@pytest.mark.parametrize("kind", [Stubborn, Reducing])
def test_what_a_hook_of_pickle_raises_keeps_its_cause(kind: Any) -> None:
    """With its traceback, and the place of the object."""
    with pytest.raises(CacheSerializationError, match=r"at \$\[0\]\.a") as caught:
        NativeSerializer().dumps([{"a": kind()}])
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert "in failing" in "".join(traceback.format_exception(caught.value))


def test_looking_for_the_culprit_ends() -> None:
    """Loops and wide values cost a bounded number of looks."""
    looped: list[Any] = []
    looped.append(looped)
    path, _ = culprit(looped, lambda _: True)
    assert len(path) <= 300
    looks: list[object] = []
    culprit(list(range(100_000)), lambda part: bool(looks.append(part)))  # type: ignore[func-returns-value]
    assert len(looks) < 10_000
