"""What a built page says and where it leads."""

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import attrs

_CODE = frozenset({"code", "pre", "script", "style"})
_SOURCES = {"a": "href", "link": "href", "img": "src", "script": "src", "source": "srcset"}


@attrs.define
class Page:
    """One HTML file, read.

    Attributes:
        path: The file.
        anchors: What a fragment may name.
        targets: What its links, images, scripts and styles name, but links to other sites.
        prose: The text outside of code.
        headings: The text of each heading, by its anchor.
    """

    path: Path
    anchors: set[str] = attrs.field(factory=set)
    targets: list[str] = attrs.field(factory=list)
    prose: str = ""
    headings: dict[str, str] = attrs.field(factory=dict)


class _Reader(HTMLParser):
    def __init__(self, page: Page) -> None:
        super().__init__()
        self._page = page
        self._open_code = 0
        self._prose: list[str] = []
        self._heading = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        anchor = given.get("id") or (given.get("name", "") if tag == "a" else "")
        if anchor:
            self._page.anchors.add(anchor)
        target = given.get(_SOURCES.get(tag, ""), "")
        if target and not (tag == "a" and target.startswith("https://")):
            self._page.targets.append(target)
        self._open_code += tag in _CODE
        if tag in {"h1", "h2", "h3", "h4", "h5", "h6"}:
            self._heading = given.get("id", "")

    def handle_endtag(self, tag: str) -> None:
        self._open_code -= tag in _CODE
        if tag in {"h1", "h2", "h3", "h4", "h5", "h6"}:
            self._heading = ""

    def handle_data(self, data: str) -> None:
        if not self._open_code:
            self._prose.append(data)
        if self._heading:
            known = self._page.headings.get(self._heading, "")
            self._page.headings[self._heading] = known + data

    def close(self) -> None:
        super().close()
        self._page.prose = "".join(self._prose)


def read_site(site: Path) -> dict[Path, Page]:
    """Every page of a built site, by its file.

    Args:
        site: The folder that was built.
    """
    pages: dict[Path, Page] = {}
    for path in sorted(site.rglob("*.html")):
        page = Page(path)
        reader = _Reader(page)
        reader.feed(path.read_text(encoding="utf-8"))
        reader.close()
        pages[path] = page
    return pages


def broken_links(page: Page, site: Path, pages: dict[Path, Page]) -> list[str]:
    """What a page names that is not there, or is not part of the site.

    Args:
        page: The page.
        site: The folder that was built.
        pages: All of its pages.
    """
    return [target for target in page.targets if not _is_there(target, page, site, pages)]


def _is_there(target: str, page: Page, site: Path, pages: dict[Path, Page]) -> bool:
    parts = urlsplit(target)
    if parts.scheme or parts.netloc:
        return False
    path = unquote(parts.path)
    file = page.path
    if path:
        file = site / path.lstrip("/") if path.startswith("/") else page.path.parent / path
        file = file.resolve()
        file = file / "index.html" if file.is_dir() else file
    if not file.is_file():
        return False
    fragment = unquote(parts.fragment)
    return not fragment or file not in pages or fragment in pages[file].anchors
