"""The charts show what was measured, to scale, and are well-formed whatever the names are."""

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bench_suite.charts import draw, draw_all, duration, panels
from bench_suite.page import MARKER, write_page

SVG = "{http://www.w3.org/2000/svg}"

MEASUREMENTS = [
    {"scenario": "get", "contender": "dict & <co>", "nanoseconds": [10.0, 20.0, 30.0]},
    {"scenario": "get", "contender": "Cache", "nanoseconds": [40.0, 40.0, 40.0]},
    {"scenario": "set", "contender": "Cache", "nanoseconds": [5000.0]},
]


@pytest.fixture
def drawing() -> ET.Element:
    """A picture of the measurements, read back."""
    return ET.fromstring(draw("memory", panels(MEASUREMENTS), "some day, some machine"))


def test_a_bar_is_as_long_as_its_best_round(drawing: ET.Element):
    """Within one scenario lengths compare as the rounds disturbed least do."""
    theirs, ours, _ = (float(bar.attrib["width"]) for bar in drawing.iter(f"{SVG}rect"))
    assert ours == pytest.approx(4 * theirs, abs=0.2)


def test_a_line_reaches_to_the_median(drawing: ET.Element):
    """How far a bar is from its median shows how much the machine was disturbed."""
    start = next(float(bar.attrib["x"]) for bar in drawing.iter(f"{SVG}rect"))
    width = next(float(bar.attrib["width"]) for bar in drawing.iter(f"{SVG}rect"))
    line = next(line for line in drawing.iter(f"{SVG}line"))
    assert float(line.attrib["x1"]) == pytest.approx(start + width, abs=0.2)
    assert float(line.attrib["x2"]) == pytest.approx(start + 2 * width, abs=0.2)


def test_ours_are_told_apart(drawing: ET.Element):
    """Our contenders have a colour of their own."""
    kinds = [bar.attrib["class"] for bar in drawing.iter(f"{SVG}rect")]
    assert ["theirs", "ours", "ours"] == kinds


def test_every_name_and_figure_is_written(drawing: ET.Element):
    """Scenarios, contenders and medians can be read, special characters included."""
    words = [text.text for text in drawing.iter(f"{SVG}text")]
    for expected in ("get", "dict & <co>", "10 ns", "jinpy-cache", "40 ns", "5 µs"):
        assert expected in words


def test_it_is_readable_on_light_and_dark_pages(drawing: ET.Element):
    """The colours follow the page's scheme, and nothing is loaded from elsewhere."""
    style = drawing.findtext(f"{SVG}style") or ""
    assert "prefers-color-scheme: dark" in style
    assert "http" not in style


def test_each_benchmark_gets_its_picture(tmp_path: Path):
    """`plot` draws every benchmark of the file beside it."""
    everything = {
        "date": "2026-01-31",
        "machine": {"summary": "a machine"},
        "benchmarks": {name: {"measurements": MEASUREMENTS} for name in ("memory", "file")},
    }
    measured = tmp_path / "benchmarks.json"
    measured.write_text(json.dumps(everything))
    names = [path.name for path in draw_all(measured, tmp_path)]
    assert ["bench-memory.svg", "bench-file.svg", "bench-overview.svg"] == names
    assert "2026-01-31, a machine" in (tmp_path / "bench-file.svg").read_text()
    assert "file: get" in (tmp_path / "bench-overview.svg").read_text()


@pytest.mark.parametrize(
    ("nanoseconds", "words"),
    [(0.5, "0.5 ns"), (52.34, "52.3 ns"), (1234, "1.23 µs"), (5e6, "5 ms"), (2.5e9, "2.5 s")],
)
def test_durations_have_the_unit_that_suits_them(nanoseconds: float, words: str):
    """Three digits, and no unit too small."""
    assert words == duration(nanoseconds)


def test_the_page_says_who_is_faster_and_which_promise_is_missed(tmp_path: Path):
    """Everything below the marker comes from the measurements; what stands above it stays."""
    limit = {"scenario": "get", "contender": "Cache", "reference": "dict & <co>", "at_most": 2.5}
    everything = {
        "date": "2026-01-31",
        "machine": {"summary": "a machine"},
        "distributions": {"redis": "8.1.0"},
        "benchmarks": {
            "memory": {
                "measurements": MEASUREMENTS,
                "limits": [limit, {**limit, "besides": 20.0}],
            }
        },
    }
    measured, page = tmp_path / "benchmarks.json", tmp_path / "benchmarks.md"
    measured.write_text(json.dumps(everything))
    page.write_text(f"# Benchmarks\n\n{MARKER}\nold figures\n")

    write_page(measured, page)
    written = page.read_text()

    assert written.startswith("# Benchmarks\n")
    assert "old figures" not in written
    assert "2026-01-31: a machine. Versions: redis 8.1.0." in written
    assert "| get | 40 ns | dict & <co> 0.25x |  |" in written
    assert "| get: Cache / dict & <co> | 2.5x | 4.00x **missed** | 2.00x |" in written
    assert "| get: Cache / dict & <co> | 2.5x and 20 ns | 4.00x | 2.00x |" in written


def test_a_page_without_the_marker_is_left_alone(tmp_path: Path):
    """A person's text is never overwritten."""
    measured, page = tmp_path / "benchmarks.json", tmp_path / "benchmarks.md"
    measured.write_text("{}")
    page.write_text("mine")
    with pytest.raises(ValueError, match="does not hold the line"):
        write_page(measured, page)
    assert "mine" == page.read_text()
