"""A Chromium of the machine without a window, driven by the DevTools protocol over its WebSocket."""

import asyncio
import base64
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
from yarl import URL

NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ABSENT: Final = "there is no Chromium on PATH (Debian's package `chromium`)"
WITHIN: Final = 30.0
"""Seconds that anything in the browser may take."""
_LISTENING: Final = re.compile(r"DevTools listening on (ws://\S+)")
_FLAGS: Final = (
    "--headless=new",
    "--no-first-run",
    "--no-startup-window",  # a page is opened where a test wants one
    "--no-default-browser-check",
    "--disable-back-forward-cache",  # a page that was left is gone
    "--disable-background-networking",
    "--disable-breakpad",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-features=WebUIOmniboxPopup,WebUIOmniboxAimPopup",  # pages of address bars
    "--disable-gpu",
    "--in-process-gpu",  # and so with the network: fewer processes
    "--enable-features=NetworkServiceInProcess2",
    "--disable-site-isolation-trials",  # pages follow one another, so one process can draw them all
    "--renderer-process-limit=1",
    "--disable-sync",
    "--force-color-profile=srgb",
    "--hide-scrollbars",
    "--password-store=basic",
    "--remote-debugging-port=0",
    # Names of others that lead to this machine, as a name does whose owner points it here.
    "--host-resolver-rules=MAP *.example 127.0.0.1",
)
_KEYS: Final = {"Tab": 9, "Enter": 13, "Escape": 27, "/": 191, " ": 32}
_TEXTS: Final = {"Enter": "\r", "/": "/", " ": " "}
_MATCH: Final = """<match><test qual="any" name="family"><string>{family}</string></test>
<edit name="family" mode="prepend" binding="strong"><string>Inter</string></edit></match>
"""
_FONTS: Final = """<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig>
<include ignore_missing="yes">/etc/fonts/fonts.conf</include><cachedir>{cache}</cachedir>
{matches}</fontconfig>
"""


def executable() -> str | None:
    """Return the path of a Chromium, `None` where there is none."""
    return next((path for name in NAMES if (path := shutil.which(name)) is not None), None)


def _match(family: str) -> str:
    """Return the rule by which a font of the interface stands for the system's, where it is installed."""
    return _MATCH.format(family=family)


class Browser:
    """The process. `close` it."""

    def __init__(self) -> None:
        path = executable()
        assert path is not None, ABSENT
        self._directory = Path(tempfile.mkdtemp(prefix="gr-browser-", dir="/tmp"))
        fonts = self._directory / "fonts.conf"
        fonts.write_text(
            _FONTS.format(
                cache=self._directory / "fonts", matches="".join(map(_match, ("system-ui", "sans", "sans-serif")))
            )
        )
        flags = [*_FLAGS, f"--user-data-dir={self._directory}", *(["--no-sandbox"] if os.getuid() == 0 else [])]
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "TZ")}
        self._process = subprocess.Popen(
            (path, *flags),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**kept, "HOME": str(self._directory), "TMPDIR": str(self._directory), "FONTCONFIG_FILE": str(fonts)},
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self.address = self._listening()
        self._target: str | None = None

    @asynccontextmanager
    async def page(self) -> AsyncIterator["Page"]:
        """Open a page in which nothing of another one, such as cookies, is left.

        It is in the target of the last one, since a new one, with a window and a process, costs more than most tests
        do; after a failure it is in a new one, whatever the last one has left.
        """
        async with aiohttp.ClientSession() as http, http.ws_connect(self.address, max_msg_size=0) as socket:
            page = Page(socket)
            listening = asyncio.ensure_future(page.listen())
            try:
                target, self._target = self._target, None
                target = await page.open(target)
                yield page
                await page.leave()
                self._target = target
            finally:
                listening.cancel()
                await asyncio.wait({listening})

    def close(self) -> None:
        """End all its processes."""
        assert self._process.stderr is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(WITHIN)
        self._process.stderr.close()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _listening(self) -> str:
        assert self._process.stderr is not None
        told = []
        for line in self._process.stderr:
            told.append(line)
            if found := _LISTENING.search(line):
                return found[1]
        raise AssertionError(f"the browser has ended: {''.join(told)}")


