"""Every call of the model gets an output, even one without a handler."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.workers.tools.context import ToolOutput
from greenroom.workers.tools.registry import HANDLERS, call, call_custom
from tests.workers.tools.conftest import Conversation


def output(name: str, arguments: str) -> ToolOutput:
    return asyncio.run(call(name, "call_1", arguments, Conversation().context))


@pytest.mark.parametrize("name", ["nothing", "shell_command", ""])
def test_an_unknown_function_is_told_by_name(name: str) -> None:
    assert output(name, "{}") == ToolOutput(f"unsupported call: {name}", success=False)


@pytest.mark.parametrize("name", ["nothing", "shell", ""])
def test_an_unknown_custom_tool_is_told_by_name(name: str) -> None:
    told = asyncio.run(call_custom(name, "call_1", "{}", Conversation().context))
    assert told == ToolOutput(f"unsupported custom tool call: {name}", success=False)


@pytest.mark.parametrize("name", HANDLERS)
@pytest.mark.parametrize("arguments", ["", "{", "[]", "{}", "null", '"x"', '{"command":', "{}{}", "\ud800", "[" * 9999])
def test_arguments_that_do_not_parse_are_told(name: str, arguments: str) -> None:
    told = output(name, arguments)
    assert told.text.startswith("failed to parse function arguments: ")
    assert not told.success


@pytest.mark.parametrize("name", ["shell", "apply_patch"])
def test_members_too_deep_to_read_are_told(name: str) -> None:
    depth = 100_000
    told = output(name, f'{{"unknown":{"[" * depth}{"]" * depth}}}')
    assert told.text.startswith("failed to parse function arguments: ")


@given(text=st.text())
@pytest.mark.parametrize("name", ["apply_patch", "update_plan"])
def test_no_arguments_raise(name: str, text: str) -> None:
    assert not output(name, text).success


@given(text=st.text())
def test_no_text_for_a_custom_tool_raises(text: str) -> None:
    conversation = Conversation(cwd="/nonexistent")
    told = asyncio.run(call_custom("apply_patch", "call_1", text, conversation.context))
    assert not told.success
    assert conversation.events == []
