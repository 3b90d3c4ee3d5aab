"""Maps the model's calls to the handlers of `greenroom.workers.tools.catalog.TOOLS`. Importing it imports them all."""

import importlib
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

from greenroom.protocol.items import JsonObject
from greenroom.workers.tools.catalog import TOOLS
from greenroom.workers.tools.context import ToolContext, ToolOutput
from greenroom.workers.tools.types import ToolFailure

ToolFunction: TypeAlias = Callable[[str, str, ToolContext], Awaitable[ToolOutput]]
"""Takes the call id, the arguments as JSON text or the input, and the context. May raise `ToolFailure`."""


def _found(path: str) -> ToolFunction:
    module, _, name = path.rpartition(".")
    handler: ToolFunction = getattr(importlib.import_module(f"greenroom.workers.tools.{module}"), name)
    return handler


HANDLERS: Final[Mapping[str, ToolFunction]] = MappingProxyType(
    {name: _found(tool.handler) for tool in TOOLS for name in (tool.name, *tool.other_names)}
)
TEXT_HANDLERS: Final[Mapping[str, ToolFunction]] = MappingProxyType(
    {tool.name: _found(tool.text_handler) for tool in TOOLS if tool.text_handler is not None}
)


def knows(call: JsonObject) -> bool:
    """Tell whether there is a handler for a call of the model."""
    return call["name"] in (TEXT_HANDLERS if call["type"] == "custom_tool_call" else HANDLERS)


async def call(name: str, call_id: str, arguments: str, context: ToolContext) -> ToolOutput:
    """Handle a function call of the model. Errors are reported to the model; raises only on cancellation."""
    return await _handle(HANDLERS.get(name), f"unsupported call: {name}", call_id, arguments, context)


async def call_custom(name: str, call_id: str, text: str, context: ToolContext) -> ToolOutput:
    """Handle a call of a custom tool, whose input is plain text."""
    return await _handle(TEXT_HANDLERS.get(name), f"unsupported custom tool call: {name}", call_id, text, context)


async def _handle(
    handler: ToolFunction | None, unknown: str, call_id: str, given: str, context: ToolContext
) -> ToolOutput:
    if handler is None:
        return ToolOutput(unknown, success=False)
    try:
        return await handler(call_id, given, context)
    except ToolFailure as failure:
        return ToolOutput(str(failure), success=False)
