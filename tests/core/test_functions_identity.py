"""Two different computations never share a key, whatever functions and arguments they are."""

import dataclasses
import enum
import functools
import ipaddress
import itertools
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jinpy_cache_core import CacheManager, CacheManagerConfig, cached, register_type
from jinpy_cache_core.exceptions import CacheConfigurationError, CacheException, CacheKeyTypeError
from jinpy_cache_core.serializers.registry import TYPES


class Colour(enum.Enum):
    RED = 1
    ALSO = "1"

    @classmethod
    def _missing_(cls, value):
        made = object.__new__(cls)
        made._name_, made._value_ = "UNKNOWN", value
        return made


class Text(enum.StrEnum):
    ONE = "1"


class Rights(enum.Flag):
    READ = 1
    WRITE = 2


@dataclasses.dataclass(frozen=True)
class Point:
    x: object


class Marked(Point):
    def __init__(self, x, mark):
        super().__init__(x)
        object.__setattr__(self, "mark", mark)


class Scaled:
    def __init__(self, factor):
        self.cache_key = self.factor = factor

    def times(self, x):
        return "times", self.factor, x

    def __call__(self, x):
        return "called", self.factor, x


def first(x):
    """One function."""
    return "first", x


def second(x):
    """Another."""
    return "second", x


def pair(a, x):
    """One with an argument for a partial."""
    return a, x


def tagged(tag):
    """A decorator whose result depends on what it was given."""

    def decorate(function):
        @functools.wraps(function)
        def inner(x):
            return tag, function(x)

        return inner

    return decorate


def twins(underscore):
    """Two functions of one name, one of which a redefinition hid."""
    if underscore:

        def _(x):
            return "one _", x

        one = _

        def _(x):
            return "other _", x

        return one, _

    def same(x):
        return "one", x

    one = same

    def same(x):
        return "other", x

    return one, same


FUNCTIONS = [
    first,
    second,
    *twins(underscore=True),
    *twins(underscore=False),
    tagged("a")(first),
    tagged("b")(first),
    tagged("a")(tagged("b")(first)),
    functools.partial(pair, 1),
    functools.partial(pair, True),
    functools.partial(pair, x=2),
    Scaled(2).times,
    Scaled(5).times,
    Scaled(2),
    Scaled(5),
    [1, 1, 2].count,
    [5].count,
]


def run_time_class(name):
    """A class that no module holds."""
    kind = type(name, (Point,), {"__module__": __name__, "__qualname__": f"made.<locals>.{name}"})
    return dataclasses.dataclass(frozen=True)(kind)


KINDS = [run_time_class("Made"), run_time_class("Made")]

ARGUMENTS = [
    *(1, True, 1.0, "1", b"1", 1 + 0j, 0.0, -0.0, None, (1,), [1], {1}, frozenset({1}), {1: 1}),
    *(Colour.RED, Colour.ALSO, Colour("a"), Colour("b"), Text.ONE, Rights.READ),
    *(Rights.READ | Rights.WRITE, Rights(0), range(0, 3, 2), range(0, 4, 2), Fraction(1)),
    *(ipaddress.ip_address("0.0.0.1"), ipaddress.ip_address("::1"), Path("1"), int, Colour),
    *(Point(1), Point("1"), Marked(1, "a"), Marked(1, "b"), KINDS[0](1), KINDS[1](1)),
]


def exactly(value):
    """A text by which results differ that compare equal."""
    return f"{type(value)} {id(type(value))} {value!r} {getattr(value, 'mark', '')}"


def computed(function, argument):
    """What a call returns, exactly."""
    result = function(argument)
    if isinstance(result, tuple):
        return [exactly(one) for one in result]
    return exactly(result)


CALLS = list(itertools.product(range(len(FUNCTIONS)), range(len(ARGUMENTS))))


@pytest.fixture(scope="module")
def decorated():
    """Each function of the zoo, decorated once."""
    return [cached(function) for function in FUNCTIONS]


@given(one=st.sampled_from(CALLS), other=st.sampled_from(CALLS))
def test_no_two_calls_with_different_results_have_one_key(decorated, one, other):
    """Whatever pair of calls is drawn, one key means one result; a call may be refused instead."""
    try:
        keys = [decorated[f].cache_key(ARGUMENTS[a]) for f, a in (one, other)]
    except CacheKeyTypeError:
        return
    if keys[0] == keys[1]:
        results = [computed(FUNCTIONS[f], ARGUMENTS[a]) for f, a in (one, other)]
        assert results[0] == results[1]


