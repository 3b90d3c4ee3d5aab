"""The tool calls of one response that wait for their outputs."""

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from greenroom.protocol.items import JsonObject
from greenroom.workers.tools.types import ToolResult

_OUTPUTS: Final[Mapping[str, str]] = {
    "function_call": "function_call_output",
    "custom_tool_call": "custom_tool_call_output",
}
"""The types of items that call a tool of this program, and those of their outputs."""


class OpenCall(msgspec.Struct, frozen=True):
    """A call of the model that waits for its output."""

    call_id: str
    output_type: str

    def answered(self, output: ToolResult) -> JsonObject:
        """Return the item that answers the call."""
        return {"type": self.output_type, "call_id": self.call_id, "output": output}


class OpenCalls:
    """The calls of one response, answered in their order."""

    def __init__(self, calls: Iterable[JsonObject] = ()) -> None:
        self._open = deque(OpenCall(str(call["call_id"]), _OUTPUTS[str(call["type"])]) for call in calls)

    def answer(self, output: ToolResult) -> JsonObject:
        """Remove the first of the open calls, and return the item that answers it."""
        return self._open.popleft().answered(output)

    def close(self, output: str) -> list[JsonObject]:
        """Remove all open calls, and return the items that answer each with the same output."""
        items = [call.answered(output) for call in self._open]
        self._open.clear()
        return items


def is_call(item: JsonObject) -> bool:
    """Return whether an item calls a tool of this program."""
    return item["type"] in _OUTPUTS
