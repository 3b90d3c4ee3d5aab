"""Types shared by the parts of a tool call."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

import msgspec

from greenroom.protocol.approval import AnyQuestion, Decision
from greenroom.protocol.events.event import Event
from greenroom.protocol.ids import TurnId
from greenroom.protocol.items import JsonObject

if TYPE_CHECKING:
    from greenroom.workers.sandbox.launcher import Loss

Emit: TypeAlias = Callable[[Event], Awaitable[None] | None]
"""Takes an event. An awaitable that it returns is waited for, so that a slow client slows the tool."""

Ask: TypeAlias = Callable[[AnyQuestion], Awaitable[Decision]]
"""Asks the user, and returns the decision."""


class CommandFacts(msgspec.Struct, frozen=True):
    """Members that the events of a command and questions about it share."""

    call_id: str
    turn_id: TurnId
    command: tuple[str, ...]
    cwd: str


ExecutionMode: TypeAlias = Literal["free", "sandboxed", "read_only"]
"""How a permitted action is executed: without a sandbox, in that of the conversation, or in a read-only one."""


ToolResult: TypeAlias = str | list[JsonObject]
"""The `output` of a call: text, or text and images."""


class ToolHost(Protocol):
    """What tools need of their conversation."""

    @property
    def keeps_rules(self) -> bool:
        """Whether a rule that the user makes can be saved in the home."""
        ...

    async def ask(self, question: AnyQuestion) -> Decision:
        """Ask the user (`Ask`)."""
        ...

    def emit(self, event: Event) -> Awaitable[None] | None:
        """Emit an event (`Emit`)."""
        ...

    def commands_ended(self) -> None:
        """Report that between two turns the last background command has ended."""

    def helper_lost(self, loss: "Loss") -> None:
        """Report the loss of a process that starts commands or watches over one."""


class ToolFailure(Exception):  # noqa: N818 - a refusal that the model reads, not an error of this program
    """Ends a call with an error text for the model."""