class Page:
    """One page."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._session: str | None = None
        self._origins: set[str] = set()
        self._emulated: dict[str, dict[str, Any]] = {}
        self._loaded = asyncio.Event()
        self.problems: list[str] = []
        """Exceptions, errors on the console, and dialogs of scripts."""

    async def open(self, target: str | None) -> str:
        """Be in a target that an earlier page has left, or in a new one, and return it."""
        if target is None:
            context = (await self.send("Target.createBrowserContext"))["browserContextId"]
            created = await self.send("Target.createTarget", url="about:blank", browserContextId=context)
            target = str(created["targetId"])
        self._session = (await self.send("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self.send(f"{domain}.enable")
        await self.show(1280)
        return target

    async def leave(self) -> None:
        """Leave nothing of what was loaded, and of what it has stored."""
        await self.go("about:blank")
        await self.send("Page.resetNavigationHistory")
        await self.send("Network.clearBrowserCookies")
        for origin in self._origins:
            await self.send("Storage.clearDataForOrigin", origin=origin, storageTypes="all")

    async def show(self, width: int, height: int = 800, *, dark: bool = False, still: bool = True) -> None:
        """Set the size of the window, the colours of the system, and whether it asks for no motion."""
        await self._emulate(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        features = {"prefers-color-scheme": "dark" if dark else "light"}
        features["prefers-reduced-motion"] = "reduce" if still else "no-preference"
        listed = [{"name": name, "value": value} for name, value in features.items()]
        await self._emulate("Emulation.setEmulatedMedia", features=listed)

    async def go(self, url: str) -> dict[str, Any]:
        """Load a page, and return what the browser says of the navigation."""
        self._loaded.clear()
        if url != "about:blank":
            self._origins.add(str(URL(url).origin()))
        told = await self.send("Page.navigate", url=url)
        async with asyncio.timeout(WITHIN):
            await self._loaded.wait()
        return told

    async def _emulate(self, method: str, **parameters: Any) -> None:
        """Give an order that has everything drawn anew, unless it is the last one of its kind again."""
        if self._emulated.get(method) != parameters:
            self._emulated[method] = parameters
            await self.send(method, **parameters)

    async def ask(self, expression: str) -> Any:
        """Return the value of an expression, which may be a promise."""
        told = await self.send(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True, userGesture=True
        )
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    async def until(self, expression: str) -> None:
        """Wait until an expression is true."""
        is_true = await self.ask(
            f"(async () => {{ const end = Date.now() + {WITHIN * 1000:.0f}; for (;;) {{ "
            f"const value = Boolean({expression}); if (value || Date.now() > end) return value; "
            "await new Promise((go) => setTimeout(go, 20)); } })()"
        )
        said = "" if is_true else await self.ask("document.body.innerText")
        assert is_true, f"{expression} does not come true; {self.problems}; the page says {said}"

    async def press(self, key: str, *, shift: bool = False) -> None:
        """Press a key and let it go."""
        facts = {
            "key": key,
            "code": key,
            "windowsVirtualKeyCode": _KEYS.get(key, 0),
            "modifiers": 8 if shift else 0,
        }
        text = _TEXTS.get(key)
        await self.send("Input.dispatchKeyEvent", type="keyDown", **facts, **({"text": text} if text else {}))
        await self.send("Input.dispatchKeyEvent", type="keyUp", **facts)

    async def write(self, text: str) -> None:
        """Type a text into what has the focus."""
        await self.send("Input.insertText", text=text)

    async def picture(self, *, whole: bool = False) -> bytes:
        """Return what is seen, as PNG."""
        told = await self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        return base64.b64decode(told["data"])

    async def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Give an order, and return what comes of it."""
        number = next(self._ids)
        order = {"id": number, "method": method, "params": parameters}
        self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_str(json.dumps(order | ({"sessionId": self._session} if self._session else {})))
        async with asyncio.timeout(WITHIN + 5):
            answer = await self._answers[number]
        assert "error" not in answer, (method, answer["error"])
        result: dict[str, Any] = answer["result"]
        return result

    async def listen(self) -> None:
        """Take what the browser says, until cancelled."""
        async for message in self._socket:
            told = json.loads(message.data)
            if "id" in told:
                self._answers.pop(told["id"]).set_result(told)
            else:
                self._notice(told["method"], told["params"])

    def _notice(self, method: str, facts: dict[str, Any]) -> None:
        match method:
            case "Page.loadEventFired":
                self._loaded.set()
            case "Runtime.exceptionThrown":
                self.problems.append(f"exception: {facts['exceptionDetails']}")
            case "Page.javascriptDialogOpening":
                self.problems.append(f"dialog: {facts['message']}")
            case "Runtime.consoleAPICalled" if facts["type"] in ("error", "warning", "assert"):
                self.problems.append(f"console: {facts['args']}")
            case "Log.entryAdded" if facts["entry"]["level"] == "error":
                self.problems.append(f"log: {facts['entry']['text']} {facts['entry'].get('url', '')}")
