"""The program serves its page about a real server: its conversations, their transcripts, and its dead."""

import asyncio
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from greenroom.demo.script import Stall, Text, rule
from greenroom.supervisor.cli.command_line import run
from tests.supervisor.cli.dashboard.test_page import LOADED
from tests.support.browser import Browser, Page
from tests.support.client import text, thread_id
from tests.support.server import MODULE, Server
from tests.support.stage import Stage

STALL = rule("stall", [Text("hm"), Stall()])
HELLO = rule("hello", [Text("hi there")])
AGAIN = rule("again", [Text("and hello again")])
ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+/\?token=(\S+)")


@contextmanager
def dashboard(stage: Stage, *words: str) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """Start the program, and yield the address that it prints."""
    with subprocess.Popen(
        (*MODULE, "dashboard", *words),
        env=stage.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            found = next((match for line in process.stdout if (match := ADDRESS.search(line))), None)
            assert found is not None
            yield found[0], process
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
            assert process.stderr is not None
            assert process.stderr.read() == ""
        finally:
            process.kill()


@pytest.mark.timeout(180)
def test_a_real_server_is_seen_and_steered(stage: Stage, browser: Browser) -> None:
    stage.kills_expected = True
    stage.play(STALL, HELLO, AGAIN)
    server = stage.serve("fork")
    first = server.client.result(server.client.codex("hello", cwd=stage.cwd))
    assert text(first) == "hi there"
    with dashboard(stage, "--control") as (address, process):
        token = address.partition("token=")[2]
        assert token not in " ".join(psutil.Process(process.pid).cmdline())
        asyncio.run(_look(browser, stage, server, address, thread_id(first)))


async def _look(browser: Browser, stage: Stage, server: Server, address: str, thread: str) -> None:
    async with browser.page() as page:
        await page.go(address)
        await page.until(LOADED)
        await page.until(f"document.querySelector('.conversations a[href$=\"{thread}\"]')?.textContent === 'hello'")
        await page.ask("document.querySelector('.conversations a').click()")
        await _passages(page, "hello", "hi there")
        again = await asyncio.to_thread(lambda: server.client.result(server.client.reply(thread, "again")))
        assert text(again) == "and hello again"
        await _passages(page, "hello", "hi there", "again", "and hello again")
        call = server.client.codex("stall", cwd=stage.cwd)
        stalled = await asyncio.to_thread(lambda: server.client.event(call, "session_configured"))
        await asyncio.to_thread(lambda: server.client.event(call, "agent_message_content_delta"))
        await page.ask(f"location.hash = '#/conversation/{server.pid}/{stalled['session_id']}'")
        await page.until("document.querySelector('.standing').innerText.includes('running')")
        await page.ask("document.querySelector('[data-order=kill]').click()")
        await page.ask("document.getElementById('confirm-go').click()")
        await page.until("document.getElementById('toasts').innerText.includes('is being killed')")
        failed = await asyncio.to_thread(lambda: server.client.result(call))
        assert failed["structuredContent"]["error"]["kind"] == "worker_crashed"
        await page.until("document.getElementById('announcer').textContent === '1 process has died.'")
        await page.ask("location.hash = '#/deaths'")
        await page.until("document.querySelector('.deaths .card')?.innerText.includes('SIGKILL')")
        assert "stall" in await page.ask("document.querySelector('.deaths .card h2').innerText")
        assert page.problems == []


async def _passages(page: Page, *texts: str) -> None:
    wanted = list(texts)
    said = "[...document.querySelectorAll('.passage .prose')].map((one) => one.innerText.trim())"
    await page.until(f"JSON.stringify({said}) === JSON.stringify({wanted!r})")


@pytest.mark.server
def test_the_program_needs_no_instance_and_leaves_nothing(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    try:
        with dashboard(stage) as (address, process):
            assert address.startswith("http://127.0.0.1:")
            assert os.listdir(stage.home.path) == []
            assert psutil.Process(process.pid).children() == []
    finally:
        stage.strike()


@pytest.mark.parametrize("port", ["99999", "x", "-1", ""])
def test_what_is_no_port_is_refused(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(["dashboard", f"--port={port}"])
    assert ended.value.code == 2
    assert "is not a port" in capsys.readouterr().err
