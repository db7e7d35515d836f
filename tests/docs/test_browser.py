"""The site in a real browser: nothing fails, nothing sticks out, and pictures of it are kept."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from site_check.browser import DARK, DESKTOP, PHONE, Browser, View, find_browser, open_browser
from site_check.html import read_site
from site_check.serving import serving

SCREENSHOTS = Path(__file__).parents[2] / ".tools" / "screenshots"
"""Where pictures of every page are left to be looked at; not under version control."""


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """Where the built site is served."""
    with serving(site) as url:
        yield url


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A headless Chromium with an empty profile."""
    program = find_browser()
    if program is None:
        pytest.skip("no chromium program on PATH (Debian: apt-get install chromium)")
    with open_browser(program, tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.mark.parametrize("view", [DESKTOP, DARK, PHONE], ids=lambda view: view.name)
def test_every_page_opens_cleanly(site: Path, address: str, browser: Browser, view: View) -> None:
    """No console error, no failed or foreign request, no horizontal overflow; a picture is kept."""
    wrong: dict[str, object] = {}
    for path in read_site(site):
        folder = path.parent.relative_to(site)
        if path.name != "index.html":
            continue
        name = "-".join(folder.parts) or "home"
        url = f"{address}/{folder}/" if folder.parts else f"{address}/"
        look = browser.look(url, view, screenshot=SCREENSHOTS / f"{name}-{view.name}.png")
        assert "jinpy-cache" in look.title
        assert view.dark == look.dark
        if look.complaints or look.page_width > view.width:
            wrong[name] = (look.complaints, look.page_width, look.overflowing)
    assert {} == wrong
