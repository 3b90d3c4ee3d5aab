"""What a tool call is given of its conversation, and what it gives back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from greenroom.config.reader import Reader
from greenroom.protocol.ids import TurnId
from greenroom.protocol.items import JsonObject
from greenroom.sessions.cleanup_journal import CleanupJournal
from greenroom.workers.exec.capture import OutputBudget
from greenroom.workers.exec.login_shells import LoginShells
from greenroom.workers.exec.starter import Starter
from greenroom.workers.patch.turn_diff import TurnDiffTracker
from greenroom.workers.tools.approval_gate import ApprovalGate
from greenroom.workers.tools.background_commands import BackgroundCommands
from greenroom.workers.tools.types import Emit, ExecutionMode

DEFAULT_BUDGET: Final = OutputBudget(10_000)
"""How much of a tool's output the model gets unless its policy or `tool_output_token_limit` says otherwise."""


@dataclass(frozen=True, slots=True)
class Shell:
    """How shell text runs that the model gives to `exec_command`."""

    program: str
    """Unless the model names another one."""
    environment: Mapping[str, str]
    """What such commands see, complete: told not to expect anybody at the screen."""
    may_login: bool = True
    """Whether the profile of the user is read first, as it is unless the model does not want it."""
    fixed: frozenset[str] = frozenset()
    """Variables that the user's profile does not change."""
    longest_poll_ms: int = 300_000
    """Milliseconds that the model may wait for more output in one call."""


@dataclass(frozen=True, slots=True)
class ToolContext:
    """The surroundings of one tool call."""

    emit: Emit
    cwd: str
    """Absolute."""
    environment: Mapping[str, str]
    """What commands see: nothing else, and no secrets in it."""
    turn_id: TurnId
    gate: ApprovalGate
    """What may be done, and how."""
    free: Starter
    """Starts commands without a sandbox."""
    sandboxed: Starter
    """Starts commands in the sandbox of the conversation."""
    read_only: Starter
    """Starts commands in a sandbox in which nothing can be written, and that has no network."""
    reader: Reader
    """Reads what the model names: images, and the files of patches."""
    may_write: Callable[[str], bool]
    """Tells whether a patch may touch a path while it is held to the sandbox policy."""
    shell: Shell
    logins: LoginShells
    """What is known of the user's profile."""
    open_commands: BackgroundCommands
    """Those that go on between calls, also from one turn to the next."""
    diff: TurnDiffTracker
    """What the turn's patches have changed so far."""
    budget: OutputBudget = DEFAULT_BUDGET
    leftovers: CleanupJournal | None = None
    """Where a patch notes what it would leave behind if we were killed."""

    def starter(self, mode: ExecutionMode) -> Starter:
        """Return what starts commands so."""
        return {"free": self.free, "sandboxed": self.sandboxed, "read_only": self.read_only}[mode]


@dataclass(frozen=True, slots=True)
class ToolOutput:
    """What the model is told."""

    text: str
    success: bool
    items: tuple[JsonObject, ...] = ()
    """What it is told in place of the text, where that is not all text."""

    @property
    def told(self) -> str | list[JsonObject]:
        """The `output` of the call."""
        return list(self.items) or self.text


async def emit(context: ToolContext, event: JsonObject) -> None:
    """Emit an event and wait while whoever takes it wants us to."""
    waiting = context.emit(event)
    if waiting is not None:
        await waiting
