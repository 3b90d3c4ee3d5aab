"""The running turns: starts each in its worker, passes on its events, and ends it exactly once."""

import asyncio
import logging
from collections.abc import Callable
from typing import TypeAlias, TypedDict

import msgspec

from greenroom.protocol.approval import Decision, decode_question
from greenroom.protocol.errors import RemoteProtocolError
from greenroom.protocol.failure import Failure
from greenroom.protocol.ids import BEFORE_TURNS, ConversationId, Incarnation, TurnId
from greenroom.protocol.internal.worker.notices import (
    AskUser,
    Heartbeat,
    Opened,
    Steered,
    SteeringRefused,
    TurnEnded,
    TurnStep,
)
from greenroom.protocol.internal.worker.operations import (
    Compact,
    Decide,
    Interrupt,
    RunUserCommand,
    SelectEvents,
    StartTurn,
    Steer,
)
from greenroom.supervisor.conversations.assignments import WorkerAssignments
from greenroom.supervisor.conversations.state.conversation import Conversation, Placement, Pulse
from greenroom.supervisor.conversations.state.open_question import OpenQuestion
from greenroom.supervisor.conversations.state.turn import ConversationTurn, Onlooker, TurnUsage, aborted

log = logging.getLogger(__name__)

UNREADABLE = Decision(verdict="denied", reason="the question could not be passed on")
"""The decision on a question that is not valid."""
INTERRUPT_GRACE = 1.0
"""Seconds that an interrupted turn has to end before its worker is killed."""

OnTurnEnd: TypeAlias = Callable[[Conversation, bool], None]
"""Called after the audience of a turn that has run, with whether it was the first of its conversation."""


class TurnAddress(TypedDict):
    """Members of every message to a conversation."""

    conversation_id: ConversationId
    incarnation: Incarnation


