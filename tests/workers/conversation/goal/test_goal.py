"""The goal of a conversation: what it may become, what counts for it, and what the model is told."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.protocol.goal import GoalStatus, ThreadGoal
from greenroom.protocol.ids import ConversationId, TurnId
from greenroom.protocol.items import JsonObject, text_parts
from greenroom.protocol.user_messages import is_user_message
from greenroom.workers.conversation.compaction.compacted_history import shortened
from greenroom.workers.conversation.events.event_emitter import EventEmitter
from greenroom.workers.conversation.goal.goal import IDLE_TURNS, LONGEST, Goal, GoalChange, GoalError
from greenroom.workers.conversation.goal.goal_keeper import GoalKeeper
from greenroom.workers.conversation.history.history import History
from greenroom.workers.conversation.transcript import Transcript
from greenroom.workers.model.responses import ResponseUsage
from greenroom.workers.timings import ToolTimer
from tests.workers.stubs import StubMailbox, StubRecord

ID = ConversationId("c")
OTHER = ConversationId("d")
STATUSES: tuple[GoalStatus, ...] = get_args(GoalStatus)


def usage(fresh: int, output: int = 0, cached: int = 0) -> ResponseUsage:
    return ResponseUsage(input_tokens=fresh + cached, cached_input_tokens=cached, output_tokens=output)


@dataclass
class Running:
    """A turn that runs."""

    id: TurnId


class Scene:
    """A goal with a clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.record, self.mailbox, self.history = StubRecord([]), StubMailbox([]), History()
        transcript = Transcript(self.history, self.record, EventEmitter(self.mailbox, ID, "current"))
        self.keeper = GoalKeeper(ID, Running(TurnId("t")), transcript, clock=lambda: self.now)

    def set(self, **change: Any) -> ThreadGoal:
        return self.keeper.change(GoalChange(**change))

    def call(self, name: str, arguments: str = "{}") -> tuple[str, str]:
        measured = ToolTimer()
        call: JsonObject = {"type": "function_call", "name": name, "arguments": arguments}
        assert self.keeper.takes(call)
        return self.keeper.call(call, measured), measured.end

    @property
    def told(self) -> list[str]:
        """What the model has been told."""
        return ["".join(text_parts(entry.item)) for entry in self.history]

    @property
    def events(self) -> list[dict[str, Any]]:
        return [event for event in self.mailbox.events if event["type"] == "thread_goal_updated"]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (GoalChange(), "cannot update goal for thread c: no goal exists"),
        (GoalChange(status="paused"), "cannot update goal for thread c: no goal exists"),
        (GoalChange(objective=" \n"), "goal objective must not be empty"),
        (GoalChange(objective="x" * (LONGEST + 1)), "goal objective must be at most 4000 characters"),
        (GoalChange(objective="x", token_budget=0), "goal budgets must be positive when provided"),
        (GoalChange(objective="x", token_budget=-1), "goal budgets must be positive when provided"),
    ],
)
def test_what_cannot_be_a_goal_is_refused_and_changes_nothing(change: GoalChange, text: str) -> None:
    goal = Goal(ID)
    with pytest.raises(GoalError, match=text):
        goal.change(change, 5.0)
    assert goal.present is None


def test_members_that_are_left_out_stay_and_null_ends_the_budget() -> None:
    goal = Goal(ID)
    first = goal.change(GoalChange(objective=" ship ", token_budget=9), 5.9)
    assert (first.objective, first.status, first.token_budget, first.created_at) == ("ship", "active", 9, 5)
    second = goal.change(GoalChange(status="paused"), 7.0)
    assert (second.objective, second.status, second.token_budget) == ("ship", "paused", 9)
    third = goal.change(GoalChange(objective="other", token_budget=None), 8.0)
    assert (third.objective, third.status, third.token_budget) == ("other", "paused", None)
    assert (third.created_at, third.updated_at) == (5, 8)


changes = st.builds(
    GoalChange, objective=st.none() | st.just("x"), status=st.none() | st.sampled_from(STATUSES),
    token_budget=st.none() | st.integers(1, 50),
)  # fmt: skip
steps = st.lists(
    changes
    | st.builds(usage, st.integers(0, 20), st.integers(0, 20), st.integers(0, 20))
    | st.sampled_from(["begin", "end", "fail", "stop", "clear"]),
    max_size=30,
)


@given(steps, st.lists(st.floats(0, 3), min_size=30, max_size=30))
def test_whatever_happens_a_used_up_budget_ends_the_pursuit_and_counts_only_grow(
    taken: list[Any], pauses: list[float]
) -> None:
    goal, now, before = Goal(ID), 100.0, None
    for step, pause in zip(taken, pauses, strict=False):
        now += pause
        _take(goal, step, now)
        present = goal.present
        if present is None:
            before = None
            continue
        if present.token_budget is not None and present.tokens_used >= present.token_budget:
            assert present.status not in ("active", "paused")
        if before is not None:
            assert present.tokens_used >= before.tokens_used
            assert present.time_used_seconds >= before.time_used_seconds
        assert present.time_used_seconds <= now - 100
        before = present


def _take(goal: Goal, step: object, now: float) -> None:
    match step:
        case GoalChange():
            if goal.present is not None or step.objective is not None:
                goal.change(step, now)
        case ResponseUsage():
            goal.count(step, now)
        case "begin":
            goal.begin_turn(now)
        case "end":
            goal.end_turn(now, did_something=True, pursued=True)
        case "fail":
            goal.fail_turn(now, None)
            assert not goal.is_active
        case "stop":
            goal.stop_turn(now)
        case "clear":
            goal.clear()


