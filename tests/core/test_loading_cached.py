"""`@cached`: keys by value, methods, wrappers' own methods, and where the cache comes from."""

import asyncio
import copy
import datetime as dt
import enum
import functools
import inspect
import re
import weakref
from dataclasses import dataclass
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jinpy_cache_core import (
    Cache,
    CacheConfigurationError,
    CacheException,
    CacheManager,
    CacheManagerConfig,
    cached,
)
from jinpy_cache_core.functions import wrappers
from jinpy_cache_core.functions.arguments import text_of
from jinpy_cache_core.functions.binding import CacheInfo
from jinpy_cache_core.loading.lookup import RENEWAL_LIFETIME


class Colour(enum.Enum):
    RED = "red"


class Size(enum.IntEnum):
    SMALL = 1


class Pair(NamedTuple):
    left: int
    right: int


@attrs.frozen
class Point:
    x: int
    y: int


@dataclass(frozen=True)
class Place:
    x: int
    y: int


@attrs.define
class Account:
    cache_key: int


class Nameless:
    pass


def plain(user_id, lang="de", *, full=False):
    """Return and note the arguments."""
    CALLS.append((user_id, lang, full))
    return [user_id, lang, full]


def simple(user_id, lang="de"):
    """Return and note the arguments, all of them plain."""
    CALLS.append((user_id, lang))
    return [user_id, lang]


async def coroutine(user_id, lang="de"):
    """Return and note the arguments, asynchronously."""
    CALLS.append((user_id, lang))
    return [user_id, lang]


def variadic(*args, **kwargs):
    """Return the arguments."""
    return [list(args), kwargs]


CALLS: list[Any] = []


@pytest.fixture
def backend(shelf, shelf_config):
    """A cache that nothing was called through yet."""
    CALLS.clear()
    return shelf(shelf_config(name="shelf"))


def test_a_call_is_computed_once_for_equal_arguments(backend):
    """However the arguments are passed, bound to their parameters they make one key."""
    function = cached(backend=backend)(plain)

    results = [function(1), function(1, "de"), function(user_id=1), function(1, full=False)]

    assert [[1, "de", False]] * 4 == results
    assert [(1, "de", False)] == CALLS
    assert {plain.__module__ + ".plain(1, 'de', full=False)"} == set(backend.scan())


def test_the_written_wrapper_and_the_general_way_make_the_same_keys(backend):
    """A quick hit finds what the general way has stored, for every type of argument."""
    function = cached(backend=backend)(simple)

    for one in (1, "1", -7, "it's", 'a"b', "é", True, None, 1.5, ("a", 1), [1], "x" * 300, 10**400):
        first = function(one)
        assert first == function(one)
        assert backend.exists(function.cache_key(one))
    assert 13 == len(CALLS)
    assert 13 == len(list(backend.scan()))


def test_remembered_keys_are_of_exactly_these_arguments(backend, monkeypatch):
    """Arguments that compare equal but differ in type, and more of them than are remembered."""
    monkeypatch.setattr(wrappers, "_MOST_KEYS", 3)

    @cached(backend=backend)
    def shown(first: object, second: object = 0) -> str:
        return f"{first!r} {second!r}"

    values = [1, True, 1.0, "1", Size.SMALL, 0, False, "", "x" * 2000, 2**70]
    for _ in range(2):
        assert [f"{value!r} 0" for value in values] == [shown(value) for value in values]
        assert [f"{one!r} {two!r}" for one in values for two in values] == [
            shown(one, two) for one in values for two in values
        ]


def test_a_coroutine_function_is_cached_likewise(backend):
    """The wrapper is a coroutine function, and shares nothing with another function."""
    function = cached(backend=backend, ttl=60)(coroutine)

    async def main():
        values = [await function(1), await function(1, lang="de")]
        contained = [await function.cache_contains(1), await function.cache_contains(2)]
        return values, contained, await function.invalidate(1), await function.refresh(1)

    assert inspect.iscoroutinefunction(function)
    assert ([[1, "de"]] * 2, [True, False], True, [1, "de"]) == asyncio.run(main())
    assert 2 == len(CALLS)
    assert 60 == pytest.approx(backend.ttl(function.cache_key(1)), abs=5)