class Turns:
    """One turn at a time in each conversation."""

    def __init__(
        self, assignments: WorkerAssignments, on_end: OnTurnEnd, on_free: Callable[[Conversation], None]
    ) -> None:
        """`on_free` is called with each conversation that has a worker and in which no turn runs any more."""
        self._assignments = assignments
        self._on_end = on_end
        self._on_free = on_free
        self._running: set[Conversation] = set()
        self._loop = asyncio.get_running_loop()
        self.open_listeners: list[Callable[[Conversation, bytes], None]] = []
        """Called with each conversation that a worker has opened, and its event `session_configured`."""
        self.on_question: Callable[[OpenQuestion], None] | None = None
        """Called with each question that its audience has not decided at once."""
        self._onlookers: dict[ConversationId, tuple[Onlooker, ...]] = {}

    @property
    def running(self) -> "set[Conversation]":
        """The conversations in which a turn runs. Not to be changed."""
        return self._running

    def start_next(self, conversation: Conversation) -> None:
        """Run the turn that has waited longest."""
        turn = conversation.next_turn()
        if turn is None:
            return
        if turn.items is None and conversation.configured:
            turn.succeed(conversation.configured)
            self._on_free(conversation)
            return
        conversation.running = turn
        if conversation.state == "idle":
            conversation.happen("turn_started")
        now = self._loop.time()
        conversation.pulse = Pulse(heard_at=now, started_at=now, saved_bytes=conversation.saved_bytes)
        self._running.add(conversation)
        trace = turn.start(conversation.incarnation)
        self._assignments.begin_turn(conversation, turn.settings)
        if turn.compacts:
            self._assignments.send(conversation, Compact(**turn_address(conversation), turn_id=turn.id, trace=trace))
        elif turn.user_command is not None:
            script, timeout_ms = turn.user_command
            command = RunUserCommand(
                **turn_address(conversation), turn_id=turn.id, script=script, timeout_ms=timeout_ms, trace=trace
            )
            self._assignments.send(conversation, command)
        elif turn.items is not None:
            start = StartTurn(
                **turn_address(conversation),
                turn_id=turn.id,
                settings=turn.settings,
                deltas=self._wants_deltas(conversation),
                steps=conversation.wants_steps,
                output_schema=turn.output_schema,
                trace=trace,
                pursues_goal=turn.pursues_goal,
            )
            self._assignments.send(conversation, start, turn.items)
        self._assignments.follow_readers(conversation)

    def steer(self, conversation: Conversation, turn: ConversationTurn, items: bytes) -> None:
        """Send the input of a turn into the running one; the new turn ends once its input has been accepted."""
        running = conversation.running
        if running is None:
            return
        conversation.steering += (turn,)
        self._assignments.send(
            conversation, Steer(**turn_address(conversation), turn_id=running.id, input_id=turn.id), items
        )

    def select_events(self, conversation: Conversation) -> None:
        """Tell the worker of a conversation which events have a use; its next turn is told at its start."""
        if conversation.running is not None:
            deltas, steps = self._wants_deltas(conversation), conversation.wants_steps
            self._assignments.send(conversation, SelectEvents(**turn_address(conversation), deltas=deltas, steps=steps))

    def look_on(self, conversation_id: ConversationId, onlooker: Onlooker) -> None:
        """Report the events of a conversation to `onlooker` from now on; the caller then selects events."""
        self._onlookers[conversation_id] = (*self._onlookers.get(conversation_id, ()), onlooker)

    def look_away(self, conversation_id: ConversationId, onlooker: Onlooker) -> None:
        """Report no more events of a conversation to `onlooker`; the caller then selects events."""
        left = tuple(other for other in self._onlookers.pop(conversation_id, ()) if other is not onlooker)
        if left:
            self._onlookers[conversation_id] = left

    def interrupt(self, conversation: Conversation, turn: ConversationTurn) -> None:
        """Interrupt a running turn through its worker."""
        self._assignments.send(conversation, Interrupt(**turn_address(conversation), turn_id=turn.id))
        self._loop.call_later(INTERRUPT_GRACE, self._insist, conversation, conversation.incarnation, turn)

    def decide(
        self, conversation: Conversation, question_id: int, decision: Decision, *, elsewhere: bool = False
    ) -> bool:
        """Pass on the answer to a question of the running turn, and return whether the question was still open.

        `elsewhere`: the question is withdrawn from the client that was asked.
        """
        pulse = conversation.pulse
        question = None if pulse is None else pulse.questions.pop(question_id, None)
        if question is None:
            return False
        question.close()
        self._answer(conversation, question_id, decision)
        if elsewhere and question.on_decided_elsewhere is not None:
            question.on_decided_elsewhere(decision)
        conversation.notify_watchers()
        return True

    def drop(self, conversation: Conversation) -> None:
        """Forget the running turn of a conversation whose worker is gone, or is being ended."""
        self._running.discard(conversation)

    def note_sign_of_life(self, conversation: Conversation) -> None:
        """Note a sign of life of its worker."""
        if conversation.pulse is not None:
            conversation.pulse.heard_at = self._loop.time()
        if conversation.watchers:
            self._loop.call_soon(conversation.notify_watchers)  # once what was reported has been dealt with

    # Notices of workers

    def opened(self, conversation: Conversation, notice: Opened, configured: bytes) -> None:
        """Handle the notice that a worker has opened its conversation; the turn that it was opened for begins."""
        announced = self._assignments.announced(conversation, notice, configured)
        if announced is None:
            return
        notice, configured = announced
        conversation.happen("opened")
        conversation.configured = configured
        conversation.placement = Placement(notice.cwd, notice.model, notice.session_path, notice.worktree)
        conversation.title = notice.title or conversation.title
        conversation.tokens = notice.tokens
        conversation.spending = notice.spending
        for listener in self.open_listeners:
            listener(conversation, configured)
        opening = conversation.running
        if opening is not None and opening.items is not None:
            conversation.happen("turn_started")
            return
        self._stop_running(conversation)
        if opening is not None:
            opening.succeed(configured)
        self._on_free(conversation)

    def pass_on(self, conversation: Conversation, turn_id: TurnId, events: bytes) -> None:
        """Pass on events."""
        turn = conversation.running
        if turn is not None and turn_id in (turn.id, BEFORE_TURNS):
            turn.audience.events(turn_id, events)
        for observer in conversation.observers:
            observer.events(turn_id, events)
        if self._onlookers:
            for onlooker in self._onlookers.get(conversation.id, ()):
                onlooker(events)

    def pass_question_on(self, conversation: Conversation, notice: AskUser, payload: bytes) -> None:
        """Pass on a question."""
        turn, pulse = conversation.running, conversation.pulse
        if turn is not None and pulse is not None and turn.id == notice.turn_id:
            try:
                question = decode_question(payload)
            except RemoteProtocolError as error:
                about = {"conversation_id": conversation.id}
                log.error("conversation %s: %s; the answer is no", conversation.id, error, extra=about)
                self._answer(conversation, notice.question_id, UNREADABLE)
                return
            asked = pulse.questions[notice.question_id] = OpenQuestion(notice.question_id, turn, question)
            turn.audience.asks(notice.question_id, question, notice.form)
            if self.on_question is not None and notice.question_id in pulse.questions:
                self.on_question(asked)

    def note(self, conversation: Conversation, notice: Heartbeat) -> None:
        """Note what a worker reports that it does."""
        conversation.tokens = notice.tokens
        if conversation.pulse is not None:
            conversation.pulse.progress = notice.progress
        if conversation.running is not None:
            conversation.running.time(notice.timings, open_parts=notice.open_parts)
            conversation.running.audience.progress(notice.progress.step or notice.progress.doing)

    def report_step(self, conversation: Conversation, notice: TurnStep) -> None:
        """Pass on a step of the running turn."""
        turn = conversation.running
        if turn is not None and turn.id == notice.turn_id:
            turn.audience.progress(notice.text)

    def steered(self, conversation: Conversation, notice: Steered | SteeringRefused) -> None:
        """Handle the notice that further input has been accepted, or refused; the running turn goes on."""
        turn = conversation.take_input(notice.input_id)
        if turn is None:
            return
        if isinstance(notice, Steered):
            turn.succeed(b"")
        else:
            conversation.fail(turn, Failure(notice.error_kind, notice.message, {**notice.facts}))

    def end(self, conversation: Conversation, notice: TurnEnded, payload: bytes) -> None:
        """End the running turn as its worker reports; input that it has not accepted becomes turns of their own."""
        turn = conversation.running
        if turn is None or notice.turn_id != turn.id:
            return
        is_first = conversation.is_unsaved
        self._stop_running(conversation)
        conversation.rested_at = self._loop.time()
        conversation.tokens = notice.tokens
        conversation.spending = notice.spending
        if notice.turn_spending is not None and notice.spending is not None:
            turn.usage = TurnUsage(notice.turn_spending, notice.spending)
        turn.time(notice.timings, notice.untimed)
        conversation.happen("turn_ended")
        conversation.open_commands = notice.open_commands
        conversation.holds_unsaved = notice.unsaved
        if notice.outcome == "completed":
            turn.succeed(payload)
        elif notice.outcome == "aborted":
            turn.fail(aborted(notice.message or "interrupted"))
        else:
            turn.fail(_failure(notice, payload))
        conversation.notify_end(turn)
        self._on_end(conversation, is_first)
        left = conversation.take_steering()
        if turn.interrupted and not turn.abandoned:
            for unread in left:
                conversation.fail(unread, aborted("interrupted"))
        else:
            conversation.put_in_front(left)
        self._on_free(conversation)

    def _wants_deltas(self, conversation: Conversation) -> bool:
        return conversation.wants_deltas or conversation.id in self._onlookers

    def _answer(self, conversation: Conversation, question_id: int, decision: Decision) -> None:
        self._assignments.send(
            conversation, Decide(**turn_address(conversation), question_id=question_id, decision=decision)
        )

    def _stop_running(self, conversation: Conversation) -> None:
        conversation.running = None
        conversation.drop_pulse()
        conversation.false_starts = 0
        self._running.discard(conversation)
        self._assignments.follow_readers(conversation)

    def _insist(self, conversation: Conversation, incarnation: Incarnation, turn: ConversationTurn) -> None:
        """Kill the worker of a turn that should have ended, unless the notice of its end may be held back."""
        if conversation.running is not turn or conversation.incarnation != incarnation:
            return
        if conversation.is_held:
            self._loop.call_later(INTERRUPT_GRACE, self._insist, conversation, incarnation, turn)
        else:
            self._assignments.kill(conversation, "did not end its turn when asked to")


def _failure(notice: TurnEnded, payload: bytes) -> Failure:
    message = notice.message or "the turn failed"
    answer = msgspec.json.decode(payload, type=str) if notice.error_kind == "session_unsaved" and payload else None
    return Failure(notice.error_kind or "internal", message, {**notice.facts}, answer=answer)


def turn_address(conversation: Conversation) -> TurnAddress:
    """Return the address of the present process of a conversation."""
    return {"conversation_id": conversation.id, "incarnation": conversation.incarnation}