def test_all_keys_of_the_zoo_differ(decorated):
    """What is not refused has a key of its own, function by function and argument by argument."""
    keys: dict[str, tuple[int, int]] = {}
    refused = set()
    for function, argument in CALLS:
        try:
            key = decorated[function].cache_key(ARGUMENTS[argument])
        except CacheKeyTypeError:
            refused.add(type(ARGUMENTS[argument]))
            continue
        assert keys.setdefault(key, (function, argument)) == (function, argument)
    assert {Marked} == refused - set(KINDS)
    assert 1 == len(refused & set(KINDS))


@pytest.mark.parametrize(
    "hidden", [functools.partial(pair, object()), tagged(object())(first)], ids=["partial", "layer"]
)
def test_a_hidden_input_without_a_value_is_refused(hidden):
    """What a key could not tell apart is refused at decoration, with the way out."""
    with pytest.raises(CacheConfigurationError, match="key="):
        cached(hidden)


def test_a_version_leaves_older_values_behind():
    """Another version is another key; beside key= it is refused with what to write."""
    keys = {cached(version=one)(first).cache_key(1) for one in (None, 1, "1", '"{x}"\\')}
    assert 4 == len(keys)
    with pytest.raises(CacheException, match="version into the key"):
        cached(key="a:{x}", version=1)(first)


PROGRAM = """
from jinpy_cache_core import cached
@cached
def load(city):
    return "BODY of " + city
print(load.cache_key("Oslo"))
"""


def key_of_program(path, body):
    """The key that a script computes."""
    path.write_text(PROGRAM.replace("BODY", body))
    ran = subprocess.run(
        [sys.executable, path], capture_output=True, text=True, timeout=60, check=True
    )
    return ran.stdout


def test_two_scripts_have_keys_of_their_own(tmp_path):
    """A script, its copy, and its copy with another body; run again, each has the key it had."""
    (tmp_path / "copy").mkdir()
    here, there = tmp_path / "job.py", tmp_path / "copy" / "job.py"
    keys = [key_of_program(here, "a"), key_of_program(there, "a"), key_of_program(here, "b")]
    assert 3 == len(set(keys))
    assert keys[0] == key_of_program(here, "a")


@pytest.mark.parametrize("name", ["type", "len", "str", "int", "key", "self", "cls", "wrapper"])
def test_a_parameter_may_have_any_name(name):
    """Names of builtins and of our own mean the caller's arguments."""
    CacheManager(CacheManagerConfig(backends=["shelf://a"]))
    space = {}
    exec(f"def f({name}, other=3): return {name}, other", space)
    space["f"].__module__ = __name__
    function = cached(space["f"])
    assert [("a", 3), ("a", 3), ("a", 4)] == [function("a"), function("a", 3), function("a", 4)]


class Session:
    """What a web framework hands in: no value, and none of the result's business."""


class Taught:
    """A class that the program has taught."""

    def __init__(self, value: object) -> None:
        self.value = value


@pytest.mark.parametrize("ignore", ["session", ("session",), ["session"]])
def test_parameters_that_do_not_matter_are_left_out(shelf, ignore):
    """Whatever is passed for them, by position or by name, the key is one."""

    @cached(backend=shelf(), ignore=ignore)
    def load(session, number, *, lang="de"):
        return session, number, lang

    assert (1, 1, "de") == load(1, 1) == load(session=Session(), number=1)
    assert load.cache_key(None, 1) == load.cache_key(Session(), 1)
    assert load.cache_key(None, 1) != load.cache_key(None, 2) != load.cache_key(None, 2, lang="en")
    assert load.invalidate(Session(), 1)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"ignore": "sesion"}, "'sesion' .* is not the name of a parameter; there are session"),
        ({"ignore": ("session",), "key": "k:{number}"}, "both key= and ignore="),
    ],
)
def test_what_cannot_be_left_out_is_told(wrong, said):
    """A name that is none would silently leave nothing out."""
    with pytest.raises(CacheConfigurationError, match=said):
        cached(**wrong)(lambda session, number: number)


def test_a_type_that_was_taught_is_part_of_a_key():
    """By what it is stored as, and told apart from that itself."""

    @cached(ttl=60)
    def load(one):
        return one

    with pytest.raises(CacheKeyTypeError, match=r"ignore=.*register_type"):
        load(Taught(1))
    register_type(Taught, encode=lambda one: one.value, decode=Taught)
    try:
        keys = [load.cache_key(one) for one in (Taught(1), Taught("1"), Taught([1]), 1, [1])]
        assert 5 == len(set(keys))
        assert load.cache_key(Taught([1])) == load.cache_key(Taught([1]))
    finally:
        TYPES.unregister(Taught)
