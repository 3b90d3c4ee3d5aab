"""Maps the model's function calls to their handlers."""

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

from greenroom.protocol.items import JsonObject
from greenroom.workers.tools.apply_patch import apply_freeform, apply_patch
from greenroom.workers.tools.context import ToolContext, ToolOutput
from greenroom.workers.tools.exec_command import exec_command
from greenroom.workers.tools.plan import update_plan
from greenroom.workers.tools.shell import shell
from greenroom.workers.tools.types import ToolFailure
from greenroom.workers.tools.view_image import view_image
from greenroom.workers.tools.write_stdin import write_stdin

Handler: TypeAlias = Callable[[str, str, ToolContext], Awaitable[ToolOutput]]
"""Takes the call id, the arguments as JSON text, and the context. May raise `ToolFailure`."""

HANDLERS: Final[Mapping[str, Handler]] = MappingProxyType(
    {
        "shell": shell,
        "container.exec": shell,
        "exec_command": exec_command,
        "write_stdin": write_stdin,
        "apply_patch": apply_patch,
        "update_plan": update_plan,
        "view_image": view_image,
    }
)


def knows(call: JsonObject) -> bool:
    """Tell whether there is a handler for a call of the model."""
    return call["name"] == "apply_patch" if call["type"] == "custom_tool_call" else call["name"] in HANDLERS


async def call(name: str, call_id: str, arguments: str, context: ToolContext) -> ToolOutput:
    """Handle a function call of the model. Errors are reported to the model; raises only on cancellation."""
    handler = HANDLERS.get(name)
    if handler is None:
        return ToolOutput(f"unsupported call: {name}", success=False)
    try:
        return await handler(call_id, arguments, context)
    except ToolFailure as failure:
        return ToolOutput(str(failure), success=False)


async def call_custom(name: str, call_id: str, text: str, context: ToolContext) -> ToolOutput:
    """Handle a call of a custom tool, whose input is plain text."""
    if name != "apply_patch":
        return ToolOutput(f"unsupported custom tool call: {name}", success=False)
    try:
        return await apply_freeform(call_id, text, context)
    except ToolFailure as failure:
        return ToolOutput(str(failure), success=False)