def test_the_wrapper_still_looks_like_the_function(backend):
    """Name, docstring, signature and the function itself are kept."""
    function = cached(backend=backend)(simple)

    assert ("simple", simple, inspect.signature(simple)) == (
        function.__name__,
        function.__wrapped__,
        inspect.signature(function),
    )
    with pytest.raises(TypeError):
        function()


def test_values_can_be_invalidated_refreshed_and_cleared(backend):
    """The wrapper's methods take the function's arguments."""
    function = cached(backend=backend)(simple)
    backend.set("other", 1)
    for number in range(3):
        function(number)

    assert function.cache_contains(0)
    assert [True, False] == [function.invalidate(0), function.invalidate(0)]
    assert [1, "de"] == function.refresh(1)
    assert [(0, "de"), (1, "de"), (2, "de"), (1, "de")] == CALLS
    assert 2 == function.cache_clear()
    assert ["other"] == list(backend.scan())


def test_none_is_cached(backend):
    """A function that returns `None` is not called again."""
    calls = []
    function = cached(backend=backend, key="none")(lambda: calls.append(1))

    assert [None, None] == [function(), function()]
    assert [1] == calls


def test_calls_are_counted_on_request(backend):
    """`statistics=True` counts the hits and misses of one function."""
    counted = cached(backend=backend, statistics=True)(simple)
    uncounted = cached(backend=backend, key="u:{user_id}")(simple)
    for number in (1, 1, 2):
        counted(number)
        uncounted(number)

    assert CacheInfo(1, 2) == counted.cache_info()
    assert CacheInfo(None, None) == uncounted.cache_info()


VALUES = [
    None,
    True,
    1,
    "1",
    1.0,
    -0.0,
    0.0,
    1 + 0j,
    b"1",
    "b'1'",
    "None",
    [1],
    (1,),
    {1},
    frozenset({1}),
    {1: 1},
    {"1": 1},
    {"a": [1, (2,)]},
    [[1], [2]],
    [[1, 2]],
    ["a, b"],
    ["a", "b"],
    Decimal("1.0"),
    Decimal("1.00"),
    UUID(int=1),
    dt.date(2024, 1, 1),
    dt.datetime(2024, 1, 1),  # noqa: DTZ001
    dt.datetime(2024, 1, 1, tzinfo=dt.UTC),
    dt.datetime(2024, 1, 1, tzinfo=ZoneInfo("Etc/UTC")),
    dt.time(1),
    dt.timedelta(1),
    Colour.RED,
    "red",
    Size.SMALL,
    Pair(1, 2),
    (1, 2),
    Point(1, 2),
    Place(1, 2),
    Account(1),
    Account(2),
    PurePosixPath("1"),
    Point,
    Pair,
    ...,
]


def test_different_values_make_different_keys():
    """Type and value are both in the text."""
    texts = [text_of(value, "'x'") for value in VALUES]

    assert len(VALUES) == len(set(texts))


def test_equal_containers_make_equal_keys():
    """The order in which a dict or a set was filled does not matter."""
    assert text_of({"a": 1, "b": 2}, "x") == text_of({"b": 2, "a": 1}, "x")
    assert text_of({"b", "a", "c"}, "x") == text_of({"c", "b", "a"}, "x")
    assert text_of(Point(1, 2), "x") == text_of(Point(1, 2), "x")


