"""One conversation from start to end before a person's eyes: what `greenroom demo` shows, without a key or a network.

Everything but the model is real. It returns 0 only if every step did what it should.
"""

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from supervisor.demo.mcp_client import CallError, McpClient, connect
from supervisor.demo.narration import Narrator, Terminal, Turn
from supervisor.demo.places import Places
from supervisor.demo.process_tree import SeenProcess, all_ended, process_tree
from supervisor.demo.scripted_model import ScriptedModel
from supervisor.demo.scripts import DEMO, FIRST_PROMPT, NOTE, NOTE_TEXT, SECOND_PROMPT

SERVER: Final = (sys.executable, "-I", "-m", "supervisor.main", "mcp-server")
PROTOCOL_VERSION: Final = "2025-06-18"
ALL_GONE_WITHIN: Final = 2.0
"""Seconds in which every process has to be gone once the client has closed the server's input."""


class _ServerInfo(msgspec.Struct):
    name: str
    version: str


class _Initialized(msgspec.Struct):
    protocolVersion: str  # noqa: N815
    serverInfo: _ServerInfo  # noqa: N815


class _Schema(msgspec.Struct):
    properties: dict[str, object]


class _Tool(msgspec.Struct):
    name: str
    inputSchema: _Schema  # noqa: N815


class _Tools(msgspec.Struct):
    tools: list[_Tool]


class _Structured(msgspec.Struct):
    threadId: str  # noqa: N815
    content: str


class _Block(msgspec.Struct):
    text: str = ""


class _Answer(msgspec.Struct):
    content: list[_Block]
    structuredContent: _Structured | None = None  # noqa: N815
    isError: bool = False  # noqa: N815


