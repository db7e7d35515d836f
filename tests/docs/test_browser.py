"""The site in a real browser: nothing fails, nothing sticks out, and pictures of it are kept."""

from pathlib import Path

import pytest

pytest.importorskip("playwright", reason="not installed here; `scripts/test docs` has it")

from site_check.browser import DARK, DESKTOP, PHONE, View, complaints, find_browser, open_browser
from site_check.html import read_site
from site_check.serving import serving

SCREENSHOTS = Path(__file__).parents[2] / ".tools" / "screenshots"
"""Where pictures of every page are left to be looked at; not under version control."""


@pytest.mark.parametrize("view", [DESKTOP, DARK, PHONE], ids=lambda view: view.name)
def test_every_page_opens_cleanly(site: Path, view: View) -> None:
    """No console error, no failed or foreign request, no horizontal overflow; a picture is kept."""
    program = find_browser()
    if program is None:
        pytest.skip("no chromium program on PATH (Debian: apt-get install chromium)")
    pages = [path.parent.relative_to(site) for path in read_site(site) if path.name == "index.html"]
    wrong: dict[str, list[str]] = {}
    with serving(site) as address, open_browser(program) as browser:
        for page in pages:
            name = "-".join(page.parts) or "home"
            url = f"{address}/{page}/" if page.parts else f"{address}/"
            picture = SCREENSHOTS / f"{name}-{view.name}.png"
            wrong[name] = complaints(browser, url, view, picture)
    assert "home" in wrong
    assert {} == {name: found for name, found in wrong.items() if found}
