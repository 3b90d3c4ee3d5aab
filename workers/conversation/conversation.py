"""An open conversation as its worker uses it: its turns, the input and decisions for them, and its state."""

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import msgspec

from greenroom.config.settings import Settings
from greenroom.protocol.internal.worker.notices import OwnWorktree
from greenroom.workers.conversation.current_turn import CurrentTurn
from greenroom.workers.conversation.events.event_emitter import EventEmitter
from greenroom.workers.conversation.goal.goal_keeper import GoalKeeper
from greenroom.workers.conversation.injected_items import InjectedItems
from greenroom.workers.conversation.model_connection import ModelConnection
from greenroom.workers.conversation.pending_approvals import PendingApprovals
from greenroom.workers.conversation.session_recorder import SessionRecorder
from greenroom.workers.conversation.step_reporter import StepReporter
from greenroom.workers.conversation.tools import ConversationTools
from greenroom.workers.conversation.turn.steering import SteeringQueue
from greenroom.workers.conversation.turn.turn_runner import TurnRunner
from greenroom.workers.conversation.usage.tokens import TokenCounter
from greenroom.workers.timings import TurnTimings

if TYPE_CHECKING:
    from greenroom.workers.conversation.usage.ledger import Ledger


class OpenedConversation(msgspec.Struct, frozen=True, kw_only=True):
    """Belongs to one worker. It is made by `greenroom.workers.conversation.opening.open_conversation`; `close` it."""

    settings: Settings
    configured: bytes
    """The event that announced the conversation."""
    title: str | None
    """The beginning of its first message, where it was resumed."""
    turns: TurnRunner
    steering: SteeringQueue
    injected: InjectedItems
    goal: GoalKeeper
    approvals: PendingApprovals
    tools: ConversationTools
    recorder: SessionRecorder
    turn: CurrentTurn
    steps: StepReporter
    timings: TurnTimings
    tokens: TokenCounter
    ledger: "Ledger | None" = None
    """Counts money; `None` where the settings have no prices."""
    emitter: EventEmitter
    model: ModelConnection
    worktree: OwnWorktree | None
    """The git worktree that belongs to it."""
    closing: AsyncExitStack
    """Closes the parts."""

    @property
    def doing(self) -> str:
        """What the running turn does at the moment, for people."""
        if self.tools.waits_for_servers and not self.turn.compacts:
            return "waiting for MCP servers to start"
        return self.turn.activity.doing

    @property
    def step(self) -> str:
        """The tool call that the running turn has begun, for people; empty where none runs."""
        return self.steps.present if self.turn.activity.runs_tool else ""

    def select_events(self, deltas: bool, steps: bool) -> None:
        """Send deltas and steps, or make none while they have no use.

        The model is read less often where deltas have none.
        """
        self.emitter.wants_deltas = deltas
        self.model.select_events(deltas)
        self.steps.are_wanted = steps

    async def close(self) -> None:
        """End every process of the conversation, and save what is not saved yet."""
        await self.closing.aclose()
