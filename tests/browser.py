"""A browser without a window, spoken to by the W3C's WebDriver protocol, which is JSON over HTTP."""

import base64
import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

from ganforge.tracking.server import free_port

PROGRAMS = ("chromium", "chromedriver")
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--no-first-run",
)
_PATIENCE = 60


class Browser:
    """One session.

    Args:
        address: of the driver.
    """

    def __init__(self, address):
        self._address = address
        chrome = {"args": [*OPTIONS], "perfLoggingPrefs": {"enableNetwork": True}}
        logging = {"browser": "ALL", "performance": "ALL"}
        wanted = {"browserName": "chrome", "goog:chromeOptions": chrome, "goog:loggingPrefs": logging}
        made = self._call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self._session = f"/session/{made['sessionId']}"

    def open(self, url, *, width=1280, dark=False, media=""):
        """Show a page; what earlier ones logged is forgotten."""
        self.command("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.command("Emulation.setEmulatedMedia", media=media, features=[scheme])
        self.console()
        self.requests()
        self._call("POST", f"{self._session}/url", {"url": url})

    def run(self, script):
        """What a script of the test returns."""
        return self._call("POST", f"{self._session}/execute/sync", {"script": script, "args": []})

    def command(self, name, **parameters):
        """A command of the DevTools."""
        return self._call("POST", f"{self._session}/goog/cdp/execute", {"cmd": name, "params": parameters})

    def console(self):
        """All that was written to the console, errors of the policy included."""
        return [entry["message"] for entry in self._call("POST", f"{self._session}/se/log", {"type": "browser"})]

    def requests(self):
        """The addresses that were asked for since the last time; pictures inside the page are none."""
        entries = self._call("POST", f"{self._session}/se/log", {"type": "performance"})
        messages = [json.loads(entry["message"])["message"] for entry in entries]
        asked = [one["params"]["request"]["url"] for one in messages if one["method"] == "Network.requestWillBeSent"]
        return [url for url in asked if not url.startswith("data:")]

    def picture(self, width, height):
        """The upper left of the page as a PNG file."""
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        return base64.b64decode(self.command("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)["data"])

    def close(self):
        self._call("DELETE", self._session)

    def _call(self, method, path, body=None):
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._address + path, content, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=_PATIENCE) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(error.read().decode()) from error


@contextmanager
def browser(home):
    """A browser with its own home, and none of its processes left."""
    port = free_port("127.0.0.1", 9515)
    words = [PROGRAMS[1], f"--port={port}"]
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    environ = {"PATH": os.environ["PATH"], "HOME": str(home)}
    with subprocess.Popen(words, env=environ, **silent) as driver:
        try:
            opened = _opened(f"http://127.0.0.1:{port}")
            try:
                yield opened
            finally:
                opened.close()
        finally:
            driver.terminate()


def _opened(address):
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return Browser(address)
        except urllib.error.URLError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
