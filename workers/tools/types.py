"""Types that the parts of a tool call share."""

from collections.abc import Awaitable, Callable
from typing import Literal, TypeAlias

from greenroom.protocol.items import JsonObject

Emit: TypeAlias = Callable[[JsonObject], Awaitable[None] | None]
"""Takes the `msg` of an event. An awaitable that it returns is waited for, so that a slow client slows the tool."""

ExecutionMode: TypeAlias = Literal["free", "sandboxed", "read_only"]
"""How something that may be done is done: without a sandbox, in that of the conversation, or in one that writes
nothing."""


class ToolFailure(Exception):  # noqa: N818 - a refusal that the model reads, not an error of ours
    """Ends a call with a text for the model."""
