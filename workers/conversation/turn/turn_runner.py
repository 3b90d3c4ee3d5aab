"""Runs the turns of one conversation, one at a time, each from its input to its outcome."""

from typing import Final

from greenroom.protocol.errors import ConfigError, GreenroomError, ModelError, PromptTooLongError, StartError
from greenroom.protocol.ids import TurnId
from greenroom.protocol.internal.worker.operations import TurnSettings
from greenroom.workers.conversation.current_turn import CurrentTurn
from greenroom.workers.conversation.goal.goal_keeper import GoalKeeper
from greenroom.workers.conversation.resumption import UNKNOWN_EFFECT
from greenroom.workers.conversation.tools import ConversationTools
from greenroom.workers.conversation.turn.turn import TurnLoop
from greenroom.workers.conversation.turn.turn_outcome import TurnOutcome
from greenroom.workers.conversation.turn.turn_report import TurnReport
from greenroom.workers.conversation.turn.turn_settings import ConversationSettings
from greenroom.workers.conversation.turn.user_input import UserInput
from greenroom.workers.conversation.turn_activity import COMPACTING
from greenroom.workers.model.outcome.attempt import error_info

COMMAND: Final = "running a command of the user"
ABORTED: Final = "aborted by user"
"""The output of a call that was stopped with its turn, as the model reads it."""


class TurnRunner:
    """Belongs to one conversation. A turn that does not end by itself is to be closed with `abort` or `fail`."""

    def __init__(
        self,
        turn: CurrentTurn,
        settings: ConversationSettings,
        user_input: UserInput,
        tools: ConversationTools,
        loop: TurnLoop,
        report: TurnReport,
        goal: GoalKeeper,
    ) -> None:
        self._turn = turn
        self._settings = settings
        self._input = user_input
        self._tools = tools
        self._loop = loop
        self._report = report
        self._goal = goal

    async def run(
        self, turn_id: TurnId, items: bytes, wanted: TurnSettings | None = None, output_schema: bytes | None = None
    ) -> TurnOutcome:
        """Run one turn to its end. `items` is its input as a JSON array, `wanted` overrides settings for this turn.

        `output_schema` is the JSON Schema that its last message must fit, as JSON.
        Cancel it to stop the turn, and call `abort` then.
        """
        fault = self._apply(wanted, output_schema)
        self._report.begin(turn_id, compacts=False)
        if fault is not None:
            return self._failed(fault)
        await self._tools.begin_turn()
        self._input.begin_turn()
        try:
            message = self._input.read(items)
            self._input.check(message)
            self._goal.begin_turn(pursues=False)
            await self._input.accept(message)
            last = await self._loop.run(self._turn.activity)
        except (ModelError, StartError, PromptTooLongError) as error:
            return self._failed(error)
        self._tools.end_turn()
        self._goal.end_turn()
        return self._report.completed(self._input.texts, last)

    async def pursue(self, turn_id: TurnId, wanted: TurnSettings | None = None) -> TurnOutcome:
        """Run a turn without input, in which the model goes on with the goal of the conversation.

        It ends at once where the goal is active no more. Cancel it to stop the turn, and call `abort` then.
        """
        fault = self._apply(wanted)
        self._report.begin(turn_id, compacts=False)
        if fault is not None:
            return self._failed(fault)
        await self._tools.begin_turn()
        self._input.begin_turn()
        last = None
        try:
            if self._goal.begin_turn(pursues=True):
                last = await self._loop.run(self._turn.activity)
        except (ModelError, StartError) as error:
            return self._failed(error)
        self._tools.end_turn()
        self._goal.end_turn()
        return self._report.completed((), last)

    async def compact(self, turn_id: TurnId) -> TurnOutcome:
        """Run a turn that replaces the history by a summary.

        Cancel it to stop the turn, and call `abort` then: the history is as it was.
        """
        self._apply(None)
        self._report.begin(turn_id, compacts=True)
        self._turn.activity.doing = COMPACTING
        try:
            await self._loop.compact(self._turn.activity)
        except (ModelError, StartError) as error:
            return self._failed(error)
        self._tools.end_turn()
        return self._report.ended()

    async def run_command(self, turn_id: TurnId, script: str, timeout_ms: int | None) -> TurnOutcome:
        """Run a turn that is a command of the user; the model reads of it with its next request.

        Cancel it to stop the turn, and call `abort` then.
        """
        self._apply(None)
        self._report.begin(turn_id, compacts=False)
        await self._tools.begin_turn()
        self._turn.activity.doing = COMMAND
        told = await self._tools.run_for_user(script, timeout_ms)
        self._input.tell(told)
        self._tools.end_turn()
        return self._report.ended()

    def abort(self) -> TurnOutcome:
        """Close the turn, which was cancelled."""
        self._tools.end_turn()
        self._loop.close(ABORTED)
        self._goal.stop_turn()
        return self._report.aborted()

    def fail(self, error: BaseException) -> TurnOutcome:
        """Close the turn, which an unexpected error has ended."""
        self._loop.close(UNKNOWN_EFFECT)
        self._tools.end_turn()
        self._goal.fail_turn("internal")
        text = f"Codex runtime error: internal error ({type(error).__name__}); the log on standard error has more"
        return self._report.failed(TurnOutcome("failed", error_kind="internal", message=text))

    def _apply(self, wanted: TurnSettings | None, output_schema: bytes | None = None) -> ConfigError | None:
        """Set the settings of the next turn; return the error where they are invalid."""
        try:
            settings = self._settings.for_turn(wanted, output_schema)
        except ConfigError as error:
            return error
        if settings != self._turn.settings:
            self._turn.settings = settings
            self._tools.apply(settings)
        return None

    def _failed(self, error: GreenroomError) -> TurnOutcome:
        self._tools.end_turn()
        self._goal.fail_turn(error.kind)
        outcome = TurnOutcome("failed", error_kind=error.kind, message=str(error), facts=error.facts)
        return self._report.failed(outcome, error_info(error))
