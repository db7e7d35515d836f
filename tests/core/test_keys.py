"""Keys are verbatim text of 1 to 1,024 UTF-8 bytes; namespaces keep them apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jinpy_cache_core.entries.keys import (
    MAX_KEY_BYTES,
    check_key,
    check_keys,
    check_namespace,
    check_prefix,
    join,
    split,
)
from jinpy_cache_core.exceptions import CacheConfigurationError, CacheKeyError, CacheKeyTypeError

any_text = st.text(st.characters(), min_size=1, max_size=50)
"""Any code points, lone surrogates included."""

keys = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=50)
namespaces = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters=":"), min_size=1, max_size=50
)


def is_encodable(text: str) -> bool:
    """Whether there is UTF-8 for it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@given(any_text)
def test_encodable_text_is_a_key_as_it_is(text: str):
    """What can be encoded is returned unchanged; lone surrogates are refused."""
    if is_encodable(text):
        assert text is check_key(text)
    else:
        with pytest.raises(CacheKeyError, match="lone surrogate at index"):
            check_key(text)


@given(st.sampled_from("a\u00e9\u20ac\U0001f600"), st.integers(200, 1100))
def test_the_limit_counts_encoded_bytes(character: str, count: int):
    """1,024 bytes are a key and one more is none, however many characters they are."""
    key = character * count

    if len(key.encode()) <= MAX_KEY_BYTES:
        assert key is check_key(key)
    else:
        with pytest.raises(CacheKeyError, match=r"limit is 1,024.*hashlib"):
            check_key(key)


def test_the_empty_text_is_no_key():
    """There is nothing to look up."""
    with pytest.raises(CacheKeyError, match="must not be empty"):
        check_key("")


@pytest.mark.parametrize("key", [1, 1.0, True, None, b"a", ("a",), ["a"], object()])
def test_other_types_are_no_keys(key: object):
    """The error names the type, and is also a TypeError and a ValueError."""
    with pytest.raises(CacheKeyTypeError, match=type(key).__name__) as caught:
        check_key(key)

    assert isinstance(caught.value, TypeError)
    assert isinstance(caught.value, ValueError)
    assert key is caught.value.key


def test_a_subclass_of_str_becomes_its_characters():
    """A key is an exact str, whatever its class says about equality, hash, length or encoding."""

    class Liar(str):
        __slots__ = ()
        __hash__ = None

        def __eq__(self, other: object) -> bool:
            return True

        def __len__(self) -> int:
            return 0

        def __str__(self) -> str:
            return "lie"

        def encode(self, *_: object) -> bytes:
            return b"lie"

    checked = check_key(Liar("truth"))

    assert "truth" == checked
    assert type(checked) is str


def test_a_subclass_of_str_cannot_hide_its_length():
    """The limit is that of the characters."""

    class Short(str):
        __slots__ = ()

        def __len__(self) -> int:
            return 1

    with pytest.raises(CacheKeyError, match="1,025"):
        check_key(Short("k" * 1025))


def test_a_long_key_is_cut_in_the_message():
    """A message shows the beginning of a key, which may hold personal data, and its length."""
    with pytest.raises(CacheKeyError) as caught:
        check_key("secret" * 1000)

    assert len(str(caught.value)) < 400
    assert "6,000" in str(caught.value)


@given(st.lists(keys))
def test_several_keys_are_each_once_in_order(given_keys: list[str]):
    """Repeated keys count once, where they were first."""
    assert list(dict.fromkeys(given_keys)) == check_keys(iter(given_keys))


@pytest.mark.parametrize("given_keys", ["abc", "", b"ab", bytearray(b"ab"), 1, None])
def test_several_keys_are_an_iterable(given_keys: object):
    """One text is not taken for its letters."""
    with pytest.raises(CacheKeyTypeError, match="Put a single key into a list"):
        check_keys(given_keys)


def test_each_of_several_keys_is_checked():
    """One bad key among good ones is an error."""
    with pytest.raises(CacheKeyError, match="empty"):
        check_keys(["a", ""])
    with pytest.raises(CacheKeyTypeError, match="list"):
        check_keys(["a", ["b"]])


def test_a_prefix_is_empty_or_begins_keys():
    """Every key, and nothing, is a prefix; what no key can begin with is refused."""
    assert "" == check_prefix("")
    assert "a:" == check_prefix("a:")
    for prefix in ("\ud800", "k" * 1025, 1, None, b""):
        with pytest.raises(CacheKeyError):
            check_prefix(prefix)


@given(namespaces, keys, namespaces, keys)
def test_namespaces_keep_keys_apart(one: str, key: str, other: str, other_key: str):
    """Two pairs of namespace and key join to the same text only if they are the same pair."""
    same = join(one, key) == join(other, other_key)

    assert ((one, key) == (other, other_key)) is same


@given(namespaces, keys)
def test_a_joined_key_can_be_split(namespace: str, key: str):
    """`split` undoes `join`, colons in the key included."""
    assert key == split(namespace, join(namespace, key))


@given(namespaces)
def test_a_namespace_is_text_without_a_colon(namespace: str):
    """Short text without a colon is a namespace as it is."""
    assert namespace == check_namespace(namespace)


@pytest.mark.parametrize(
    "namespace", ["", ":", "a:b", "\ud800", "n" * 257, "\u00e9" * 129, 1, None]
)
def test_what_could_meet_another_namespace_is_none(namespace: object):
    """The error names the setting and the value."""
    with pytest.raises(CacheConfigurationError, match=r"region=.*is not a namespace"):
        check_namespace(namespace, where="region")