KEYABLE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.binary() | st.floats(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(KEYABLE, KEYABLE)
def test_texts_are_equal_exactly_for_equal_values(left, right):
    """No two different values of plain types share a text, however they are nested."""
    same = repr(_ordered(left)) == repr(_ordered(right))

    assert same == (text_of(left, "x") == text_of(right, "x"))


def _ordered(value):
    if isinstance(value, dict):
        return {key: _ordered(value[key]) for key in sorted(value)}
    if isinstance(value, (list, tuple)):
        return type(value)(map(_ordered, value))
    return value


@pytest.mark.parametrize(
    "value", [Nameless(), object(), print, [Nameless()], {"a": object()}, iter(()), attrs.define]
)
def test_what_has_no_value_is_refused_by_name(backend, value):
    """An argument without a value to go by is an error that names it, and nothing is called."""
    function = cached(backend=backend)(simple)

    with pytest.raises(TypeError, match="The argument 'user_id' is a") as caught:
        function(value)
    assert isinstance(caught.value, CacheException)
    assert [] == CALLS


def test_a_template_is_filled_by_name(backend):
    """The template's names are parameters; values that are no words are written as literals."""
    function = cached(backend=backend, key="user:{user_id}:{lang}")(simple)

    keys = [function.cache_key(*args) for args in [(7,), ("seven",), ("7",), ("a b",), (None,)]]

    assert [
        "user:7:de",
        "user:seven:de",
        "user:'7':de",
        "user:'a b':de",
        "user:None:de",
    ] == keys
    assert "user:'None':de" == function.cache_key("None")


@given(st.tuples(KEYABLE, KEYABLE), st.tuples(KEYABLE, KEYABLE))
def test_a_template_keeps_different_arguments_apart(left, right):
    """Two pairs of arguments share a filled template only if their texts are equal."""
    key = cached(key="k:{user_id}:{lang}")(simple).cache_key
    same = [text_of(one, "x") for one in left] == [text_of(one, "x") for one in right]
    if sum(len(text_of(one, "x")) for one in (*left, *right)) < 500:
        assert same == (key(*left) == key(*right))


@pytest.mark.parametrize(
    "key", ["{nobody}", "{user_id!r}", "{user_id:>3}", "{user_id}{lang}", "{0}"]
)
def test_a_template_that_cannot_work_is_refused(key):
    """Unknown names, formats, and names that nothing separates are errors at decoration."""
    with pytest.raises(CacheConfigurationError):
        cached(key=key)(simple)


def test_a_key_function_takes_the_same_arguments(backend):
    """`key=` may be any function of the arguments."""
    function = cached(backend=backend, key=lambda user_id, lang="de": f"u-{user_id}")(simple)

    assert [1, "de"] == function(1, lang="de")
    assert ["u-1"] == list(backend.scan())
    with pytest.raises(CacheConfigurationError, match="no common beginning"):
        function.cache_clear()


def test_clearing_takes_what_is_the_functions_own(backend):
    """A longer template and a key set by hand stay; where nothing tells, clearing is refused."""
    order = cached(backend=backend, key="order:{x}")(lambda x: x)
    lines = cached(backend=backend, key="order:{x}:lines")(lambda x: x)
    for one in (1, "it's: 2", (1, 2), b"3"):
        assert one == order(one) == lines(one)
    backend.set("order:1:note", 1)
    assert 4 == order.cache_clear()
    assert lines.cache_contains("it's: 2")
    assert 5 == len(list(backend.scan()))
    with pytest.raises(CacheConfigurationError, match="no common beginning"):
        cached(backend=backend, key="u{x}")(lambda x: x).cache_clear()


def test_clearing_wins_over_a_computation_under_way(backend):
    """A value whose computation began before `cache_clear()` is not stored."""
    function = cached(backend=backend, key="late:{x}")(lambda x: function.cache_clear() or x)
    assert 1 == function(1)
    assert not function.cache_contains(1)
    assert 0 == len(backend._loading.flights)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (60, "ttl=60"),
        (dt.timedelta(minutes=1), "ttl=datetime"),
        ("user:{x}", "key='user:{x}'"),
        (Cache(), "backend=cache"),
        ({}, "options by name"),
    ],
)
def test_what_belongs_into_an_option_is_refused_with_its_name(given, said):
    """`@cached(60)` and its kin say what to write instead."""
    with pytest.raises(CacheConfigurationError, match=re.escape(said)):
        cached(given)


