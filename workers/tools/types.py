"""Types shared by the parts of a tool call."""

from collections.abc import Awaitable, Callable
from typing import Literal, TypeAlias

from greenroom.protocol.items import JsonObject

Emit: TypeAlias = Callable[[JsonObject], Awaitable[None] | None]
"""Takes the `msg` of an event. An awaitable that it returns is waited for, so that a slow client slows the tool."""

ExecutionMode: TypeAlias = Literal["free", "sandboxed", "read_only"]
"""How a permitted action is executed: without a sandbox, in that of the conversation, or in a read-only one."""


class ToolFailure(Exception):  # noqa: N818 - a refusal that the model reads, not an error of ours
    """Ends a call with an error text for the model."""
