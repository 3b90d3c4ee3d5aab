"""The tools of one conversation: those of this program, and those of the user's MCP servers.

The tools of this program are imported with the first call: the first answer of a new server need not wait for that.
"""

import logging
from typing import TYPE_CHECKING

from greenroom.config.settings import Settings
from greenroom.protocol.ids import ConversationId
from greenroom.protocol.internal.worker.notices import OwnZygote
from greenroom.protocol.items import JsonObject
from greenroom.runtime.log.logline import about
from greenroom.workers.conversation.current_turn import CurrentTurn
from greenroom.workers.conversation.goal.goal_keeper import GoalKeeper
from greenroom.workers.conversation.session_recorder import SessionRecorder
from greenroom.workers.conversation.tool_host import ConversationToolHost
from greenroom.workers.timings import TurnTimings
from greenroom.workers.tools.types import ToolResult

if TYPE_CHECKING:
    from greenroom.workers.mcp.inventory import ServerInventory
    from greenroom.workers.mcp.toolset import McpToolset
    from greenroom.workers.tools.toolbox import Toolbox

log = logging.getLogger(__name__)


class ConversationTools:
    """Runs the model's calls (`greenroom.workers.conversation.turn.turn.TurnTools`). `close` it."""

    def __init__(
        self,
        turn: CurrentTurn,
        host: ConversationToolHost,
        recorder: SessionRecorder,
        conversation_id: ConversationId,
        runtime_directory: str,
        mcp: "McpToolset | None",
        timings: TurnTimings,
        goal: GoalKeeper,
    ) -> None:
        """`recorder` holds the lock in which patches note their temporary files."""
        self._turn = turn
        self._host = host
        self._recorder = recorder
        self._conversation_id = conversation_id
        self._runtime_directory = runtime_directory
        self._mcp = mcp
        self._timings = timings
        self._goal = goal
        self._toolbox: Toolbox | None = None

    @property
    def waits_for_servers(self) -> bool:
        """Whether a request waits for MCP servers to start."""
        return self._mcp is not None and self._mcp.is_waiting

    @property
    def sandbox_limits(self) -> tuple[str, ...]:
        """What the sandbox of commands does not hold here, or holds at a price, as far as one has run."""
        return () if self._toolbox is None else self._toolbox.sandbox_limits

    @property
    def own_zygote(self) -> OwnZygote | None:
        """The process that starts commands, where it belongs to this worker alone."""
        zygote = None if self._toolbox is None else self._toolbox.zygote
        if zygote is None or zygote.is_shared:
            return None
        return OwnZygote(pid=zygote.pid, restarts=zygote.restarts)

    @property
    def inventory(self) -> "ServerInventory | None":
        """What clients ask of the MCP servers themselves; `None` where the settings have none."""
        return None if self._mcp is None else self._mcp.inventory

    @property
    def background_commands(self) -> int:
        """Number of commands that run on between calls."""
        return 0 if self._toolbox is None else self._toolbox.open_commands.statistics().running

    async def begin_turn(self) -> None:
        """Tell clients which background commands have ended since the last turn."""
        if self._toolbox is not None:
            await self._toolbox.begin_turn()

    def end_turn(self) -> None:
        """Let background commands run on without events."""
        if self._toolbox is not None:
            self._toolbox.end_turn()

    def apply(self, settings: Settings) -> None:
        """Use these settings from the next call on."""
        if self._toolbox is not None:
            from greenroom.workers.tools.toolbox_factory import workplace

            self._toolbox.move(workplace(settings, self._conversation_id, self._runtime_directory))

    async def call(self, call: JsonObject) -> ToolResult:
        """Run one call of the model and return its output."""
        with about(call_id=str(call.get("call_id", ""))), self._timings.tool(call) as measured:
            log.debug("the tool %s is called", call.get("name", call.get("type")))
            if self._goal.takes(call):
                return self._goal.call(call, measured)
            if self._mcp is not None and self._mcp.has(call):
                measured.origin = "mcp"
                return await self._mcp.call(self._turn.id, call, self._host.emit, measured)
            return await self._present_toolbox().call(self._turn.id, call, measured)

    async def run_for_user(self, script: str, timeout_ms: int | None) -> str:
        """Run a command of the user, and return what the model is told of it."""
        return await self._present_toolbox().run_for_user(self._turn.id, script, timeout_ms)

    async def emit_diff(self) -> None:
        """Tell clients the net diff of the turn's patches, if there were any."""
        if self._toolbox is not None:
            await self._toolbox.emit_diff(self._turn.id)

    async def close(self) -> None:
        """End every process of the tools."""
        if self._toolbox is not None:
            await self._toolbox.close()
        if self._mcp is not None:
            await self._mcp.close()

    def _present_toolbox(self) -> "Toolbox":
        if self._toolbox is None:
            from greenroom.sessions.storage.cleanup_journal import CleanupJournal
            from greenroom.workers.tools.toolbox_factory import build_toolbox

            self._toolbox = build_toolbox(
                self._turn.settings,
                self._conversation_id,
                self._runtime_directory,
                self._host,
                CleanupJournal(lambda: self._recorder.lock),
            )
        return self._toolbox
