"""The site in the system's own Chromium, headless, driven by Playwright.

Nothing is downloaded: Playwright's driver comes with its wheel. Every page is a first visit, with a
cache and a storage of its own, and nothing but the site under test is ever asked for.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import attrs
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Response, sync_playwright

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")

_SETTLED = """
document.fonts.ready.then(() => Promise.all(
    [...document.images].map(one => { one.loading = "eager"; return one.decode().catch(() => 0); })
))
"""

_IS_DARK = """
getComputedStyle(document.body).backgroundColor.match(/[0-9.]+/g).slice(0, 3)
    .reduce((sum, one) => sum + Number(one), 0) < 3 * 128
"""

_STICKING_OUT = """
width => [...document.body.querySelectorAll("*")]
    .filter(one => one.getBoundingClientRect().right > width + 1)
    .filter(one => {
        for (let box = one.parentElement; box && box !== document.body; box = box.parentElement)
            if (getComputedStyle(box).overflowX !== "visible") return false;
        return true;
    })
    .slice(0, 5)
    .map(one => `${one.tagName}.${one.className}: ${(one.textContent || "").slice(0, 40)}`)
"""


@attrs.frozen
class View:
    """What a page is looked at with: a name for pictures, pixels, and whether dark is preferred."""

    name: str
    width: int
    height: int
    dark: bool = False


DESKTOP = View("desktop", 1280, 900)
DARK = View("dark", 1280, 900, dark=True)
PHONE = View("phone", 390, 844)


def find_browser() -> str | None:
    """The path of an installed Chromium, if there is one."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


@contextmanager
def open_browser(program: str) -> Iterator[Browser]:
    """Start Chromium from its path, and end it with everything that it started."""
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage"]
    with TemporaryDirectory() as home, sync_playwright() as playwright:
        settings: dict[str, str | float | bool] = {**os.environ, "HOME": home}
        browser = playwright.chromium.launch(executable_path=program, args=arguments, env=settings)
        try:
            yield browser
        finally:
            browser.close()


def complaints(browser: Browser, url: str, view: View, screenshot: Path) -> list[str]:
    """Open a page for the first time, wait until it is drawn, and say what is wrong with it.

    Args:
        browser: The browser.
        url: The page; requests to other hosts than its own are complaints.
        view: The size and the preference of the reader.
        screenshot: Where to put a picture of the whole page.
    """
    phone = view.width < 600
    with browser.new_context(
        viewport={"width": view.width, "height": view.height},
        color_scheme="dark" if view.dark else "light",
        device_scale_factor=2 if phone else 1,
        is_mobile=phone,
    ) as context:
        page = context.new_page()
        wrong = _listen(page, "/".join(url.split("/")[:3]))
        page.goto(url)
        page.evaluate(_SETTLED)
        if "jinpy-cache" not in page.title():
            wrong.append(f"title: {page.title()}")
        if page.evaluate(_IS_DARK) != view.dark:
            wrong.append("the ground is light" if view.dark else "the ground is dark")
        width, height = page.evaluate(
            "(one => [one.scrollWidth, one.scrollHeight])(document.documentElement)"
        )
        if width > view.width:
            wrong.append(f"{width} pixels wide: {page.evaluate(_STICKING_OUT, view.width)}")
        area = {"x": 0, "y": 0, "width": view.width, "height": min(height, 6000)}
        page.screenshot(path=screenshot, full_page=True, clip=area)
    return wrong


def _listen(page: Page, site: str) -> list[str]:
    """Return a list to which is added whatever goes wrong in a page."""
    wrong: list[str] = []

    def said(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            wrong.append(f"console {message.type}: {message.text}")

    def asked(request: Request) -> None:
        if not request.url.startswith((f"{site}/", "data:", "blob:")):
            wrong.append(f"asked elsewhere: {request.url}")

    def answered(response: Response) -> None:
        if response.status >= 400:
            wrong.append(f"status {response.status}: {response.url}")

    page.on("console", said)
    page.on("request", asked)
    page.on("response", answered)
    page.on("requestfailed", lambda request: wrong.append(f"{request.failure}: {request.url}"))
    page.on("pageerror", lambda error: wrong.append(f"exception: {error}"))
    return wrong