@pytest.mark.parametrize(
    ("key", "said"), [("a:{x", "is no template"), (5, "is a int"), ("a:{x:>5}", "formats 'x'")]
)
def test_a_broken_template_is_refused_with_its_place(key, said):
    """The message quotes the template and names the function."""
    with pytest.raises(CacheConfigurationError, match=said):
        cached(key=key)(lambda x: x)


def test_a_function_with_hidden_inputs_needs_a_key():
    """A closure or a lambda would share its automatic key with another one."""
    hidden = 1

    def closure(x):
        return x + hidden

    with pytest.raises(CacheConfigurationError, match="reads 'hidden'"):
        cached(closure)
    with pytest.raises(CacheConfigurationError, match="lambda"):
        cached(lambda: 1)
    assert "c:1" == cached(key="c:{x}")(closure).cache_key(1)


def test_any_parameters_can_be_cached(backend):
    """Variadic parameters are part of the key."""
    function = cached(backend=backend)(variadic)

    assert [[1, 2], {"a": 3}] == function(1, 2, a=3) == function(1, 2, a=3)
    assert [[1], {"a": 3, "b": 1}] == function(1, b=1, a=3)
    assert function.cache_key(b=1, a=2) == function.cache_key(a=2, b=1)
    assert 2 == len(list(backend.scan()))


class TestMethods:
    def test_a_method_is_cached_by_the_value_of_its_object(self, backend):
        """Equal objects share values, and the wrapper's methods know their object."""

        @attrs.frozen
        class User:
            number: int

            @cached(backend=backend, key="orders:{self}:{year}")
            def orders(self, year):
                CALLS.append((self.number, year))
                return [self.number, year]

            @cached(backend=backend, key="name:{self}")
            async def name(self):
                return f"user {self.number}"

        user = User(1)
        assert [[1, 2024]] * 2 == [user.orders(2024), User(1).orders(2024)]
        assert [[2, 2024], [1, 2024]] == [User(2).orders(2024), User.orders(user, 2024)]
        assert [(1, 2024), (2, 2024)] == CALLS
        assert user.orders.cache_contains(2024)
        assert user.orders.invalidate(2024)
        assert not User.orders.cache_contains(user, 2024)
        assert [1, 2024] == user.orders.refresh(2024) == user.orders.__wrapped__(2024)
        assert 2 == user.orders.cache_clear()
        assert "user 1" == asyncio.run(user.name())

    def test_an_object_without_a_value_is_refused(self, backend):
        """`self` is never put into a key by its `repr`."""

        class Service:
            @cached(backend=backend)
            def work(self):
                return 1

        with pytest.raises(TypeError, match="The argument 'self' is a"):
            Service().work()

    def test_a_class_method_is_bound_to_its_class(self, backend):
        """What is invalidated and refreshed is of the class that was asked, or of its subclass."""
        calls = []

        class Service:
            cache_key = "service"

            @classmethod
            @cached(backend=backend, key=lambda cls, name="a": f"{cls.__name__}:{name}")
            def value(cls, name="a"):
                calls.append((cls, name))
                return name

        class Special(Service):
            pass

        assert Service.value("x") == Special.value("x") == Service().value("x") == "x"
        assert [(Service, "x"), (Special, "x")] == calls
        assert Special.value.invalidate("x")
        assert Service.value.cache_contains("x")
        assert not Special.value.cache_contains("x")
        assert "x" == Special.value.refresh("x")
        assert (Special, "x") == calls[-1]
        assert not [name for name in vars(Service) if name.startswith("__cached")]

    def test_a_bound_method_is_equal_to_itself_and_copied_as_methods_are(self, backend):
        """Equality, hash, weak references, and copies of the object it belongs to."""

        @dataclass(frozen=True)
        class Shop:
            name: str

            @cached(backend=backend, key="price:{item}")
            def price(self, item):
                return item

        shop, other = Shop("a"), Shop("a")
        assert shop.price == shop.price
        assert hash(shop.price) == hash(shop.price)
        assert shop.price != other.price
        assert copy.copy(shop.price) == shop.price
        assert shop == copy.deepcopy(shop.price).__self__
        assert shop.price == weakref.ref(bound := shop.price)() == bound
        assert inspect.isfunction(Shop.price)

    def test_static_and_class_methods_are_decorated_below(self, backend):
        """The decorator goes next to the function; the other order is refused."""

        class Service:
            @staticmethod
            @cached(backend=backend, key="s:{x}")
            def static(x):
                return x

        assert [3, 3] == [Service.static(3), Service().static(3)]
        with pytest.raises(CacheConfigurationError, match="below @classmethod"):
            cached(staticmethod(simple))