class Walkthrough:
    """One walk, which remembers what went wrong on its way."""

    def __init__(self, terminal: Terminal, places: Places) -> None:
        self._terminal = terminal
        self._places = places
        self._checks = 0
        self._failures = 0

    async def walk(self, command: Sequence[str]) -> bool:
        """Go all the way with the server that `command` starts; return whether all was as it should be."""
        environment = self._places.environment(os.environ)
        try:
            async with connect(command, environment, self._places.workspace) as client:
                tools = await self._meet(client)
                first = await self._converse(client, tools)
                await self._go_on(client, first)
                await self._part(client, self._show_processes(client))
        except TimeoutError:
            self._check(False, "the server answers in time")
        except (CallError, msgspec.DecodeError) as error:
            self._check(False, str(error))
        return self._summary()

    async def _meet(self, client: McpClient) -> list[_Tool]:
        self._terminal.heading("1  The server starts")
        begun = time.monotonic()
        client_info = {"name": "greenroom-demo", "version": "1"}
        params = {"protocolVersion": PROTOCOL_VERSION, "capabilities": {}, "clientInfo": client_info}
        result = msgspec.json.decode(await client.request("initialize", params), type=_Initialized)
        took = _milliseconds(begun)
        await client.notify("notifications/initialized")
        server = result.serverInfo
        self._terminal.line("hello", f"{server.name} {server.version}, MCP {result.protocolVersion}, after {took}")
        tools = msgspec.json.decode(await client.request("tools/list", {}), type=_Tools).tools
        names = [tool.name for tool in tools]
        self._terminal.line("tools", ", ".join(names))
        self._check(names == ["codex", "codex-reply"], "the server offers both tools")
        return tools

    async def _converse(self, client: McpClient, tools: Sequence[_Tool]) -> _Structured:
        self._terminal.heading("2  A conversation begins: codex")
        arguments: dict[str, object] = {"prompt": FIRST_PROMPT, "cwd": self._places.workspace}
        if "include-plan-tool" in tools[0].inputSchema.properties:
            arguments["include-plan-tool"] = True
        turn, answer = await self._call(client, "codex", arguments)
        self._check(bool(turn.conversation), "the conversation said its id before anything else")
        self._check(turn.plans > 0, "the plan was shown")
        self._check([command.exit_code for command in turn.commands] == [0, 0], "both commands ran and succeeded")
        self._check(self._note() == NOTE_TEXT, f"{NOTE} is on disk with what the command wrote")
        self._check(turn.deltas > 2, f"the text arrived in {turn.deltas} pieces")
        return answer

    async def _go_on(self, client: McpClient, before: _Structured) -> None:
        self._terminal.heading("3  The same conversation goes on: codex-reply")
        arguments = {"threadId": before.threadId, "prompt": SECOND_PROMPT}
        turn, answer = await self._call(client, "codex-reply", arguments)
        self._check(answer.threadId == before.threadId, "it is the same conversation")
        self._check([command.exit_code for command in turn.commands] == [0], "the command ran and succeeded")
        self._check(NOTE_TEXT in answer.content, "the model was told what the command printed, and repeats it")

    async def _call(self, client: McpClient, tool: str, arguments: Mapping[str, object]) -> tuple[Turn, _Structured]:
        narrator = Narrator(self._terminal)
        self._terminal.line("you", str(arguments["prompt"]))
        begun = time.monotonic()
        params = {"name": tool, "arguments": arguments}
        result = msgspec.json.decode(await client.request("tools/call", params, narrator.heard), type=_Answer)
        turn, answer = narrator.turn, result.structuredContent
        if result.isError or answer is None:
            raise CallError(f"{tool} was answered with: {' '.join(block.text for block in result.content)}")
        self._terminal.line("answer", f"after {_milliseconds(begun)}: {answer.content}", "bold")
        well = turn.completed and not turn.problems and turn.text.endswith(answer.content)
        self._check(well, "the call was answered with the text that was streamed")
        return turn, answer

    def _show_processes(self, client: McpClient) -> list[SeenProcess]:
        self._terminal.heading("4  Its processes, between two turns")
        processes = process_tree(client.pid)
        self._terminal.line("", "     pid   resident  process", "dim")
        for process in processes:
            text = f"{process.pid:>8}  {process.rss / 1e6:6.1f} MB  {'  ' * process.depth}{process.name}"
            self._terminal.line("", text)
        return processes

    async def _part(self, client: McpClient, processes: Sequence[SeenProcess]) -> None:
        self._terminal.heading("5  The client leaves: standard input is closed")
        begun = time.monotonic()
        code = await client.close()
        gone = await all_ended(processes, ALL_GONE_WITHIN)
        took = _milliseconds(begun)
        self._check(code == 0, f"the server ended with exit code {code}")
        left = [process for process in processes if not process.ended]
        names = ", ".join(f"{process.name} ({process.pid})" for process in left)
        self._check(
            gone, f"still there: {names}" if left else f"none of {len(processes)} processes is left after {took}"
        )

    def _note(self) -> str:
        try:
            with open(os.path.join(self._places.workspace, NOTE), encoding="utf-8") as note:
                return note.read().rstrip("\n")
        except OSError:
            return ""

    def _check(self, passed: bool, what: str) -> None:
        self._checks += 1
        if passed:
            self._terminal.line("ok", what, "good")
        else:
            self._failures += 1
            self._terminal.line("FAILED", what, "bad")

    def _summary(self) -> bool:
        if self._failures:
            self._terminal.heading(f"{self._failures} of {self._checks} checks failed.")
        else:
            self._terminal.heading(f"All {self._checks} checks passed.")
        return not self._failures


async def walk(command: Sequence[str], terminal: Terminal) -> bool:
    """Take a server through one conversation with the scripted model; return whether all went well."""
    terminal.heading("A walk through Greenroom")
    terminal.line("", "The model is a script that comes with the program: no model, no key and no network are used.")
    terminal.line("", "All else is real: the server, its processes, the protocol, the commands and their files.")
    with tempfile.TemporaryDirectory(prefix="greenroom-demo-") as root:
        async with ScriptedModel(DEMO) as model:
            return await Walkthrough(terminal, Places.create(root, model.base_url)).walk(command)


def run(command: Sequence[str] = ()) -> int:
    """Walk through the server that `command` starts, by default our own; return the exit code."""
    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    return 0 if asyncio.run(walk(command or SERVER, Terminal(sys.stdout, colour=colour))) else 1


def _milliseconds(begun: float) -> str:
    return f"{(time.monotonic() - begun) * 1000:.0f} ms"


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
