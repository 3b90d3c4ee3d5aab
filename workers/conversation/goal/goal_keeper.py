"""Keeps the goal of a conversation: tells the model and clients of it, records it, and serves its tools."""

import time
from collections.abc import Callable, Sequence
from typing import Final, Literal, Protocol

import msgspec

from greenroom.protocol.errors import ErrorKind
from greenroom.protocol.events.goal import ThreadGoalUpdated
from greenroom.protocol.goal import ThreadGoal
from greenroom.protocol.ids import ConversationId, TurnId
from greenroom.protocol.items import JsonObject
from greenroom.workers.conversation.goal import goal_texts
from greenroom.workers.conversation.goal.goal import Goal, GoalChange, GoalError
from greenroom.workers.conversation.transcript import Transcript
from greenroom.workers.model.responses import ResponseUsage
from greenroom.workers.timings import ToolTimer

NO_TOOLS: Final[Sequence[JsonObject]] = ()


class GoalUpdate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Arguments of `update_goal`."""

    status: Literal["complete", "blocked", "paused"]


class GoalTurn(Protocol):
    """The turn that runs, or ran last (`greenroom.workers.conversation.current_turn.CurrentTurn`)."""

    id: TurnId


class GoalKeeper:
    """Belongs to one conversation."""

    def __init__(
        self,
        conversation_id: ConversationId,
        turn: GoalTurn,
        transcript: Transcript,
        recorded: ThreadGoal | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`recorded` is the goal according to the session file; `clock` returns seconds since the epoch."""
        self._id = conversation_id
        self._turn = turn
        self._transcript = transcript
        self._clock = clock
        self._goal = Goal(conversation_id, recorded)
        self._runs = False
        self._pursues = False
        self._did_something = False
        self._told: str | None = None
        """The objective that the model knows."""
        self._told_limit = False

    @property
    def present(self) -> ThreadGoal | None:
        """The goal, if there is one."""
        return self._goal.present

    @property
    def tools(self) -> Sequence[JsonObject]:
        """The definitions of the tools for it: none where there is no goal. Always the same objects."""
        if self._goal.present is None:
            return NO_TOOLS
        from greenroom.workers.tools.goal_catalog import GOAL_TOOLS

        return GOAL_TOOLS

    def announce(self) -> None:
        """Tell clients of a goal that was found in the session file."""
        if self._goal.present is not None:
            self._transcript.emit_now(self._event())

    def change(self, change: GoalChange) -> ThreadGoal:
        """Set or change it on behalf of a client. Raises `GoalError`."""
        goal = self._goal.change(change, self._clock())
        self._told_limit = False
        self._publish()
        return goal

    def clear(self) -> bool:
        """Remove it on behalf of a client; return whether there was one."""
        was_there = self._goal.clear()
        if was_there:
            self._told = None
            self._publish()
        return was_there

    # Turns

    def begin_turn(self, *, pursues: bool) -> bool:
        """Begin a turn, and tell the model of the goal; return whether the turn has a reason.

        `pursues`: the turn is one of the goal's own, which has none if the goal is active no more.
        """
        self._runs, self._pursues, self._did_something = True, pursues, False
        self._goal.begin_turn(self._clock())
        goal = self._goal.present
        if goal is None or not self._goal.is_active:
            return not pursues
        if pursues:
            self._transcript.add(goal_texts.pursuit(goal, self._goal.remaining))
        elif self._told != goal.objective:
            self._transcript.add(goal_texts.reminder(goal))
        self._told = goal.objective
        return True

    def count(self, usage: ResponseUsage | None, *, acts: bool) -> None:
        """Count a response of the model; `acts` tells whether it says or calls anything."""
        self._did_something |= acts
        if usage is not None and self._goal.count(usage, self._clock()):
            self._publish()

    def tell_limit(self) -> None:
        """Tell the model once that the budget is used up. To be called where each call has its output."""
        goal = self._goal.present
        if goal is not None and goal.status == "budgetLimited" and not self._told_limit:
            self._told_limit = True
            self._transcript.add(goal_texts.used_up(goal))

    def end_turn(self) -> None:
        """Take note of the end of a turn."""
        if self._goal.end_turn(self._clock(), did_something=self._did_something, pursued=self._pursues):
            self._publish()
        self._runs = False

    def fail_turn(self, kind: ErrorKind | None) -> None:
        """Take note of a turn that has failed, if it has come to the model."""
        if self._runs and self._goal.fail_turn(self._clock(), kind):
            self._publish()
        self._runs = False

    def stop_turn(self) -> None:
        """Take note of a turn that was stopped."""
        self._runs = False
        self._goal.stop_turn(self._clock())

    # The model's tools

    def takes(self, call: JsonObject) -> bool:
        """Tell whether a call of the model is for one of the tools."""
        return call["type"] == "function_call" and call["name"] in ("get_goal", "update_goal")

    def call(self, call: JsonObject, measured: ToolTimer) -> str:
        """Answer a call of the model, also one that cannot be carried out."""
        from greenroom.workers.tools.arguments import parse_arguments
        from greenroom.workers.tools.types import ToolFailure

        try:
            if call["name"] == "update_goal":
                update = parse_arguments(str(call["arguments"]), GoalUpdate)
                self._goal.change(GoalChange(status=update.status), self._clock())
                self._publish()
        except (ToolFailure, GoalError) as error:
            measured.end = "failed"
            answer = str(error)
        else:
            told = {"goal": self._goal.present, "remainingTokens": self._goal.remaining}
            answer = msgspec.json.encode(told).decode()
        measured.output_size = len(answer)
        return answer

    def _publish(self) -> None:
        self._transcript.emit_now(self._event(), keep=True)
        self._transcript.write_soon()

    def _event(self) -> ThreadGoalUpdated:
        turn_id = self._turn.id if self._runs else None
        return ThreadGoalUpdated(thread_id=self._id, turn_id=turn_id, goal=self._goal.present)