def test_the_cache_is_looked_up_when_it_is_first_needed(shelf_config):
    """A module may decorate before the application configures, and follows each configuration."""
    function = cached(simple)

    with CacheManager(CacheManagerConfig(backends=[shelf_config(name="one")])) as manager:
        function(1)
        first = list(manager.backend("one").scan())
        CacheManager(CacheManagerConfig(backends=[shelf_config(name="two")]))
        function(1)
        second = list(manager.backend("two").scan())

    assert [function.cache_key(1)] == first == second
    assert 2 == len([call for call in CALLS if call == (1, "de")][-2:])


def test_the_cache_may_be_named_or_given(shelf_config):
    """`backend=` takes a name, a backend or a `Cache`."""
    with CacheManager(CacheManagerConfig(backends=[shelf_config(name="one")])) as manager:
        for given_cache in ("one", manager.backend("one"), Cache("one"), manager.cache("one")):
            function = cached(backend=given_cache, ttl=60)(simple)
            function(1)
            assert function.invalidate(1)


def test_options_of_the_backend_hold_for_the_function(shelf, shelf_config):
    """A backend that renews ahead does so for a decorated function, though hits take longer."""
    now = [1000.0]
    backend = shelf(shelf_config(options={"refresh_ahead": 0.5}), clock=lambda: now[0])
    values = iter(range(10))
    function = cached(backend=backend, ttl=10, key="k")(lambda: next(values))

    got = [function(), function()]
    now[0] += 6
    got.append(function())
    assert backend._loading.background.idle(30)
    got.append(function())

    assert [0, 0, 0, 1] == got


def test_a_renewal_that_was_interrupted_is_begun_again(shelf, shelf_config):
    """An interrupt just before a renewal starts does not keep its key from being renewed."""
    now = [1000.0]
    backend = shelf(shelf_config(options={"refresh_ahead": 0.5}), clock=lambda: now[0])
    values = iter(range(10))
    function = cached(backend=backend, ttl=1_000, key="k")(lambda: next(values))
    function()
    now[0] += 600
    start = backend._loading.background.in_thread

    def interrupted(_work):
        raise KeyboardInterrupt

    backend._loading.background.in_thread = interrupted
    with pytest.raises(KeyboardInterrupt):
        function()
    backend._loading.background.in_thread = start
    now[0] += RENEWAL_LIFETIME
    got = [function()]
    assert backend._loading.background.idle(30)
    got.append(function())

    assert [0, 1] == got


def test_a_coroutine_method_is_a_coroutine_function(backend):
    """Inspect and asyncio see what it is: of the class, bound to an object, and as a function."""

    class Shop:
        cache_key = "shop"

        @cached(backend=backend)
        async def price(self, item: str) -> int:
            return len(item)

        @cached(backend=backend)
        def name(self, item: str) -> str:
            return item

    for price in (Shop.price, Shop().price, functools.partial(Shop().price, "tea")):
        assert inspect.iscoroutinefunction(price)
    for name in (Shop.name, Shop().name):
        assert not inspect.iscoroutinefunction(name)
    assert ["item"] == list(inspect.signature(Shop().price).parameters)
    assert ["self", "item"] == list(inspect.signature(Shop.price).parameters)
    assert 3 == asyncio.run(Shop().price("tea"))


def test_generator_functions_are_refused_where_they_are_decorated(backend):
    """Their results can be read only once."""

    def numbers():
        yield 1

    async def later():
        yield 1

    for function in (numbers, later):
        with pytest.raises(CacheConfigurationError, match="returns a list, and iterate over that"):
            cached(backend=backend)(function)
