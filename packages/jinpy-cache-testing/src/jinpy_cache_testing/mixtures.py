"""Values for Hypothesis to draw: everything that is carried exactly, nested in one another."""

import collections
import math
import types
from typing import Any

from hypothesis import strategies as st

from jinpy_cache_testing.samples import PLAIN, RICH


def _is_hashable(value: object) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return not _is_nan(value) and type(value) is not slice


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)


_ONES: dict[str, object] = {**PLAIN, **RICH}

SCALARS: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(list(_ONES.values())),
    st.integers(),
    st.text(),
    st.binary(),
    st.floats(allow_nan=False),
    st.datetimes(),
    st.decimals(allow_nan=False),
    st.ip_addresses(),
    st.fractions(),
    st.timedeltas(),
)
"""Values that are whole in themselves."""

KEYS: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from([one for one in _ONES.values() if _is_hashable(one)]),
    st.integers(),
    st.text(),
    st.tuples(st.integers(), st.ip_addresses()),
)
"""Values that a mapping or set may hold as keys."""


def _containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    deque: Any = collections.deque
    default_dict: Any = collections.defaultdict
    lists = st.lists(inner, max_size=4)
    dicts = st.dictionaries(KEYS, inner, max_size=4)
    return st.one_of(
        lists,
        lists.map(tuple),
        st.builds(deque, lists, st.none() | st.integers(0, 5)),
        st.sets(KEYS, max_size=4),
        st.frozensets(KEYS, max_size=4),
        dicts,
        dicts.map(collections.OrderedDict),
        dicts.map(collections.Counter),
        st.builds(default_dict, st.sampled_from([None, list, int, dict]), dicts),
        dicts.map(types.MappingProxyType),
        st.lists(dicts, min_size=1, max_size=3).map(lambda maps: collections.ChainMap(*maps)),
        st.dictionaries(st.from_regex(r"[a-z]{1,3}", fullmatch=True), inner, max_size=3).map(
            lambda names: types.SimpleNamespace(**names)
        ),
        st.builds(slice, inner, inner, inner),
    )


def mixtures() -> st.SearchStrategy[Any]:
    """Any value that is carried exactly, nested in others or not."""
    return st.recursive(SCALARS, _containers, max_leaves=12)
