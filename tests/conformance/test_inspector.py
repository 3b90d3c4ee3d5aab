"""The command line of the MCP inspector, which starts a server for each question, goes on with a conversation."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from greenroom.demo.script import CommandStep, Quote, Text, rule
from tests.conformance.foreign import Program, inspector
from tests.conformance.packages import UnavailableError
from tests.support.stage import Stage

RULES = (
    rule("start", [CommandStep(("echo", "to you"))], [Quote("Good day ")]),
    rule("go on", [Text("And to you again.")]),
)

pytestmark = [pytest.mark.server, pytest.mark.timeout(150)]  # the first run on a machine installs the inspector


@pytest.fixture
def command_line() -> Program:
    try:
        return inspector()
    except UnavailableError as error:
        pytest.skip(str(error))


def text_of(result: Mapping[str, Any]) -> str:
    assert not result.get("isError"), result
    (block,) = result["content"]
    text = block["text"]
    assert isinstance(text, str)
    return text


def inspect(program: Program, stage: Stage, *arguments: str) -> dict[str, Any]:
    """Let the inspector ask one question of a server of its own, and return the result."""
    ended = program.run(stage.program, "mcp-server", "--method", *arguments, **stage.environment())
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stderr
    result: dict[str, Any] = json.loads(ended.stdout)
    return result


def test_the_inspector_goes_on_with_a_conversation_of_another_process(stage: Stage, command_line: Program) -> None:
    stage.play(*RULES)
    listed = inspect(command_line, stage, "tools/list")["tools"]
    assert [tool["name"] for tool in listed][:2] == ["codex", "codex-reply"]
    call = ("tools/call", "--tool-name")
    first = inspect(command_line, stage, *call, "codex", "--tool-arg", "prompt=start")
    thread = first["structuredContent"]["threadId"]
    reply = inspect(command_line, stage, *call, "codex-reply", "--tool-arg", "prompt=go on", f"threadId={thread}")
    assert (text_of(first), text_of(reply)) == ("Good day to you", "And to you again.")
    assert Path(stage.home.session(thread)).is_file()
