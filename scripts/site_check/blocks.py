"""The code blocks of a Markdown page."""

import re
from pathlib import Path

import attrs

_FENCE = re.compile(
    r"^```(?P<language>[\w+-]*)(?P<rest>[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
_TITLE = re.compile(r'title="([^"]*)"')

OUTPUT = "Output"
"""The title of a block that shows what the Python block before it prints."""


@attrs.frozen
class Block:
    """One fenced block.

    Attributes:
        page: The file it is in.
        line: The number of its first line of code.
        language: The word after the fence.
        title: The title that the page shows above it, or nothing.
        text: The code.
    """

    page: Path
    line: int
    language: str
    title: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    """Every code block of a page, in order.

    Args:
        page: A Markdown file.

    Raises:
        ValueError: A fence is left open, indented or of another kind, so that a block would escape.
    """
    text = page.read_text(encoding="utf-8")
    found = list(_FENCE.finditer(text))
    fences = sum(line.lstrip().startswith(("```", "~~~")) for line in text.splitlines())
    if fences != 2 * len(found):
        message = f"{page} has {fences} fences and {len(found)} blocks: close them, indent none."
        raise ValueError(message)
    return [
        Block(
            page=page,
            line=text.count("\n", 0, match.start("text")) + 1,
            language=match["language"],
            title=title[1] if (title := _TITLE.search(match["rest"])) else "",
            text=match["text"],
        )
        for match in found
    ]
