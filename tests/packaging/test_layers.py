"""The house stands: one way down, no circle, and nothing taken past a door."""

import sys

import pytest
from layers import (
    BACKENDS,
    DOORS,
    LAYERS,
    circles,
    imports_of,
    modules_of,
    past_the_doors,
    report,
    rooms_of,
    upward,
)


@pytest.mark.parametrize("package", LAYERS)
def test_every_import_goes_down(package: str) -> None:
    """A room imports only what stands below it."""
    assert [] == list(map(str, upward(package)))


@pytest.mark.parametrize("package", [*LAYERS, "jinpy_cache_file"])
def test_no_modules_import_each_other_in_a_circle(package: str) -> None:
    """From no module does a way of imports lead back to it."""
    assert [] == circles(package)


def test_backends_take_what_they_need_at_the_doors() -> None:
    """Our own backends import of the core what is public for everybody."""
    assert [] == list(map(str, past_the_doors()))


@pytest.mark.parametrize(("package", "most"), [("jinpy_cache_core", 20), ("jinpy_cache_redis", 12)])
def test_a_stranger_can_count_the_rooms(package: str, most: int) -> None:
    """The first level stays small, and every room of it has its floor."""
    placed = sorted(room for floor in LAYERS[package] for room in floor)
    assert placed == rooms_of(package)
    assert len(placed) <= most


def test_the_core_imports_no_distribution_above_it() -> None:
    """It finds backends by their entry points."""
    above = ("jinpy_cache_memory", "jinpy_cache_file", "jinpy_cache_redis", "jinpy_utils")
    assert [] == [
        str(one) for one in imports_of("jinpy_cache_core") if one.imported.startswith(above)
    ]


def test_the_source_is_what_is_read() -> None:
    """The rows above would hold of an empty folder, too."""
    for package in (*LAYERS, *BACKENDS):
        assert len(modules_of(package)) > 5
        assert any(imports_of(package))
    assert set(modules_of("jinpy_cache_core")) >= DOORS
    sys.stdout.write(f"\n{report()}\n")