def test_only_what_was_not_cached_counts_and_only_while_the_goal_is_active() -> None:
    scene = Scene()
    scene.set(objective="ship")
    scene.keeper.begin_turn(pursues=True)
    scene.keeper.count(usage(400, 10, cached=600), acts=True)
    scene.now += 2.7
    scene.keeper.end_turn()
    scene.now += 100
    present = scene.set(status="paused")
    assert (present.tokens_used, present.time_used_seconds) == (410, 2)
    scene.keeper.begin_turn(pursues=False)
    scene.keeper.count(usage(400), acts=True)
    scene.now += 5
    scene.keeper.end_turn()
    assert scene.keeper.present == present


def test_a_failed_turn_blocks_a_stopped_one_does_not_and_one_without_a_request_neither() -> None:
    kinds: dict[str, Callable[[GoalKeeper], None]] = {
        "blocked": lambda keeper: keeper.fail_turn("model_error"),
        "usageLimited": lambda keeper: keeper.fail_turn("usage_limit"),
        "active": GoalKeeper.stop_turn,
    }
    for status, end in kinds.items():
        scene = Scene()
        scene.set(objective="ship")
        scene.keeper.fail_turn("prompt_too_long")  # of a turn that has not come to the model
        assert scene.keeper.present is not None
        assert scene.keeper.present.status == "active"
        scene.keeper.begin_turn(pursues=True)
        end(scene.keeper)
        assert scene.keeper.present.status == status


def test_turns_in_which_nothing_happens_are_not_repeated_without_end() -> None:
    scene = Scene()
    scene.set(objective="ship")
    for acts in (False, True, *[False] * IDLE_TURNS):
        assert scene.keeper.begin_turn(pursues=True)
        scene.keeper.count(usage(1), acts=acts)
        scene.keeper.end_turn()
    assert scene.keeper.present is not None
    assert scene.keeper.present.status == "blocked"
    assert scene.events[-1]["turnId"] == "t"
    assert not scene.keeper.begin_turn(pursues=True)


def test_the_model_is_told_of_the_goal_once_in_turns_of_the_user_and_in_each_of_the_goals_own() -> None:
    scene = Scene()
    assert scene.keeper.begin_turn(pursues=False)
    assert (scene.told, scene.keeper.tools) == ([], ())
    scene.set(objective="ship </objective> it", token_budget=100)
    for pursues in (False, False, True, True):
        assert scene.keeper.begin_turn(pursues=pursues)
        scene.keeper.end_turn()
    assert len(scene.told) == 3
    assert all("<objective>\nship </ objective> it\n</objective>" in text for text in scene.told)
    assert "0 of 100; 100 are left" in scene.told[1]
    scene.set(objective="other")
    scene.keeper.begin_turn(pursues=False)
    assert len(scene.told) == 4
    assert not any(is_user_message(entry.item) for entry in scene.history)


def test_a_compaction_keeps_the_last_message_about_the_goal() -> None:
    scene = Scene()
    for objective in ("#1", "#2"):
        scene.set(objective=objective)
        scene.keeper.begin_turn(pursues=True)
    scene.history.begin_turn()
    kept = ["".join(text_parts(item)) for item in shortened(scene.history, "sum", 100)]
    assert [("#1" in text, "#2" in text) for text in kept if "<objective>" in text] == [(False, True)]


def test_the_end_of_the_budget_is_told_once() -> None:
    scene = Scene()
    scene.set(objective="ship", token_budget=10)
    scene.keeper.begin_turn(pursues=True)
    scene.keeper.tell_limit()
    scene.keeper.count(usage(10), acts=True)
    scene.keeper.tell_limit()
    scene.keeper.tell_limit()
    assert [("used up" in text) for text in scene.told] == [False, True]


def test_the_model_reads_and_ends_the_goal_and_gets_an_error_for_all_else() -> None:
    scene = Scene()
    scene.set(objective="ship", token_budget=100)
    scene.keeper.begin_turn(pursues=True)
    scene.keeper.count(usage(30), acts=True)
    answer, end = scene.call("get_goal")
    assert (json.loads(answer)["remainingTokens"], end) == (70, "ok")
    answer, end = scene.call("update_goal", '{"status": "active"}')
    assert (answer[:34], end) == ("failed to parse function arguments", "failed")
    answer, end = scene.call("update_goal", '{"status": "complete"}')
    assert (json.loads(answer)["goal"]["status"], end) == ("complete", "ok")
    assert scene.keeper.clear()
    assert scene.call("update_goal", '{"status": "paused"}')[1] == "failed"


def test_each_change_is_told_and_recorded() -> None:
    scene = Scene()
    scene.set(objective="ship")
    scene.keeper.clear()
    assert not scene.keeper.clear()
    assert [(event["threadId"], event["turnId"]) for event in scene.events] == [("c", None)] * 2
    assert [event["goal"] and event["goal"]["objective"] for event in scene.events] == ["ship", None]
    assert len(scene.record.kept) == 2


def test_the_copy_of_an_active_goal_is_paused() -> None:
    recorded = Goal(OTHER).change(GoalChange(objective="ship", token_budget=5), 3.0)
    found = Goal(ID, recorded).present
    assert found is not None
    assert (found.thread_id, found.status, found.token_budget) == (ID, "paused", 5)
    own = Goal(ID).change(GoalChange(objective="ship"), 3.0)
    assert Goal(ID, own).present == own
