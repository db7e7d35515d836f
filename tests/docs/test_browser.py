"""The site in a real browser: nothing fails, nothing sticks out, and pictures of it are kept."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from site_check.browser import (
    DARK,
    DESKTOP,
    PHONE,
    Look,
    View,
    find_browser,
    open_browser,
)
from site_check.html import read_site
from site_check.serving import serving

SCREENSHOTS = Path(__file__).parents[2] / ".tools" / "screenshots"
"""Where pictures of every page are left to be looked at; not under version control."""

VIEWS = (DESKTOP, DARK, PHONE)

Looks = dict[str, Look]


@pytest.fixture(scope="module")
def looks(
    site: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[View, "Future[Looks]"]]:
    """What was seen of each page in each view; a browser mostly waits, so each view has its own."""
    program = find_browser()
    if program is None:
        pytest.skip("no chromium program on PATH (Debian: apt-get install chromium)")
    folders = {view: tmp_path_factory.mktemp("profile") for view in VIEWS}

    def look_at_all(view: View) -> Looks:
        seen: Looks = {}
        with open_browser(program, folders[view]) as browser:
            for path in read_site(site):
                folder = path.parent.relative_to(site)
                if path.name != "index.html":
                    continue
                name = "-".join(folder.parts) or "home"
                url = f"{address}/{folder}/" if folder.parts else f"{address}/"
                picture = SCREENSHOTS / f"{name}-{view.name}.png"
                seen[name] = browser.look(url, view, screenshot=picture)
        return seen

    with serving(site) as address, ThreadPoolExecutor(len(VIEWS)) as browsers:
        yield {view: browsers.submit(look_at_all, view) for view in VIEWS}


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_every_page_opens_cleanly(looks: dict[View, "Future[Looks]"], view: View) -> None:
    """No console error, no failed or foreign request, no horizontal overflow; a picture is kept."""
    wrong: dict[str, object] = {}
    for name, look in looks[view].result().items():
        assert "jinpy-cache" in look.title
        assert view.dark == look.dark
        if look.complaints or look.page_width > view.width:
            wrong[name] = (look.complaints, look.page_width, look.overflowing)
    assert {} == wrong
