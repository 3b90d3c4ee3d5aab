"""The program serves its page about a real server: its conversations, their transcripts, and its dead."""

import asyncio
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psutil
import pytest

from greenroom.demo.script import Call, Stall, Text, rule
from greenroom.supervisor.cli.command_line import run
from greenroom.supervisor.cli.dashboard.command import Looker
from greenroom.supervisor.cli.dashboard.live import LiveConversation
from greenroom.supervisor.cli.dashboard.snapshot import COMMAND, snapshot
from greenroom.supervisor.control import instances
from greenroom.supervisor.control.watch_messages import WatchBegan, WatchMessage
from tests.supervisor.cli.dashboard import scenes, served
from tests.supervisor.cli.dashboard.test_page import LOADED
from tests.support.browser import Browser, Page
from tests.support.client import text, thread_id
from tests.support.deadline import until
from tests.support.model import Gate
from tests.support.server import MODULE, Server
from tests.support.stage import Stage

STALL = rule("stall", [Text("hm"), Stall()])
HELLO = rule("hello", [Text("hi there")])
AGAIN = rule("again", [Text("and hello again")])
SLOW = rule(
    "slow",
    [Call("update_plan", {"plan": [{"step": "write", "status": "in_progress"}]})],
    [Text([f"word {number} " for number in range(2000)], pause=0.05)],
)
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
    with dashboard(stage, "--control", "--instance", str(server.pid)) as (address, process):
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


@pytest.mark.timeout(180)
def test_a_text_grows_on_the_page_while_it_is_written(stage: Stage, browser: Browser) -> None:
    stage.kills_expected = True
    stage.play(SLOW)
    server = stage.serve("fork")
    call = server.client.codex("slow", cwd=stage.cwd)
    thread = str(server.client.event(call, "session_configured")["session_id"])
    with dashboard(stage, "--instance", str(server.pid)) as (address, _):
        asyncio.run(_see_it_grow(browser, f"#/conversation/{server.pid}/{thread}", address))
    server.client.cancel(call)
    server.client.answer(call)


async def _see_it_grow(browser: Browser, view: str, address: str) -> None:
    text = "(document.querySelector('.live .agent .prose')?.innerText ?? '')"
    async with browser.page() as page:
        await page.go(address)
        await page.until(LOADED)
        await page.ask(f"location.hash = {view!r}")
        await page.until(f"{text}.includes('word')")
        before = await page.ask(text)
        assert before.startswith("…"), "the page came later, and says so"
        await page.until(f"{text}.length > {len(before)} + 40")
        grown = await page.ask(text)
        assert grown.startswith(before.rstrip("▍ "))
        steps = "[...document.querySelectorAll('.steps li')].map((one) => one.dataset.status).join()"
        assert await page.ask(steps) == "in_progress"
        assert "running" in await page.ask("document.querySelector('.standing').innerText")
        assert await page.ask("document.querySelectorAll('[aria-live]').length") == 2, "what grows is not said aloud"
        assert page.problems == []


