"""One conversation from start to end, printed for a person: `greenroom demo`, without an API key or a network.

Everything but the model is real. It returns 0 only if every step succeeded.
"""

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from greenroom.demo.mcp_client import DemoCallError, McpClient, connect
from greenroom.demo.narration import Narrator, ShownTurn, Terminal
from greenroom.demo.places import DemoPlaces
from greenroom.demo.process_tree import all_ended, process_tree
from greenroom.demo.scripted_model import ScriptedModel
from greenroom.demo.scripts import DEMO, FIRST_PROMPT, NOTE, NOTE_TEXT, SECOND_PROMPT, THIRD_PROMPT

PROGRAM: Final = (sys.executable, "-I", "-m", "greenroom.supervisor.main")
SERVER: Final = (*PROGRAM, "mcp-server")
STATUS: Final = (*PROGRAM, "status")
PROTOCOL_VERSION: Final = "2025-06-18"
ALL_GONE_WITHIN: Final = 2.0
"""Seconds within which every process has to be gone after the client has closed the server's input."""


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
    """One run of the demo, which records what failed."""

    def __init__(self, terminal: Terminal, places: DemoPlaces, model: ScriptedModel) -> None:
        self._model = model
        self._terminal = terminal
        self._slots = places
        self._checks = 0
        self._failures = 0

    async def walk(self, command: Sequence[str]) -> bool:
        """Run all steps with the server that `command` starts; return whether all succeeded."""
        environment = self._slots.environment(os.environ)
        try:
            async with connect(command, environment, self._slots.workspace) as client:
                tools = await self._meet(client)
                first = await self._converse(client, tools)
                await self._go_on(client, first)
                await self._show_status(client, environment)
                await self._part(client, 5)
            async with connect(command, environment, self._slots.workspace) as client:
                await self._resume(client, first)
                await self._part(client, 7)
        except TimeoutError:
            self._check(False, "the server answers in time")
        except (DemoCallError, msgspec.DecodeError) as error:
            self._check(False, str(error))
        return self._summary()

    async def _meet(self, client: McpClient) -> list[_Tool]:
        self._terminal.heading("1  The server starts")
        result, took = await self._initialize(client)
        server = result.serverInfo
        self._terminal.line("hello", f"{server.name} {server.version}, MCP {result.protocolVersion}, after {took}")
        tools = msgspec.json.decode(await client.request("tools/list", {}), type=_Tools).tools
        names = [tool.name for tool in tools]
        self._terminal.line("tools", ", ".join(names))
        self._check(names[:2] == ["codex", "codex-reply"], "the server offers both tools")
        return tools

    async def _initialize(self, client: McpClient) -> tuple[_Initialized, str]:
        begun = time.monotonic()
        client_info = {"name": "greenroom-demo", "version": "1"}
        params = {"protocolVersion": PROTOCOL_VERSION, "capabilities": {}, "clientInfo": client_info}
        result = msgspec.json.decode(await client.request("initialize", params), type=_Initialized)
        took = _milliseconds(begun)
        await client.notify("notifications/initialized")
        return result, took

    async def _converse(self, client: McpClient, tools: Sequence[_Tool]) -> _Structured:
        self._terminal.heading("2  A conversation begins: codex")
        arguments: dict[str, object] = {"prompt": FIRST_PROMPT, "cwd": self._slots.workspace}
        if "include-plan-tool" in tools[0].inputSchema.properties:
            arguments["include-plan-tool"] = True
        turn, answer = await self._call(client, "codex", arguments)
        self._check(bool(turn.conversation), "the conversation said its id before anything else")
        self._check(turn.plans > 0, "the plan was shown")
        codes = [command.exit_code for command in turn.commands]
        self._check(len(codes) == 3 and codes[0] == codes[2] == 0, "the commands that may do what they do succeeded")
        self._check(self._note() == NOTE_TEXT, f"{NOTE} is on disk with what the command wrote")
        self._check_sandbox(codes)
        self._check(turn.deltas > 2, f"the text arrived in {turn.deltas} pieces")
        return answer

    async def _go_on(self, client: McpClient, before: _Structured) -> None:
        self._terminal.heading("3  The same conversation goes on: codex-reply")
        arguments = {"threadId": before.threadId, "prompt": SECOND_PROMPT}
        turn, answer = await self._call(client, "codex-reply", arguments)
        self._check(answer.threadId == before.threadId, "it is the same conversation")
        self._check([command.exit_code for command in turn.commands] == [0], "the command ran and succeeded")
        self._check(NOTE_TEXT in answer.content, "the model was told what the command printed, and repeats it")

    def _check_sandbox(self, codes: Sequence[int | None]) -> None:
        if self._slots.missing:
            self._terminal.line("note", f"commands ran without a sandbox, which needs {', '.join(self._slots.missing)}")
            return
        kept_out = len(codes) == 3 and codes[1] != 0 and not os.path.exists(self._slots.outside)
        self._check(kept_out, "the kernel kept the command that writes outside of the directory from doing so")

    async def _resume(self, client: McpClient, before: _Structured) -> None:
        self._terminal.heading("6  Another server takes the conversation up: codex-reply")
        await self._initialize(client)
        arguments = {"threadId": before.threadId, "prompt": THIRD_PROMPT}
        turn, answer = await self._call(client, "codex-reply", arguments)
        self._check(turn.conversation == answer.threadId == before.threadId, "it is the same conversation")
        asked = self._model.requests[-1].json["input"]
        remembered = all(prompt in str(asked) for prompt in (FIRST_PROMPT, SECOND_PROMPT, THIRD_PROMPT))
        self._check(remembered, "the model was sent all that was said before")

    async def _call(
        self, client: McpClient, tool: str, arguments: Mapping[str, object]
    ) -> tuple[ShownTurn, _Structured]:
        narrator = Narrator(self._terminal)
        self._terminal.line("you", str(arguments["prompt"]))
        begun = time.monotonic()
        params = {"name": tool, "arguments": arguments}
        result = msgspec.json.decode(await client.request("tools/call", params, narrator.heard), type=_Answer)
        turn, answer = narrator.turn, result.structuredContent
        if result.isError or answer is None:
            raise DemoCallError(f"{tool} was answered with: {' '.join(block.text for block in result.content)}")
        self._terminal.line("answer", f"after {_milliseconds(begun)}: {answer.content}", "bold")
        well = turn.completed and not turn.problems and turn.text.endswith(answer.content)
        self._check(well, "the call was answered with the text that was streamed")
        return turn, answer

    async def _show_status(self, client: McpClient, environment: Mapping[str, str]) -> None:
        self._terminal.heading(f"4  What it does between two turns: greenroom status --instance {client.pid}")
        status = await asyncio.create_subprocess_exec(
            *STATUS, "--instance", str(client.pid), env=environment, stdout=asyncio.subprocess.PIPE
        )
        page, _ = await status.communicate()
        for line in page.decode().splitlines():
            self._terminal.line("", line)
        self._check(status.returncode == 0 and b"idle" in page, "the conversation waits for its next message")

    async def _part(self, client: McpClient, number: int) -> None:
        self._terminal.heading(f"{number}  The client leaves: standard input is closed")
        processes = process_tree(client.pid)
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
            with open(os.path.join(self._slots.workspace, NOTE), encoding="utf-8") as note:
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
    """Take a server through one conversation with the scripted model; return whether all succeeded."""
    terminal.heading("A walk through Greenroom")
    terminal.line("", "The model is a script that comes with the program: no model, no key and no network are used.")
    terminal.line("", "All else is real: the server, its processes, the protocol, the commands and their files.")
    with tempfile.TemporaryDirectory(prefix="greenroom-demo-") as root:
        async with ScriptedModel(DEMO) as model:
            return await Walkthrough(terminal, DemoPlaces.create(root, model.base_url), model).walk(command)


def run_walkthrough(command: Sequence[str] = ()) -> int:
    """Run the demo with the server that `command` starts, by default this program; return the exit code."""
    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    return 0 if asyncio.run(walk(command or SERVER, Terminal(sys.stdout, colour=colour))) else 1


def _milliseconds(begun: float) -> str:
    return f"{(time.monotonic() - begun) * 1000:.0f} ms"


if __name__ == "__main__":
    sys.exit(run_walkthrough(sys.argv[1:]))
