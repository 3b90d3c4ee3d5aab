"""`greenroom serve --http`: a host over HTTP, as processes."""

import asyncio
import os
import re
import signal
import socket
import stat
import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult

from greenroom.demo.script import Stall, Text, rule
from greenroom.supervisor.frontend.http.token_file import NAME
from tests.support import processes
from tests.support.deadline import until
from tests.support.host import Host
from tests.support.http_process import HttpHost, hosting_http
from tests.support.stage import Stage

ROOT = Path(__file__).parents[2]
MARKS = {"python": "import httpx2", "sh": "curl"}
HELLO = rule("hello", [Text("Good day.")])
STALL = rule("stall", [Text("hm"), Stall()])


async def connect(served: HttpHost, stack: AsyncExitStack, mode: str) -> Client:
    """Return the official client, connected to a host."""
    http = await stack.enter_async_context(httpx2.AsyncClient(headers=served.headers, timeout=httpx2.Timeout(30)))
    return await stack.enter_async_context(Client(streamable_http_client(served.url, http_client=http), mode=mode))


async def call(client: Client, prompt: str, thread: str | None = None) -> dict[str, Any]:
    """Call a tool, and return its structured result."""
    name, more = ("codex", {}) if thread is None else ("codex-reply", {"threadId": thread})
    result = await client.call_tool(name, {"prompt": prompt, **more})
    assert isinstance(result, CallToolResult)
    assert result.structured_content is not None
    return dict(result.structured_content)


@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_a_killed_worker_in_the_middle_costs_its_call_alone(stage: Stage, mode: str) -> None:
    stage.play(HELLO, STALL, more="[greenroom]\nidle_workers = 0\n")

    async def scene(served: HttpHost) -> None:
        async with AsyncExitStack() as stack:
            one, other = [await connect(served, stack, mode) for _ in range(2)]
            thread = (await call(one, "hello"))["threadId"]
            calling = asyncio.create_task(call(one, "stall", thread))
            await asyncio.to_thread(until, lambda: len(stage.model.requests()) == 2, 20)
            (worker,) = served.host.workers()
            os.kill(worker.pid, signal.SIGKILL)
            assert (await calling)["error"]["kind"] == "worker_crashed"
            for client in (one, other, one):
                assert (await call(client, "hello", thread))["threadId"] == thread

    with hosting_http(stage) as served:
        asyncio.run(scene(served))


@pytest.mark.executed  # it looks at what processes were executed with
def test_the_token_is_made_once_and_is_nowhere_but_in_its_file(stage: Stage) -> None:
    stage.play(HELLO)
    with hosting_http(stage) as served:
        token = served.token
        facts = served.token_file.stat()
        assert (stat.S_IMODE(facts.st_mode), facts.st_uid) == (0o600, os.geteuid())
        tree = processes.tree(served.host.pid)
        assert not [line for line in processes.of_each(tree, psutil.Process.cmdline) if token in " ".join(line)]
        environments = processes.of_each(tree, psutil.Process.environ)
        assert not [one for one in environments if token in " ".join(one.values())]
        assert token not in stage.log.read_text()
    logs = [path for path in stage.home.path.rglob("*") if path.is_file() and path.name != NAME]
    assert not [path for path in logs if token.encode() in path.read_bytes()]
    with hosting_http(stage) as served:
        assert served.token == token


def test_another_address_is_listened_at_only_where_asked_for_and_that_is_said(stage: Stage) -> None:
    stage.play(HELLO)
    with hosting_http(stage) as served:
        assert served.url.startswith("http://127.0.0.1:")
        assert "reached from other machines" not in stage.told()
    host = Host(stage, "--http", "0.0.0.0:0")
    try:
        until(lambda: "0.0.0.0" in stage.told(), 20)
        assert "reached from other machines without TLS" in stage.told()
    finally:
        host.end()


def test_what_is_no_address_is_said_at_the_start(stage: Stage) -> None:
    stage.play(HELLO)
    host = Host(stage, "--http", "host:")
    assert host.wait() == 1
    assert "is no address to listen on" in stage.told()


def test_a_port_that_is_taken_is_said_at_the_start_and_nothing_is_left(stage: Stage) -> None:
    stage.play(HELLO)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        host = Host(stage, "--http", str(taken.getsockname()[1]))
        assert host.wait() == 1
    assert "Address already in use" in stage.told()
    assert not os.path.exists(host.path)


def test_a_token_that_others_can_read_is_not_used(stage: Stage) -> None:
    stage.play(HELLO)
    path = stage.home.path / NAME
    path.write_text("a" * 43)
    path.chmod(0o644)
    host = Host(stage, "--http", "0")
    assert host.wait() == 1
    assert "mode 0600" in stage.told()


def test_nothing_of_http_is_loaded_where_it_is_off() -> None:
    names = ["startup.serve", "startup.start", "startup.server", "startup.processes", "frontend.mcp.services"]
    imports = "; ".join(f"import greenroom.supervisor.{name}" for name in names)
    loaded = "{name for name in sys.modules if name.startswith(('aiohttp', 'greenroom.supervisor.frontend.http'))}"
    statement = f"{imports}; import sys; sys.exit(bool({loaded}))"
    assert subprocess.run((sys.executable, "-c", statement), check=False).returncode == 0


def test_a_host_with_sessions_ends_when_it_is_told_to(stage: Stage) -> None:
    stage.play(HELLO, STALL)

    async def scene(served: HttpHost) -> str:
        async with AsyncExitStack() as stack:
            client = await connect(served, stack, "legacy")
            calling = asyncio.create_task(client.call_tool("codex", {"prompt": "stall"}))
            await asyncio.to_thread(until, stage.model.requests, 20)
            served.host.process.terminate()
            await asyncio.to_thread(until, lambda: not os.path.exists(served.host.path), 20)
            served.host.process.terminate()  # not sooner, because two signals that wait are one
            result = await calling
            assert isinstance(result, CallToolResult)
            assert result.is_error
            return str(result.content)

    with hosting_http(stage) as served:
        assert "shutting down" in asyncio.run(scene(served))
        assert served.host.wait() == 0


@pytest.mark.parametrize("language", ["python", "sh"])
def test_the_examples_of_the_page_work(stage: Stage, tmp_path: Path, language: str) -> None:
    stage.play(HELLO)
    with hosting_http(stage) as served:
        (example,) = [text for text in examples(language) if MARKS[language] in text]
        example = example.replace("http://127.0.0.1:8765/mcp", served.url)
        file = tmp_path / "example"
        file.write_text(example.replace("~/.codex/.http-token", str(served.token_file)))
        program = {"python": sys.executable, "sh": "sh"}[language]
        ended = subprocess.run((program, str(file)), capture_output=True, text=True, check=False, timeout=40)
        assert ended.returncode == 0, ended.stderr
        assert {"python": "Good day.", "sh": '"protocolVersion":"2025-11-25"'}[language] in ended.stdout


def test_the_other_examples_have_the_right_form() -> None:
    """They need programs that are not installed here."""
    for example in examples("python"):
        compile(example, "example", "exec")
    for example in examples("sh"):
        subprocess.run(("sh", "-n"), input=example, text=True, check=True)


def examples(language: str) -> list[str]:
    """Return the examples of the page."""
    page = (ROOT / "docs" / "http.md").read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
