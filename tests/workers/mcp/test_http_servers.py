"""Servers under a URL are used as programs are."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from subprocess import Popen
from threading import Thread

import pytest

from greenroom.config.tables.servers import McpServer
from tests.support.deadline import until
from tests.workers.mcp.cast import hosted, running

pytestmark = pytest.mark.processes


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        assert isinstance(port, int)
        return port


def listens(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def serving(port: int, command: tuple[str, ...]) -> Iterator[str]:
    with Popen([*command, str(port)], stderr=-3, stdout=-3) as process:
        until(lambda: listens(port), within=20)
        try:
            yield f"http://127.0.0.1:{port}/mcp"
        finally:
            process.kill()
    until(lambda: not listens(port))


@pytest.fixture(scope="module")
def url(official_command: tuple[str, ...]) -> Iterator[str]:
    with serving(free_port(), official_command) as url:
        yield url


class Doorman(BaseHTTPRequestHandler):
    """Answers everything with the status that its path asks for, and remembers what it was asked with."""

    asked: list[dict[str, str]] = []  # noqa: RUF012 - one for all requests is the point

    def do_POST(self) -> None:
        self.asked.append(dict(self.headers))
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(int(self.path.strip("/")))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def door() -> Iterator[str]:
    Doorman.asked.clear()
    with HTTPServer(("127.0.0.1", 0), Doorman) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_tools_are_listed_and_called(url: str) -> None:
    async def test() -> None:
        async with hosted({"web": McpServer(url=url)}) as host:
            await host.servers.ready()
            assert host.events.failures == {}
            assert await host.answer("web__echo", '{"text":"ho","times":2}') == "hoho"

    running(test)


def test_a_call_in_a_session_that_is_over_is_made_in_a_new_one(official_command: tuple[str, ...]) -> None:
    async def test() -> None:
        port = free_port()
        with ExitStack() as first:
            url = first.enter_context(serving(port, official_command))
            async with hosted({"web": McpServer(url=url)}) as host:
                await host.servers.ready()
                first.close()
                assert not (await host.call("web__echo", '{"text":"ho"}')).success
                with serving(port, official_command):
                    assert await host.answer("web__echo", '{"text":"ho"}') == "ho"
                    assert len(host.events.of("mcp_startup_update")) == 2

    running(test)


def test_a_changed_list_is_there_for_a_later_request(url: str) -> None:
    async def test() -> None:
        async with hosted({"web": McpServer(url=url)}) as host:
            await host.servers.ready()
            assert "web__grown" not in host.names
            # What the server says on its stream of notifications comes when it comes.
            while "web__grown" not in host.names:
                await host.call("web__grow")
                await host.servers.ready()

    running(test)


def test_headers_come_from_the_table_and_from_variables(door: str) -> None:
    server = McpServer(
        url=f"{door}/403",
        bearer_token_env_var="TOKEN",
        http_headers={"X-Fixed": "f"},
        env_http_headers={"X-Team": "TEAM", "X-None": "UNSET"},
    )

    async def test() -> None:
        async with hosted({"web": server}, variables={"TOKEN": "t", "TEAM": "blue"}) as host:
            await host.servers.ready()
            assert host.events.failures == {"web": "it answered with HTTP status 403"}

    running(test)
    (asked,) = Doorman.asked
    given = {name.lower(): value for name, value in asked.items()}
    assert (given["authorization"], given["x-fixed"], given["x-team"]) == ("Bearer t", "f", "blue")
    assert "x-none" not in given
    assert given["user-agent"].startswith("codex-mcp-client/")


@pytest.mark.parametrize(
    ("status", "attempts", "error"),
    [
        (401, 1, "it answered 401 Unauthorized; give it a token with `bearer_token_env_var`"),
        (503, 3, "it answered with HTTP status 503"),
    ],
)
def test_only_what_may_pass_is_tried_again(door: str, status: int, attempts: int, error: str) -> None:
    async def test() -> None:
        async with hosted({"web": McpServer(url=f"{door}/{status}")}) as host:
            await host.servers.ready()
            assert host.events.failures == {"web": error}

    running(test)
    assert len(Doorman.asked) == attempts


def test_a_url_where_nobody_answers_fails_alone() -> None:
    server = McpServer(url=f"http://127.0.0.1:{free_port()}/mcp")

    async def test() -> None:
        async with hosted({"web": server}) as host:
            await host.servers.ready()
            assert host.events.failures == {"web": "it cannot be reached"}

    running(test)


def test_closing_does_not_wait_for_a_server_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("greenroom.config.tables.servers.FIRST_REQUEST_WAIT", 0)

    async def test() -> None:
        connected = asyncio.Event()

        async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connected.set()
            await reader.read()
            writer.close()

        server = await asyncio.start_server(hang, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server, hosted({"web": McpServer(url=f"http://127.0.0.1:{port}/mcp")}) as host:
            await host.servers.ready()
            await connected.wait()
            before = asyncio.get_running_loop().time()
            await host.servers.close()
            assert asyncio.get_running_loop().time() - before < 2
            assert host.servers.states["web"].state == "cancelled"

    running(test)
