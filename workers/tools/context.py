"""The surroundings of a tool call, and its output."""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from greenroom.config.reader import Reader
from greenroom.protocol.events.event import Event
from greenroom.protocol.ids import TurnId
from greenroom.protocol.items import JsonObject
from greenroom.sessions.storage.cleanup_journal import CleanupJournal
from greenroom.workers.exec.capture import OutputBudget
from greenroom.workers.exec.login_shells import LoginShells
from greenroom.workers.exec.starter import CommandStarter
from greenroom.workers.patch.turn_diff import TurnDiffTracker
from greenroom.workers.tools.approval_gate import ApprovalGate
from greenroom.workers.tools.background_commands import BackgroundCommands
from greenroom.workers.tools.types import Emit, ExecutionMode

DEFAULT_BUDGET: Final = OutputBudget(10_000)
"""The default limit of a tool's output for the model, unless its policy or `tool_output_token_limit` sets another."""


class Shell(msgspec.Struct, frozen=True):
    """How shell scripts of `exec_command` run."""

    program: str
    """The default, unless the model names another one."""
    environment: Mapping[str, str]
    """The complete environment of such commands, which tells programs that there is no user at the terminal."""
    may_login: bool = True
    """Whether the user's profile is read first by default."""
    fixed: frozenset[str] = frozenset()
    """Variables that the user's profile does not change."""
    longest_poll_ms: int = 300_000
    """Milliseconds that the model may wait for more output in one call."""


class ToolContext(msgspec.Struct, frozen=True):
    """The surroundings of one tool call."""

    emit: Emit
    cwd: str
    """Absolute."""
    environment: Mapping[str, str]
    """The complete environment of commands, without secrets."""
    turn_id: TurnId
    gate: ApprovalGate
    """The approval rules."""
    free: CommandStarter
    """Starts commands without a sandbox."""
    sandboxed: CommandStarter
    """Starts commands in the sandbox of the conversation."""
    read_only: CommandStarter
    """Starts commands in a sandbox without write access and network."""
    reader: Reader
    """Reads files named by the model: images, and the files of patches."""
    may_write: Callable[[str], bool]
    """Tells whether a patch may change a path under the sandbox policy."""
    shell: Shell
    logins: LoginShells
    """The known effects of the user's profile."""
    open_commands: BackgroundCommands
    """Commands that keep running between calls and turns."""
    diff: TurnDiffTracker
    """The changes of the turn's patches so far."""
    budget: OutputBudget = DEFAULT_BUDGET
    journal: CleanupJournal | None = None
    """Records what a patch would leave behind if the process were killed."""

    def starter(self, mode: ExecutionMode) -> CommandStarter:
        """Return the starter for an execution mode."""
        return {"free": self.free, "sandboxed": self.sandboxed, "read_only": self.read_only}[mode]


class ToolOutput(msgspec.Struct, frozen=True):
    """The output for the model."""

    text: str
    success: bool
    items: tuple[JsonObject, ...] = ()
    """Replaces the text if the output is not only text."""

    @property
    def output(self) -> str | list[JsonObject]:
        """The `output` of the call."""
        return list(self.items) or self.text


async def emit(context: ToolContext, event: Event) -> None:
    """Emit an event, and wait if the recipient asks for it."""
    waiting = context.emit(event)
    if waiting is not None:
        await waiting
