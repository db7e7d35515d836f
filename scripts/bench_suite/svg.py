"""A few shapes of SVG, readable on a light and on a dark page."""

from xml.etree import ElementTree as ET

_STYLE = """
svg { color-scheme: light dark; }
text { font: 13px system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, sans-serif;
       fill: #24292f; }
.title { font-weight: 600; font-size: 15px; }
.panel { font-weight: 600; }
.quiet { fill: #57606a; font-size: 12px; }
.figure { font-variant-numeric: tabular-nums; }
.ours { fill: #3f51b5; }
.theirs { fill: #9aa4b2; }
.line { stroke: #57606a; stroke-width: 1.2; }
.grid { stroke: #d0d7de; stroke-width: 1; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .quiet { fill: #9da7b3; }
  .ours { fill: #8c9eff; }
  .theirs { fill: #59636f; }
  .line { stroke: #b1bac4; }
  .grid { stroke: #3d444d; }
}
"""


class Drawing:
    """An SVG that grows downwards.

    Args:
        width: Pixels.
        title: What a screen reader says it is.
    """

    def __init__(self, width: int, title: str) -> None:
        self.width = width
        self.height = 0.0
        self._root = ET.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "role": "img"})
        ET.SubElement(self._root, "title").text = title
        ET.SubElement(self._root, "style").text = _STYLE

    def text(
        self, x: float, y: float, words: str, *, kind: str = "", anchor: str = "start"
    ) -> None:
        """Write words whose baseline is at `y`."""
        place = {"x": _number(x), "y": _number(y), "text-anchor": anchor}
        ET.SubElement(self._root, "text", place | _kind(kind)).text = words

    def bar(self, x: float, y: float, width: float, height: float, *, kind: str) -> None:
        """Draw a rectangle."""
        size = {"width": _number(max(width, 1)), "height": _number(height), "rx": "2"}
        ET.SubElement(self._root, "rect", {"x": _number(x), "y": _number(y)} | size | _kind(kind))

    def line(self, x1: float, y1: float, x2: float, y2: float, *, kind: str = "line") -> None:
        """Draw a straight line."""
        ends = {"x1": x1, "y1": y1, "x2": x2, "y2": y2}
        places = {name: _number(value) for name, value in ends.items()}
        ET.SubElement(self._root, "line", places | _kind(kind))

    def finished(self) -> str:
        """The whole drawing as a text."""
        box = f"0 0 {self.width} {_number(self.height)}"
        self._root.set("viewBox", box)
        self._root.set("width", str(self.width))
        self._root.set("height", _number(self.height))
        ET.indent(self._root, space=" ")
        return ET.tostring(self._root, encoding="unicode") + "\n"


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _kind(kind: str) -> dict[str, str]:
    return {"class": kind} if kind else {}
