"""A headless Chromium, driven over a pair of pipes with its DevTools protocol.

Nothing is downloaded and nothing listens: the browser is the system's own, reads commands from its
descriptor 3 and answers on 4, each a JSON text that ends in a null byte. Nothing but the site under
test is ever asked for, and the profile is a new empty folder.
"""

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from select import select
from typing import Any

import attrs

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 60.0
"""Seconds to wait for any one answer."""

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)

_ON_3_AND_4 = """
import fcntl, os, sys
above = [fcntl.fcntl(int(one), fcntl.F_DUPFD, 10) for one in sys.argv[1:3]]
for descriptor, place in zip(above, (3, 4)):
    os.dup2(descriptor, place)
    os.close(descriptor)
os.execv(sys.argv[3], sys.argv[3:])
"""

_SETTLED = """
document.fonts.ready.then(() => Promise.all(
    [...document.images].map(one => { one.loading = "eager"; return one.decode().catch(() => 0); })
))
"""


def find_browser() -> str | None:
    """The path of an installed Chromium, if there is one."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


_IS_DARK = """
getComputedStyle(document.body).backgroundColor.match(/[0-9.]+/g).slice(0, 3)
    .reduce((sum, one) => sum + Number(one), 0) < 3 * 128
"""


@attrs.frozen
class View:
    """What a page was looked at with.

    Attributes:
        name: What screenshots of it are called.
        width: Pixels.
        height: Pixels.
        dark: Whether the reader prefers dark.
    """

    name: str
    width: int
    height: int
    dark: bool = False


DESKTOP = View("desktop", 1280, 900)
DARK = View("dark", 1280, 900, dark=True)
PHONE = View("phone", 390, 844)


@attrs.define
class Look:
    """What was seen of one page.

    Attributes:
        complaints: Console errors and warnings, exceptions, failed requests, and requests to
            anywhere but the site.
        page_width: How wide the content is, in pixels.
        overflowing: What sticks out to the right, beyond what scrolls by itself.
        title: The document's title.
        dark: Whether the page is drawn on a dark ground.
    """

    complaints: list[str] = attrs.field(factory=list)
    page_width: int = 0
    overflowing: list[str] = attrs.field(factory=list)
    title: str = ""
    dark: bool = False


class Browser:
    """One running browser with one tab."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands = commands
        self._answers = answers
        self._received = b""
        self._number = 0
        self._session = ""
        self._events: list[dict[str, Any]] = []
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        attached = self._call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")
        self._call("Network.setCacheDisabled", cacheDisabled=True)

    def look(self, url: str, view: View, *, screenshot: Path | None = None) -> Look:
        """Open a page, wait until it is drawn, and say what is wrong with it.

        Args:
            url: The page; requests to other hosts than its own are complaints.
            view: The size and the preference of the reader.
            screenshot: Where to put a picture of the whole page.
        """
        site = "/".join(url.split("/")[:3])
        # A first visit: the theme remembers what was shown, and notices a changed preference.
        self._events.clear()
        self._call("Page.navigate", url="about:blank")
        self._wait_for("Page.loadEventFired")
        self._dress(view)
        self._call("Storage.clearDataForOrigin", origin=site, storageTypes="all")
        self._events.clear()
        self._call("Page.navigate", url=url)
        self._wait_for("Page.loadEventFired")
        self._evaluate(_SETTLED)
        look = Look(complaints=[*self._complaints(site)])
        look.title = self._evaluate("document.title")
        look.dark = self._evaluate(_IS_DARK)
        look.page_width = self._evaluate("document.documentElement.scrollWidth")
        if look.page_width > view.width:
            look.overflowing = self._evaluate(_sticking_out(view.width))
        if screenshot is not None:
            self._picture(screenshot, view)
        return look

    def _dress(self, view: View) -> None:
        phone = view.width < 600
        self._call(
            "Emulation.setDeviceMetricsOverride",
            width=view.width,
            height=view.height,
            deviceScaleFactor=2 if phone else 1,
            mobile=phone,
        )
        preference = {"name": "prefers-color-scheme", "value": "dark" if view.dark else "light"}
        self._call("Emulation.setEmulatedMedia", features=[preference])

    def _picture(self, path: Path, view: View) -> None:
        height = self._evaluate("document.documentElement.scrollHeight")
        area = {"x": 0, "y": 0, "width": view.width, "height": min(height, 6000), "scale": 1}
        drawn = self._call(
            "Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=area
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(drawn["data"]))

    def _complaints(self, site: str) -> Iterator[str]:
        for event in self._events:
            kind, details = event["method"], event.get("params", {})
            if kind == "Runtime.exceptionThrown":
                thrown = details["exceptionDetails"]
                yield f"exception: {thrown.get('exception', thrown).get('description', thrown)}"
            elif kind == "Runtime.consoleAPICalled" and details["type"] in {"error", "warning"}:
                words = [str(one.get("value", one.get("description"))) for one in details["args"]]
                yield f"console {details['type']}: {' '.join(words)}"
            elif kind == "Log.entryAdded" and details["entry"]["level"] in {"error", "warning"}:
                yield f"log: {details['entry']['text']} {details['entry'].get('url', '')}"
            elif kind == "Network.requestWillBeSent":
                wanted = details["request"]["url"]
                if not wanted.startswith((f"{site}/", "data:", "blob:")):
                    yield f"asked elsewhere: {wanted}"
            elif kind == "Network.responseReceived" and details["response"]["status"] >= 400:
                yield f"status {details['response']['status']}: {details['response']['url']}"

    def _evaluate(self, expression: str) -> Any:
        answer = self._call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in answer:
            message = f"{expression!r} failed: {answer['exceptionDetails']}"
            raise RuntimeError(message)
        return answer["result"].get("value")

    def _call(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        command: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session:
            command["sessionId"] = self._session
        os.write(self._commands, json.dumps(command).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                if "error" in answer:
                    message = f"{method}: {answer['error']}"
                    raise RuntimeError(message)
                result: dict[str, Any] = answer["result"]
                return result

    def _wait_for(self, method: str) -> None:
        while not any(event["method"] == method for event in self._events):
            self._receive()

    def _receive(self) -> dict[str, Any]:
        """The next answer or event; events are also kept."""
        end = time.monotonic() + PATIENCE
        while b"\0" not in self._received:
            ready, _, _ = select([self._answers], [], [], max(0.0, end - time.monotonic()))
            chunk = os.read(self._answers, 1 << 16) if ready else b""
            if not chunk:
                message = f"The browser said nothing for {PATIENCE:g} s, or has ended."
                raise TimeoutError(message)
            self._received += chunk
        text, _, self._received = self._received.partition(b"\0")
        answer: dict[str, Any] = json.loads(text)
        if "method" in answer:
            self._events.append(answer)
        return answer


@contextmanager
def open_browser(program: str, profile: Path) -> Iterator[Browser]:
    """Start a browser, and end it with everything that it started.

    Args:
        program: The path of Chromium.
        profile: A new, empty folder.
    """
    from_us, commands = os.pipe()
    answers, to_us = os.pipe()
    command = (*_FLAGS, f"--user-data-dir={profile}", "about:blank")
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", _ON_3_AND_4, str(from_us), str(to_us), program, *command],
            # Crash reports and the like go where the profile goes.
            env={**os.environ, "HOME": str(profile), "XDG_CONFIG_HOME": str(profile)},
            pass_fds=(from_us, to_us),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    finally:
        os.close(from_us)
        os.close(to_us)
    try:
        yield Browser(commands, answers)
    finally:
        os.close(commands)
        os.close(answers)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _sticking_out(width: int) -> str:
    """JavaScript that names the elements which make the page wider than it may be."""
    return f"""
    [...document.body.querySelectorAll("*")]
        .filter(one => one.getBoundingClientRect().right > {width} + 1)
        .filter(one => {{
            for (let box = one.parentElement; box && box !== document.body; box = box.parentElement)
                if (getComputedStyle(box).overflowX !== "visible") return false;
            return true;
        }})
        .slice(0, 5)
        .map(one =>
            `${{one.tagName}}.${{one.className}}: ${{(one.textContent || "").slice(0, 40)}}`)
    """
