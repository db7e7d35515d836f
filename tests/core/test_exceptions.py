"""One root, the closest builtin beside it, and the place where it happened."""

import pickle
import traceback

import pytest

from jinpy_cache_core import exceptions
from jinpy_cache_core.enums import CacheErrorType, CacheOperation
from jinpy_cache_core.exceptions import (
    CacheBackendError,
    CacheClosedError,
    CacheConfigurationError,
    CacheConnectionError,
    CacheException,
    CacheKeyError,
    CacheKeyTypeError,
    CacheReentryError,
    CacheSerializationError,
    CacheTimeoutError,
    CacheValueError,
    CacheValueTypeError,
    shown_key,
)

KINDS = [
    kind
    for kind in vars(exceptions).values()
    if isinstance(kind, type) and issubclass(kind, CacheException)
]


@pytest.mark.parametrize(
    "kind, builtin, code",
    [
        (CacheException, Exception, "unknown"),
        (CacheConfigurationError, ValueError, "configuration"),
        (CacheConnectionError, ConnectionError, "connection"),
        (CacheTimeoutError, TimeoutError, "timeout"),
        (CacheSerializationError, Exception, "serialization"),
        (CacheKeyError, ValueError, "key"),
        (CacheKeyTypeError, TypeError, "key"),
        (CacheValueError, ValueError, "value"),
        (CacheValueTypeError, TypeError, "value"),
        (CacheBackendError, Exception, "backend"),
        (CacheReentryError, RuntimeError, "reentry"),
        (CacheClosedError, Exception, "closed"),
    ],
)
def test_each_kind_has_a_builtin_and_a_code(
    kind: type[CacheException], builtin: type[Exception], code: str
):
    """`except ConnectionError` catches ours as `except CacheException` does."""
    error = kind("It failed.")

    assert isinstance(error, CacheException)
    assert isinstance(error, builtin)
    assert CacheErrorType(code) == error.code


def test_every_code_but_none_is_used():
    """No kind of error shares the code of another family, and none is left over."""
    assert set(CacheErrorType) == {kind.default_code for kind in KINDS}


def test_a_type_error_of_ours_is_caught_as_a_value_error_too():
    """The refined kinds stay in their family."""
    assert issubclass(CacheKeyTypeError, CacheKeyError)
    assert issubclass(CacheValueTypeError, CacheValueError)


def test_the_context_is_in_the_text():
    """The sentence comes first, then where it happened."""
    error = CacheValueError(
        "Too large.", operation=CacheOperation.INCR, backend="hits", backend_type="dict", key="a"
    )

    assert "Too large. [operation=incr, backend='hits', key='a']" == str(error)
    assert "Too large." == error.message
    assert "Too large." == str(CacheValueError("Too large."))


def test_to_dict_is_plain_data():
    """Every attribute as text or number, for a structured log."""
    error = CacheBackendError(
        "The disk is full.",
        operation=CacheOperation.SET,
        backend="disk",
        backend_type="file",
        key="a",
        server_code="OOM",
        errno=28,
    )

    assert {
        "error": "CacheBackendError",
        "code": "backend",
        "message": "The disk is full.",
        "operation": "set",
        "backend": "disk",
        "backend_type": "file",
        "key": "'a'",
        "server_code": "OOM",
        "errno": 28,
    } == error.to_dict()
    assert {str, int} == {type(value) for value in error.to_dict().values()}


def test_to_dict_of_an_error_without_context():
    """What is not known is None."""
    assert {
        "error": "CacheException",
        "code": "unknown",
        "message": "It failed.",
        "operation": None,
        "backend": None,
        "backend_type": None,
        "key": None,
        "server_code": None,
        "errno": None,
    } == CacheException("It failed.").to_dict()


def test_the_context_is_filled_in_once():
    """The innermost place that knows wins; the error stays the same object."""
    error = CacheKeyError("Empty.", backend="inner")

    placed = error.in_context(
        operation=CacheOperation.GET, backend="outer", backend_type="dict", key=""
    )
    error.in_context(operation=CacheOperation.SET, key="other")

    assert placed is error
    assert ("get", "inner", "dict", "") == (
        error.operation,
        error.backend,
        error.backend_type,
        error.key,
    )


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_error_survives_pickling(kind: type[CacheException]):
    """An error that crosses to another process keeps its type, text and context."""
    error = kind("It failed.", key="a", operation=CacheOperation.GET, backend="b", errno=5)

    copy = pickle.loads(pickle.dumps(error))

    assert type(copy) is kind
    assert str(error) == str(copy)
    assert error.to_dict() == copy.to_dict()


def test_an_unpicklable_key_does_not_break_the_text():
    """Whatever was given as a key can be shown."""
    assert "object object" in str(CacheKeyTypeError("No.", key=object()))


@pytest.mark.parametrize(
    "key, shown",
    [("a", "'a'"), ("a\nb", "'a\\nb'"), (1, "1"), (b"a", "b'a'"), ("k" * 78, repr("k" * 78))],
)
def test_a_key_is_shown_on_one_line(key: object, shown: str):
    """Line ends cannot forge a log entry."""
    assert shown == shown_key(key)


def test_a_long_key_is_cut():
    """Eighty characters are shown, and how many there are."""
    shown = shown_key("k" * 500)

    assert shown.startswith("'" + "k" * 79 + "...")
    assert shown.endswith("(502)")


def test_the_cause_is_in_the_traceback():
    """`raise ... from` works as for any exception."""
    cause = OSError(28, "No space left")

    with pytest.raises(CacheBackendError) as caught:
        raise CacheBackendError("The store failed.", errno=cause.errno) from cause

    text = "".join(traceback.format_exception(caught.value))
    assert 28 == caught.value.errno
    assert "No space left" in text
    assert "direct cause" in text


@pytest.mark.parametrize("kind", [CacheTimeoutError, CacheConnectionError])
def test_the_kinds_that_are_os_errors_keep_text_and_errno(kind: type[CacheException]):
    """OSError has its own idea of arguments; ours are what was given."""
    error = kind("No answer.", errno=110, backend="r")

    assert "No answer. [backend='r']" == str(error)
    assert 110 == error.errno
