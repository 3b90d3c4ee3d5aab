"""A dashboard in the process of the tests, and what is asked of it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

import aiohttp

from greenroom.supervisor.cli.dashboard.access import ORDER_HEADER, ORDER_VALUE
from greenroom.supervisor.cli.dashboard.collector import Collector
from greenroom.supervisor.cli.dashboard.server import DashboardServer
from greenroom.supervisor.cli.status.overview import Overview
from greenroom.supervisor.control.instances import RunningInstance

NONE: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass
class Dashboard:
    """One that serves."""

    server: DashboardServer
    collector: Collector
    http: aiohttp.ClientSession
    overview: Overview
    """What pages are shown; to be changed at will."""
    cookies: dict[str, str] = field(default_factory=dict)

    @property
    def origin(self) -> str:
        return f"http://{self.server._address.text}"

    @property
    def host(self) -> str:
        return self.server._address.text

    async def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] = NONE
    ) -> "Answer":
        """Send a request with what a session has."""
        cookies = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        async with self.http.request(
            method, self.origin + path, data=body, headers={**cookies, **headers}, allow_redirects=False
        ) as response:
            return Answer(response.status, response.headers.copy(), await response.text())

    async def order(self, **facts: Any) -> "Answer":
        """Give an order as the page does; `headers` replace those that it sends, and `None` leaves one out."""
        headers = {"Origin": self.origin, "Content-Type": "application/json", ORDER_HEADER: ORDER_VALUE}
        headers |= facts.pop("headers", {})
        kept = {name: value for name, value in headers.items() if value is not None}
        return await self.ask("POST", "/orders", json.dumps(facts).encode(), kept)

    async def log_in(self) -> None:
        """Begin a session."""
        path = self.server.new_address().removeprefix(self.origin)
        answer = await self.ask("GET", path)
        assert answer.status == 303
        name, _, rest = answer.headers["Set-Cookie"].partition("=")
        self.cookies = {name: rest.partition(";")[0]}

    @asynccontextmanager
    async def stream(self, path: str) -> AsyncIterator["Stream"]:
        """Open a stream of events."""
        cookies = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        async with self.http.get(self.origin + path, headers=cookies) as response:
            assert response.status == 200, await response.text()
            yield Stream(response)


@dataclass(frozen=True)
class Answer:
    """What a request was answered with."""

    status: int
    headers: Any
    text: str


class Stream:
    """A stream of events."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response

    async def next(self) -> dict[str, Any]:
        """Return the next event."""
        while line := (await self.response.content.readline()).decode():
            if line.startswith("data: "):
                event: dict[str, Any] = json.loads(line.removeprefix("data: "))
                return event
        raise AssertionError("the stream has ended")


@asynccontextmanager
async def dashboard(
    overview: Overview,
    *,
    control: bool = False,
    every: float = 0.05,
    find: Callable[[], list[RunningInstance]] = list,
    look: Callable[[], Overview] | None = None,
) -> AsyncIterator[Dashboard]:
    """Serve a dashboard at any port."""
    collector = Collector(look or (lambda: scene.overview), every)
    server = DashboardServer(0, collector, find, control=control)
    await server.start()
    collecting = asyncio.ensure_future(collector.run())
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), read_bufsize=1 << 20) as http:
        scene = Dashboard(server, collector, http, overview)
        try:
            async with asyncio.timeout(120):
                yield scene
        finally:
            await server.close()
            collecting.cancel()
            await asyncio.wait({collecting})
    assert collecting.cancelled(), collecting.exception()
