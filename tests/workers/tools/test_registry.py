"""Every call of the model gets an output, also one that nobody can handle."""

import asyncio

import pytest

from protocol.ids import TurnId
from workers.commands.groups import LiveGroups
from workers.tools.context import ToolContext, ToolOutput
from workers.tools.registry import HANDLERS, call


def output(name: str, arguments: str) -> ToolOutput:
    context = ToolContext(lambda event: None, "/", {}, TurnId("t"), "danger-full-access", "never", LiveGroups())
    return asyncio.run(call(name, "call_1", arguments, context))


@pytest.mark.parametrize("name", ["nothing", "exec_command", ""])
def test_an_unknown_function_is_told_by_name(name: str) -> None:
    assert output(name, "{}") == ToolOutput(f"unsupported call: {name}", success=False)


@pytest.mark.parametrize("name", HANDLERS)
def test_arguments_that_do_not_parse_are_told(name: str) -> None:
    assert output(name, "{").text.startswith("failed to parse function arguments: ")
