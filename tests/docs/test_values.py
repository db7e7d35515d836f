"""The table of values is what happens, and promises what the page says."""

import pytest
from tests.docs import values_table

NEEDED = ("pydantic", "msgspec", "numpy", "pandas", "pyarrow", "polars")


@pytest.fixture(autouse=True)
def _libraries() -> None:
    for library in NEEDED:
        pytest.importorskip(library)


def test_the_table_is_what_happens() -> None:
    """`python -m tests.docs.values_table` writes it anew."""
    text = values_table.PAGE.read_text()
    assert text == values_table.written(text, values_table.page())


def test_no_kind_is_exact_in_portable_memory_and_refused_elsewhere() -> None:
    """All three shared columns agree, sentences included."""
    for kind, (_, portable, file, redis) in values_table.rows():
        assert portable == file == redis, kind
