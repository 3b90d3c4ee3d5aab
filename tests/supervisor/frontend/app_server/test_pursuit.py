"""When a turn of a goal's own begins, and when not."""

from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from greenroom.protocol.goal import ThreadGoal
from greenroom.protocol.ids import ConversationId, TurnId
from greenroom.supervisor.frontend.app_server.goals.pursuit import GoalPursuit
from tests.support.loop import on_loop, turns

ID = ConversationId("c")
GOAL = ThreadGoal(thread_id=ID, objective="ship", status="active", created_at=1, updated_at=1)


class Scene:
    """A thread of one client, idle and with an active goal."""

    def __init__(self) -> None:
        self.conversation = SimpleNamespace(running=None, queued=0, is_leaving=False, is_wanted_elsewhere=False)
        self.conversations = SimpleNamespace(find=self.find, pursues_goals=True, pursue_goal=self.pursue)
        settings = SimpleNamespace(for_worker=lambda: None)
        self.session = SimpleNamespace(
            id=ID, goal=GOAL, settings=settings, on_rest=None, client=None, begin=lambda *_: None
        )
        self.subscribed: object = self.session
        self.begun = 0
        sessions = SimpleNamespace(find=lambda _: self.subscribed)
        self.pursuit = GoalPursuit(cast("Any", self.conversations), cast("Any", sessions), cast("Any", None))

    def find(self, _: str) -> object:
        return self.conversation

    def pursue(self, conversation: Any, *_: object) -> object:
        self.begun += 1
        conversation.running = object()
        return SimpleNamespace(id=TurnId("t"))


NOT = {
    "a goal that is paused": lambda now: setattr(now.session, "goal", msgspec.structs.replace(GOAL, status="paused")),
    "no goal": lambda now: setattr(now.session, "goal", None),
    "a turn that runs": lambda now: setattr(now.conversation, "running", object()),
    "a turn that waits": lambda now: setattr(now.conversation, "queued", 1),
    "a process that is to leave": lambda now: setattr(now.conversation, "is_leaving", True),
    "another host that wants it": lambda now: setattr(now.conversation, "is_wanted_elsewhere", True),
    "a client that is told no more": lambda now: setattr(now, "subscribed", None),
    "a host that is to end": lambda now: setattr(now.conversations, "pursues_goals", False),
}


@on_loop
async def test_an_idle_thread_goes_on_at_once_and_after_each_turn_that_is_complete() -> None:
    now = Scene()
    now.pursuit.follow(cast("Any", now.session))
    assert now.begun == 0, "once the end of a turn was dealt with"
    await turns()
    assert now.begun == 1
    now.conversation.running = None
    cast("Any", now.session.on_rest)()
    await turns()
    assert now.begun == 2


@pytest.mark.parametrize("reason", NOT)
def test_a_turn_does_not_begin_with(reason: str) -> None:
    @on_loop
    async def body() -> None:
        now = Scene()
        NOT[reason](now)
        now.pursuit.follow(cast("Any", now.session))
        await turns()
        assert now.begun == 0

    body()
