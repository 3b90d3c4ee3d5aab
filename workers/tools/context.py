"""What a tool call is given of its conversation, and what it gives back."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from protocol.arguments import ApprovalPolicy, SandboxMode
from protocol.ids import TurnId
from workers.commands.capture import Budget
from workers.commands.groups import LiveGroups
from workers.model.items import JsonObject

Emit: TypeAlias = Callable[[JsonObject], Awaitable[None] | None]
"""Takes the `msg` of an event. An awaitable that it returns is waited for, so that a slow client slows the tool."""

DEFAULT_BUDGET: Final = Budget(10_000)
"""How much of a tool's output the model gets unless its policy or `tool_output_token_limit` says otherwise."""


@dataclass(frozen=True, slots=True)
class ToolContext:
    """The surroundings of one tool call."""

    emit: Emit
    cwd: str
    """Absolute."""
    environment: Mapping[str, str]
    """What commands see: nothing else, and no secrets in it."""
    turn_id: TurnId
    sandbox: SandboxMode
    approval: ApprovalPolicy
    groups: LiveGroups
    """Where the process groups of commands are remembered; the conversation kills them at its end."""
    budget: Budget = DEFAULT_BUDGET


@dataclass(frozen=True, slots=True)
class ToolOutput:
    """What the model is told."""

    text: str
    success: bool


class ToolFailure(Exception):  # noqa: N818 - a refusal that the model reads, not an error of ours
    """Ends a call with a text for the model."""


async def emit(context: ToolContext, event: JsonObject) -> None:
    """Emit an event and wait while whoever takes it wants us to."""
    waiting = context.emit(event)
    if waiting is not None:
        await waiting
