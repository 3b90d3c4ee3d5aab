"""One call of a remote tool: its arguments, its events, and its output for the model."""

import asyncio
import time
from typing import Protocol

import msgspec

from greenroom.protocol.events.event import Duration, Event
from greenroom.protocol.events.mcp import Invocation, McpToolCallBegin, McpToolCallEnd
from greenroom.protocol.ids import TurnId
from greenroom.protocol.items import JsonObject
from greenroom.workers.mcp.tools.result import CallOutput, read_result, text_output
from greenroom.workers.mcp.tools.tool import RemoteTool
from greenroom.workers.tools.types import Emit

ABORTED = "aborted by user"


class RemoteCallError(Exception):
    """A call brought no result. The text is for the model."""


class UnheardError(RemoteCallError):
    """A call did not reach the server, which is no longer running; it can be repeated."""


class Approval(Protocol):
    """Decides whether a call is permitted."""

    async def __call__(self, tool: RemoteTool, call_id: str, arguments: JsonObject | None) -> None:
        """Return if a call is permitted. Raises `RemoteCallError` if it is not."""
        ...


class Remote(Protocol):
    """Sends calls to a server."""

    async def call(self, tool: str, arguments: JsonObject | None) -> JsonObject:
        """Return the `CallToolResult`. Raises `RemoteCallError`; cancellation cancels the call at the server too."""
        ...


async def call_tool(
    tool: RemoteTool, turn_id: TurnId, call_id: str, arguments: str, admit: Approval, remote: Remote, emit: Emit
) -> CallOutput:
    """Run one call. Raises only on cancellation."""
    try:
        given = _read(arguments)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        return text_output(f"err: {error}", success=False)
    invocation = Invocation(tool.server, tool.name, given)
    refusal = await _refusal(admit, tool, call_id, given)
    await _emit(emit, McpToolCallBegin(turn_id=turn_id, call_id=call_id, invocation=invocation))
    started = time.monotonic()

    def end(result: JsonObject) -> McpToolCallEnd:
        duration = Duration.of(time.monotonic() - started)
        return McpToolCallEnd(turn_id=turn_id, call_id=call_id, invocation=invocation, duration=duration, result=result)

    try:
        if refusal is not None:
            raise refusal
        result = await remote.call(tool.name, given)
    except RemoteCallError as error:
        text = f"tool call error: tool call failed for `{tool.server}/{tool.name}`: {error}"
        await _emit(emit, end({"Err": text}))
        return text_output(text, success=False)
    except asyncio.CancelledError:
        await _emit(emit, end({"Err": f"tool call error: {ABORTED}"}))
        raise
    await _emit(emit, end({"Ok": result}))
    return read_result(result, time.monotonic() - started)


async def _refusal(
    admit: Approval, tool: RemoteTool, call_id: str, arguments: JsonObject | None
) -> RemoteCallError | None:
    try:
        await admit(tool, call_id, arguments)
    except RemoteCallError as error:
        return error
    return None


def _read(arguments: str) -> JsonObject | None:
    if not arguments.strip():
        return None
    return msgspec.json.decode(arguments, type=JsonObject | None)


async def _emit(emit: Emit, event: Event) -> None:
    waiting = emit(event)
    if waiting is not None:
        await waiting
