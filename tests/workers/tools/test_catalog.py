"""The tools offered are those that can be called, in the shape that requests need."""

import msgspec
import pytest

from workers.model.items import JsonObject
from workers.tools.catalog import definitions
from workers.tools.registry import HANDLERS
from workers.tools.shell import ShellArguments

EVERY = [*definitions(include_plan=True, may_escalate=True), *definitions(include_plan=False, may_escalate=False)]


def names(*, include_plan: bool = False, may_escalate: bool = False) -> list[object]:
    return [tool["name"] for tool in definitions(include_plan=include_plan, may_escalate=may_escalate)]


def properties(tool: JsonObject) -> dict[str, object]:
    parameters = msgspec.convert(tool["parameters"], dict[str, object])
    return msgspec.convert(parameters["properties"], dict[str, object])


def test_commands_and_patches_are_always_offered_and_the_plan_on_demand() -> None:
    assert names() == ["shell", "apply_patch"]
    assert names(include_plan=True) == ["shell", "update_plan", "apply_patch"]
    assert names(include_plan=True, may_escalate=True) == ["shell", "update_plan", "apply_patch"]


def test_every_tool_offered_can_be_called() -> None:
    assert set(names(include_plan=True)) <= set(HANDLERS)


@pytest.mark.parametrize("tool", EVERY, ids=lambda tool: str(tool["name"]))
def test_definitions_are_closed_functions_with_sorted_properties(tool: JsonObject) -> None:
    parameters = msgspec.convert(tool["parameters"], dict[str, object])
    assert (tool["type"], tool["strict"], parameters["additionalProperties"]) == ("function", False, False)
    assert list(properties(tool)) == sorted(properties(tool))
    assert set(msgspec.convert(parameters["required"], list[str])) <= set(properties(tool))
    assert msgspec.json.decode(msgspec.json.encode(tool)) == tool


def test_only_who_may_ask_for_more_is_told_how() -> None:
    plain, *_ = definitions(include_plan=False, may_escalate=False)
    asking, *_ = definitions(include_plan=False, may_escalate=True)
    assert set(properties(asking)) - set(properties(plain)) == {"with_escalated_permissions", "justification"}
    assert "escalated" not in repr(plain)


@pytest.mark.parametrize("may_escalate", [True, False])
def test_the_shell_takes_what_it_is_said_to_take(may_escalate: bool) -> None:
    shell, *_ = definitions(include_plan=False, may_escalate=may_escalate)
    assert set(properties(shell)) <= set(ShellArguments.__struct_fields__)
