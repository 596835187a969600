"""A headless Chromium, driven through its own DevTools protocol over a pipe.

No library and no port: Chromium reads commands from file descriptor 3 and writes to 4, JSON ended
by a zero byte (`--remote-debugging-pipe`). Debian's package `chromium` is enough.
"""

import base64
import json
import os
import select
import shutil
import subprocess
import time
from contextlib import suppress

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-sandbox",  # the tests run as root in a container, on a page of our own
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
)
PATIENCE = 60


def executable():
    """Where Chromium is, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Chromium:
    """A browser with one page; a context manager."""

    def __init__(self, profile):
        if executable() is None:
            raise RuntimeError("there is no Chromium: apt-get install chromium")
        down, commands = os.pipe()
        replies, up = os.pipe()
        # the shell puts the pipes where Chromium looks for them, then becomes Chromium
        script = f'exec "$@" 3<&{down} 4>&{up} {down}<&- {up}>&-'
        if {down, up} & {3, 4}:
            script = (
                f'exec {down + 40}<&{down} {up + 40}>&{up}; exec "$@" 3<&{down + 40} 4>&{up + 40}'
            )
        self._process = subprocess.Popen(
            ["bash", "-c", script, "bash", executable(), *FLAGS, f"--user-data-dir={profile}"],
            pass_fds=(down, up),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(down)
        os.close(up)
        self._commands, self._replies, self._buffer = commands, replies, b""
        self._number, self._session, self.events = 0, None, []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with suppress(Exception):
            self._session = None
            self.call("Browser.close")
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        os.close(self._commands)
        os.close(self._replies)

    def call(self, method, **params):
        """A command's result; events that come before it are kept in `events`."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            reply = self._read()
            if reply.get("id") == self._number:
                if "error" in reply:
                    raise RuntimeError(f"{method}: {reply['error']['message']}")
                return reply["result"]
            self.events.append(reply)

    def _read(self):
        end = time.monotonic() + PATIENCE
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._replies], [], [], max(0, end - time.monotonic()))
            block = os.read(self._replies, 1 << 20) if ready else b""
            if not block:
                raise TimeoutError(f"Chromium is silent (exit code {self._process.poll()})")
            self._buffer += block
        line, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(line)

    def open(self, file, *, width=1280, height=900, dark=False):
        """Show a file, and wait until its script says that it is ready."""
        self.events.clear()
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Page.navigate", url="about:blank")  # else the page before it could look ready
        self.events.clear()
        self.call("Page.navigate", url=file.resolve().as_uri())
        end = time.monotonic() + PATIENCE
        while not self.run("document.documentElement?.dataset.ready === 'yes'"):
            if time.monotonic() > end:
                raise TimeoutError(f"the page is not ready: {self.complaints()}")
            time.sleep(0.05)

    def run(self, script):
        """The value of a JavaScript expression in the page."""
        found = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in found:
            raise RuntimeError(str(found["exceptionDetails"]))
        return found["result"].get("value")

    def press(self, key, code=0):
        """A key, pressed and released."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code)

    def complaints(self):
        """What the page's console and the browser's log say: errors, refused loads."""
        kinds = ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled")
        return [event for event in self.events if event["method"] in kinds]

    def requests(self):
        """Every URL that was asked for."""
        return [
            event["params"]["request"]["url"]
            for event in self.events
            if event["method"] == "Network.requestWillBeSent"
        ]

    def screenshot(self, file, selector=None):
        """A PNG of the window, or of one element."""
        more = {}
        if selector:
            box = self.run(
                "(({x, y, width, height}) => ({x: x + scrollX, y: y + scrollY, width, height}))"
                f"(document.querySelector({selector!r}).getBoundingClientRect())"
            )
            more = {"clip": {**box, "scale": 1}, "captureBeyondViewport": True}
        shot = self.call("Page.captureScreenshot", format="png", **more)
        file.write_bytes(base64.b64decode(shot["data"]))

    def pdf(self):
        """The page as it would be printed."""
        return base64.b64decode(self.call("Page.printToPDF", printBackground=True)["data"])
