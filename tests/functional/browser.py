"""A real browser, driven over WebDriver with nothing but the standard library."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
MISSING = "" if CHROMIUM and DRIVER else "needs chromium and chromedriver"

TIMEOUT = 20.0
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
    "--disable-extensions", "--force-color-profile=srgb", "--hide-scrollbars",
    "--disable-features=Translate,MediaRouter,OptimizationHints",
    "--host-resolver-rules=MAP *.example 127.0.0.1",
)
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"

KEYS = {"Enter": "\ue007", "Escape": "\ue00c", "Tab": "\ue004", "ArrowDown": "\ue015", "Space": " "}


class BrowserError(Exception):
    """The browser could not do what it was asked."""


class Browser:
    """One window."""

    def __init__(self, width: int = 1280, height: int = 860) -> None:
        assert CHROMIUM and DRIVER
        self._profile = tempfile.mkdtemp(prefix="ct-browser-")
        self._driver = subprocess.Popen(
            [DRIVER, "--port=0"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self._base = f"http://127.0.0.1:{self._port()}"
        options = {"binary": CHROMIUM, "args": [
            *_FLAGS, f"--user-data-dir={self._profile}", f"--window-size={width},{height}"]}
        found = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": {
            "browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"},
            "unhandledPromptBehavior": "ignore"}}})
        self._base += f"/session/{found['sessionId']}"

    @property
    def pid(self) -> int:
        """The process of which all of the browser's are descendants."""
        return self._driver.pid

    def _port(self) -> int:
        assert self._driver.stdout is not None
        for line in self._driver.stdout:
            if b"started successfully on port" in line:
                return int(line.rstrip(b".\n").rsplit(b" ", 1)[1])
        raise BrowserError("chromedriver did not start")

    def _ask(self, method: str, path: str, given: object = None) -> Any:
        body = None if method != "POST" else json.dumps(given or {}).encode()
        request = urllib.request.Request(
            self._base + path, body, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise BrowserError(json.load(error)["value"]["message"].split("\n")[0]) from None

    # Pages

    def open(self, url: str) -> None:
        """Go to an address and wait until it is loaded."""
        self._ask("POST", "/url", {"url": url})

    def run(self, script: str, *arguments: object) -> Any:
        """What a script returns."""
        return self._ask("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def later(self, script: str, *arguments: object) -> Any:
        """What a script passes to its last argument, a function."""
        return self._ask("POST", "/execute/async", {"script": script, "args": list(arguments)})

    def until(self, found: Callable[[], T], timeout: float = TIMEOUT) -> T:
        """Wait until something is found."""
        deadline = time.monotonic() + timeout
        while not (value := found()):
            if time.monotonic() > deadline:
                raise AssertionError(f"not found in {timeout} s; the page says: {self.text()[:2000]}")
            time.sleep(0.05)
        return value

    def shows(self, text: str, where: str = "body") -> None:
        """Wait until a part of the page shows a text."""
        self.until(lambda: text in self.text(where))

    def text(self, where: str = "body") -> str:
        """What a part of the page shows."""
        return str(self.run("const e = document.querySelector(arguments[0]); return e ? e.innerText : ''", where))

    def texts(self, where: str) -> list[str]:
        """What each of some parts shows."""
        return list(self.run("return [...document.querySelectorAll(arguments[0])].map(e => e.innerText.trim())", where))

    def click(self, where: str, text: str = "") -> None:
        """Click at the first part of the page that is found, or at the first with that text."""

        def click() -> bool:
            """Whether it was there."""
            return bool(self.run(
                "const right = e => !arguments[1] || e.innerText.trim() === arguments[1];"
                "const e = [...document.querySelectorAll(arguments[0])]"
                ".find(e => e.checkVisibility() && !e.disabled && right(e));"
                "if (e) e.click(); return Boolean(e)", where, text))

        self.until(click)

    def press(self, *keys: str) -> None:
        """Press keys, one after another, wherever the focus is."""
        actions = [{"type": kind, "value": KEYS.get(key, key)} for key in keys for kind in ("keyDown", "keyUp")]
        self._ask("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def type(self, text: str) -> None:
        """Write a text wherever the focus is."""
        self.press(*text)

    def log(self) -> list[str]:
        """What the browser has complained of since the last look."""
        return [entry["message"] for entry in self._ask("POST", "/se/log", {"type": "browser"})]

    def size(self, width: int, height: int) -> None:
        """Give the page this size, as a device with such a screen would."""
        self.tell("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def scheme(self, colours: str) -> None:
        """Prefer C{light} or C{dark}."""
        self.tell("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": colours}])

    def tell(self, command: str, **parameters: object) -> Any:
        """A command of the DevTools protocol."""
        return self._ask("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def picture(self, path: Path) -> None:
        """Save what can be seen."""
        path.write_bytes(base64.b64decode(self._ask("GET", "/screenshot")))

    def close(self) -> None:
        """End it."""
        with suppress(BrowserError, OSError):
            self._ask("DELETE", "")
        self._driver.terminate()
        self._driver.wait(TIMEOUT)
        assert self._driver.stdout is not None
        self._driver.stdout.close()
        shutil.rmtree(self._profile, ignore_errors=True)
