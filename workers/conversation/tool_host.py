"""What tools need of their conversation (`greenroom.workers.tools.types.ToolHost`)."""

from collections.abc import Awaitable
from typing import TYPE_CHECKING

from greenroom.protocol.approval import AnyQuestion, Decision
from greenroom.protocol.events.event import Event
from greenroom.workers.conversation.approval_reviewer import ApprovalReviewer, Reviewable
from greenroom.workers.conversation.notices import ConversationNotices
from greenroom.workers.conversation.pending_approvals import PendingApprovals
from greenroom.workers.conversation.transcript import Transcript
from greenroom.workers.timings import TurnTimings

if TYPE_CHECKING:
    from greenroom.workers.sandbox.launcher import Loss


class ConversationToolHost:
    """Belongs to one conversation."""

    def __init__(
        self,
        transcript: Transcript,
        approvals: PendingApprovals,
        notices: ConversationNotices,
        timings: TurnTimings,
        *,
        keeps_rules: bool = True,
    ) -> None:
        """`keeps_rules`: whether the home is on this machine, so that the user can make rules."""
        self._transcript = transcript
        self._approvals = approvals
        self._notices = notices
        self._timings = timings
        self.keeps_rules = keeps_rules
        self.reviewer: ApprovalReviewer | None = None
        """Decides in place of the user, in turns whose settings say so."""

    async def ask(self, question: AnyQuestion) -> Decision:
        """Ask the user, or the reviewer (`greenroom.workers.tools.types.Ask`)."""
        if isinstance(question, Reviewable) and self.reviewer is not None and self.reviewer.is_wanted:
            with self._timings.decision(question, "reviewer") as measured:
                decision = await self.reviewer.decide(question)
                measured.verdict = decision.verdict
            return decision
        with self._timings.decision(question, "user") as measured:
            decision = await self._approvals.ask(question)
            measured.verdict = decision.verdict
        return decision

    def emit(self, event: Event) -> Awaitable[None] | None:
        """Record and emit an event (`greenroom.workers.tools.types.Emit`)."""
        return self._transcript.emit(event)

    def commands_ended(self) -> None:
        """Report that between two turns the last background command has ended."""
        self._notices.commands_ended()

    def helper_lost(self, loss: "Loss") -> None:
        """Report the loss of a process that starts commands or watches over one."""
        self._notices.helper_lost(loss)
