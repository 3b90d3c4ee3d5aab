"""The beginning and the end of each turn, in events and in the session file, and the outcome for the supervisor."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from greenroom.protocol.events.turn import ErrorEvent, ErrorInfo
from greenroom.protocol.ids import TurnId
from greenroom.workers.conversation.current_turn import CurrentTurn
from greenroom.workers.conversation.events import event
from greenroom.workers.conversation.prompt import prompt
from greenroom.workers.conversation.session_recorder import SessionRecorder
from greenroom.workers.conversation.step_reporter import StepReporter
from greenroom.workers.conversation.transcript import Transcript
from greenroom.workers.conversation.turn.turn_outcome import TurnOutcome

if TYPE_CHECKING:
    from greenroom.workers.conversation.notifier import Notifier

INTERRUPTED: Final = "interrupted"
"""The reason of a turn that was stopped on purpose."""


class TurnReport:
    """Belongs to one conversation."""

    def __init__(
        self,
        turn: CurrentTurn,
        transcript: Transcript,
        recorder: SessionRecorder,
        steps: StepReporter,
        notifier: "Notifier | None",
    ) -> None:
        """`notifier` runs the user's program at the end of each turn, where the settings name one."""
        self._turn = turn
        self._transcript = transcript
        self._recorder = recorder
        self._steps = steps
        self._notifier = notifier

    def begin(self, turn_id: TurnId, *, compacts: bool) -> None:
        """Start a turn, and report it. `compacts`: it only compacts the history."""
        turn = self._turn
        turn.begin(turn_id, compacts=compacts)
        self._transcript.begin_turn(turn_id)
        self._steps.begin_turn()
        window = turn.settings.model_family.effective_context_window
        self._transcript.emit_now(event.task_started(turn.id, round(turn.started_at), window), keep=True)

    def completed(self, inputs: Sequence[str], last: str | None) -> TurnOutcome:
        """Report that the turn is complete. `inputs` are the user's messages, `last` is the agent's last one."""
        self._end(last)
        if self._notifier is not None:
            self._notifier.turn_ended(self._turn.id, self._turn.settings.cwd, inputs, last)
        return self._with_save_fault(TurnOutcome("completed", last_message=event.encode(last or "")))

    def ended(self) -> TurnOutcome:
        """Report the end of a turn without input and answer: a compaction, or a command of the user."""
        self._end(None)
        return self._with_save_fault(TurnOutcome("completed"))

    def failed(self, outcome: TurnOutcome, info: ErrorInfo = "other") -> TurnOutcome:
        """Report a failure. `info` is the `codex_error_info` of its event."""
        failure = event.error(outcome.message or "", info)
        self._transcript.emit_now(failure)
        self._end(None, failure)
        return self._with_save_fault(outcome)

    def aborted(self) -> TurnOutcome:
        """Report that the turn was stopped on purpose, also to the model."""
        turn = self._turn
        if not turn.compacts:
            self._transcript.add(prompt.turn_aborted_message())
        duration = time.time() - turn.started_at
        self._transcript.emit_now(event.turn_aborted(turn.id, INTERRUPTED, round(turn.started_at), duration), keep=True)
        self._recorder.save()
        return TurnOutcome("aborted", message=INTERRUPTED)

    def _end(self, last: str | None, failure: ErrorEvent | None = None) -> None:
        """Save the end of the turn to disk, and then tell clients of it."""
        turn = self._turn
        heard_at = turn.activity.heard_at
        ended = event.task_complete(
            turn.id,
            last,
            round(turn.started_at),
            time.time() - turn.started_at,
            None if heard_at is None else heard_at - turn.started_at,
            failure,
        )
        self._recorder.event(ended)
        self._recorder.save()
        self._transcript.emit_now(ended)

    def _with_save_fault(self, outcome: TurnOutcome) -> TurnOutcome:
        """Return the outcome, as a failure where the conversation could not be saved."""
        fault = self._recorder.fault
        if fault is None:
            return outcome
        if outcome.kind == "failed":
            text = f"{outcome.message} The conversation cannot be saved either: {fault}."
            return msgspec.structs.replace(outcome, message=text)
        text = (
            f"The turn is complete, but the conversation cannot be saved to {self._recorder.path}: {fault}. It "
            "goes on as long as this server runs; once the file can be written again, the next turn saves all of it."
        )
        return TurnOutcome("failed", outcome.last_message, "session_unsaved", text)
