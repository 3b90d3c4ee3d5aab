"""The tools offered are those that can be called, in the shape that requests need."""

import msgspec
import pytest

from workers.model.items import JsonObject
from workers.tools.catalog import definitions
from workers.tools.registry import HANDLERS


def names(include_plan: bool) -> list[object]:
    return [tool["name"] for tool in definitions(include_plan)]


def test_the_plan_tool_is_offered_on_demand() -> None:
    assert names(include_plan=False) == ["shell"]
    assert names(include_plan=True) == ["shell", "update_plan"]


def test_every_tool_offered_can_be_called() -> None:
    assert set(names(include_plan=True)) <= set(HANDLERS)


@pytest.mark.parametrize("tool", definitions(include_plan=True), ids=lambda tool: str(tool["name"]))
def test_definitions_are_closed_functions_with_sorted_properties(tool: JsonObject) -> None:
    parameters = msgspec.convert(tool["parameters"], dict[str, object])
    properties = msgspec.convert(parameters["properties"], dict[str, object])
    assert (tool["type"], tool["strict"], parameters["additionalProperties"]) == ("function", False, False)
    assert list(properties) == sorted(properties)
    assert set(msgspec.convert(parameters["required"], list[str])) <= set(properties)
    assert msgspec.json.decode(msgspec.json.encode(tool)) == tool