def test_what_is_written_is_served_before_the_turn_ends_and_then_once(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate()
    command = 'echo "it runs"; until [ -e go ]; do sleep 0.05; done; echo "it ends"'
    plan = {"plan": [{"step": "look", "status": "in_progress"}]}
    second = rule(
        "second",
        [
            Text(["It ", "grows."]),
            gate.wait,
            Call("update_plan", plan),
            Call("shell", {"command": ["bash", "-c", command]}),
        ],
        [Text("It is over.")],
    )
    stage.play(rule("first", [Text("done")]), second)
    server = stage.serve("fork")
    thread = thread_id(server.client.result(server.client.codex("first", cwd=stage.cwd, sandbox="workspace-write")))

    async def look() -> None:
        watches = asyncio.Event()
        monkeypatch.setattr(LiveConversation, "take", noting(watches))
        found = [one for one in instances.running([f"{stage.runtime}/greenroom"]) if one.instance.pid == server.pid]
        async with served.dashboard(scenes.nothing(), find=lambda: found) as serving:
            await serving.log_in()
            async with serving.stream(f"/transcript?instance={server.pid}&conversation={thread}") as stream:
                assert stream.response.headers["Cache-Control"] == "no-store"
                page = Shown(stream)
                await page.until(lambda: page.texts("agent") == ["done"])
                await watches.wait()  # what is written before is shown once the session file has it
                call = server.client.reply(thread, "second")
                await page.until(lambda: "It grows." in page.live.values())
                assert page.texts("agent") == ["done"], "the file does not have it yet"
                stage.model.open(gate)
                await page.until(lambda: "it runs" in page.live.values())
                assert page.texts("agent") == ["done", "It grows."]
                assert "It grows." not in page.live.values()
                assert page.plan == [["look", "in_progress"]]
                (Path(stage.cwd) / "go").touch()
                await page.until(lambda: page.texts("agent")[-1] == "It is over." and not page.live)
                assert page.texts("output")[-1] == "it runs\nit ends"
                await asyncio.to_thread(server.client.result, call)

    asyncio.run(look())


def noting(watches: asyncio.Event) -> Callable[[LiveConversation, WatchMessage, float], None]:
    """Return a `LiveConversation.take` that sets the event when a watch has begun."""
    take = LiveConversation.take

    def noted(live: LiveConversation, message: WatchMessage, now: float) -> None:
        take(live, message, now)
        if isinstance(message, WatchBegan):
            watches.set()

    return noted


@pytest.mark.both_engines
def test_what_the_commands_of_a_conversation_use_is_told(stage: Stage, engine: str) -> None:
    command = 'while :; do :; done & SECRET_TOKEN=hunter22 exec -a "work --token=hunter22" sleep 600'
    stage.play(rule("work", [Call("shell", {"command": ["bash", "-c", command], "timeout_ms": 600_000})]))
    server = stage.serve(engine)
    call = server.client.codex("work", cwd=stage.cwd)
    thread = str(server.client.event(call, "session_configured")["session_id"])
    server.client.event(call, "exec_command_begin")
    looker = Looker(server.pid)

    def row() -> Any:
        with patch.dict(os.environ, stage.environment()):
            tables = snapshot(looker.look())
        conversation = tables["conversations"].get(f"{server.pid}/{thread}", {})
        mine = [one for one in tables["processes"].values() if one.get("conversation") == thread]
        commands = sorted(str(one["text"]) for one in mine if one["role"] == COMMAND)
        is_busy = (conversation.get("commandsCpu") or 0.0) > 10.0  # type: ignore[operator]
        return (conversation, commands) if len(commands) >= 2 and is_busy else None

    conversation, commands = until(row)
    assert conversation["commands"] >= 2
    assert conversation["commandsMemory"] > 0
    assert conversation["cpu"] >= conversation["commandsCpu"]
    assert "work --token=<redacted>" in "".join(commands)
    assert "hunter22" not in "".join(commands)
    server.client.cancel(call)
    server.client.answer(call)


class Shown:
    """What a page shows of what it is told of a conversation."""

    def __init__(self, stream: served.Stream) -> None:
        self._stream = stream
        self.entries: list[list[Any]] = []
        self.live: dict[str, str] = {}
        self.plan: list[list[str]] = []

    def texts(self, speaker: str) -> list[str]:
        return [text for _, who, text in self.entries if who == speaker]

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            told = await self._stream.next()
            if (growth := told["growth"]) is not None:
                self.entries = [*([] if growth["is_whole"] else self.entries), *growth["entries"]]
                self.plan = growth["plan"] or self.plan
            if (live := told["live"]) is not None:
                for key in live["over"]:
                    del self.live[key]
                for key, _, text, is_more in live["passages"]:
                    self.live[key] = (self.live[key] if is_more else "") + text
                self.plan = live["plan"] or self.plan


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


def test_an_instance_that_is_not_there_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert run(["dashboard", f"--instance={os.getpid()}"]) == 1
    assert f"no instance is running with pid {os.getpid()}" in capsys.readouterr().err


@pytest.mark.parametrize("port", ["99999", "x", "-1", ""])
def test_what_is_no_port_is_refused(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(["dashboard", f"--port={port}"])
    assert ended.value.code == 2
    assert "is not a port" in capsys.readouterr().err
