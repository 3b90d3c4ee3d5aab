"""The tools offered are those that can be called, in the shape that requests need."""

import ast
import hashlib
import subprocess
import sys
from itertools import product
from typing import get_args

import msgspec
import pytest

from greenroom.config.models import CommandTool, PatchTool
from greenroom.protocol.items import JsonObject
from greenroom.workers.tools.catalog import TOOLS, ToolOffer, definitions
from greenroom.workers.tools.exec_command import ExecArguments
from greenroom.workers.tools.registry import HANDLERS
from greenroom.workers.tools.shell import ShellArguments
from greenroom.workers.tools.write_stdin import WriteArguments

COMMAND_TOOLS: tuple[CommandTool, ...] = get_args(CommandTool)
BOTH = (True, False)


def offered(
    command_tool: CommandTool = "shell",
    patch_tool: PatchTool = "function",
    *,
    include_plan: bool = False,
    may_escalate: bool = False,
    may_login: bool = True,
) -> list[JsonObject]:
    offer = ToolOffer(
        command_tool=command_tool,
        patch_tool=patch_tool,
        include_plan=include_plan,
        may_escalate=may_escalate,
        may_login=may_login,
    )
    return definitions(offer)


FUNCTIONS = [
    tool
    for command_tool, escalate in product(COMMAND_TOOLS, BOTH)
    for tool in offered(command_tool, include_plan=True, may_escalate=escalate)
]


def names(tools: list[JsonObject]) -> list[object]:
    return [tool["name"] for tool in tools]


def properties(tool: JsonObject) -> dict[str, object]:
    parameters = msgspec.convert(tool["parameters"], dict[str, object])
    return msgspec.convert(parameters["properties"], dict[str, object])


def test_images_are_offered_where_the_model_takes_them() -> None:
    offer = ToolOffer(
        command_tool="shell", patch_tool="function", include_plan=False, may_escalate=False, takes_images=True
    )
    assert names(definitions(offer)) == ["shell", "apply_patch", "view_image"]


def test_commands_and_patches_are_always_offered_and_the_plan_on_demand() -> None:
    assert names(offered()) == ["shell", "apply_patch"]
    assert names(offered(include_plan=True)) == ["shell", "update_plan", "apply_patch"]
    assert names(offered("exec_command", include_plan=True)) == [
        "exec_command",
        "write_stdin",
        "update_plan",
        "apply_patch",
    ]


def test_every_tool_offered_can_be_called() -> None:
    assert set(names(FUNCTIONS)) <= set(HANDLERS)


@pytest.mark.parametrize("tool", FUNCTIONS, ids=lambda tool: str(tool["name"]))
def test_definitions_are_closed_functions_with_sorted_properties(tool: JsonObject) -> None:
    parameters = msgspec.convert(tool["parameters"], dict[str, object])
    assert (tool["type"], tool["strict"], parameters["additionalProperties"]) == ("function", False, False)
    assert list(properties(tool)) == sorted(properties(tool))
    assert set(msgspec.convert(parameters["required"], list[str])) <= set(properties(tool))
    assert msgspec.json.decode(msgspec.json.encode(tool)) == tool


def test_a_freeform_patch_comes_with_its_grammar() -> None:
    *_, patch = offered(patch_tool="freeform")
    assert (patch["type"], patch["name"]) == ("custom", "apply_patch")
    form = msgspec.convert(patch["format"], dict[str, str])
    assert (form["type"], form["syntax"]) == ("grammar", "lark")
    assert "*** Begin Patch" in form["definition"]


@pytest.mark.parametrize(
    ("tool", "added"),
    [
        ("shell", {"with_escalated_permissions", "justification"}),
        ("exec_command", {"sandbox_permissions", "justification"}),
    ],
)
def test_only_who_may_ask_for_more_is_told_how(tool: CommandTool, added: set[str]) -> None:
    plain, asking = offered(tool)[0], offered(tool, may_escalate=True)[0]
    assert set(properties(asking)) - set(properties(plain)) == added
    assert "escalated" not in repr(plain)
    assert all(f"`{name}`" in str(asking["description"]) for name in added)


def test_a_login_shell_is_offered_only_where_it_may_be_had() -> None:
    assert "login" in properties(offered("exec_command")[0])
    assert "login" not in properties(offered("exec_command", may_login=False)[0])


@pytest.mark.parametrize("may_escalate", BOTH)
def test_command_tools_take_what_they_are_said_to_take(may_escalate: bool) -> None:
    shell, *_ = offered(may_escalate=may_escalate)
    run, write, *_ = offered("exec_command", may_escalate=may_escalate)
    assert set(properties(shell)) <= set(ShellArguments.__struct_fields__)
    assert set(properties(run)) <= set(ExecArguments.__struct_fields__)
    assert set(properties(write)) == set(WriteArguments.__struct_fields__)


def test_no_two_tools_share_a_name() -> None:
    called = [name for tool in TOOLS for name in (tool.name, *tool.other_names)]
    assert len(called) == len({*called})


def test_each_definition_bears_the_name_of_its_tool() -> None:
    for command_tool, patch_tool, escalate in product(COMMAND_TOOLS, get_args(PatchTool), BOTH):
        offer = ToolOffer(
            command_tool=command_tool,
            patch_tool=patch_tool,
            include_plan=True,
            may_escalate=escalate,
            takes_images=True,
        )
        for tool in TOOLS:
            definition = tool.define(offer)
            assert definition is None or definition["name"] == tool.name


def test_the_definitions_are_imported_without_what_handles_the_calls() -> None:
    code = (
        "import sys, greenroom.workers.tools.tool_selection; "
        "print(sorted(name for name in sys.modules if name.startswith('greenroom.workers.')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(ast.literal_eval(done.stdout)) == {
        "greenroom.workers.patch",
        "greenroom.workers.patch.grammar",
        "greenroom.workers.tools",
        "greenroom.workers.tools.catalog",
        "greenroom.workers.tools.tool_selection",
    }


def test_what_models_are_told_is_byte_for_byte_what_it_was() -> None:
    """A change of a definition invalidates the caches of model servers, and is noted here on purpose."""
    told = [
        msgspec.json.encode(
            definitions(
                ToolOffer(
                    command_tool=command_tool,
                    patch_tool=patch_tool,
                    include_plan=plan,
                    may_escalate=escalate,
                    may_login=login,
                    takes_images=images,
                )
            )
        )
        for command_tool, patch_tool, plan, escalate, login, images in product(
            COMMAND_TOOLS, get_args(PatchTool), BOTH, BOTH, BOTH, BOTH
        )
    ]
    assert (
        hashlib.sha256(b"\n".join(told)).hexdigest()
        == "2db22b0f47aa7cb8ac408a37a3e12236ab90fc938d415be32b0248299d3877c1"
    )
