"""Two clients on one thread: both are told everything, and each is answered for what it has asked alone."""

import asyncio
import json
from typing import Any

import msgspec

from greenroom.protocol.approval import AnyQuestion, CommandQuestion, encode_question
from greenroom.protocol.ids import TurnId
from greenroom.protocol.internal.worker.notices import AskUser, NoticeOrder, Opened, ReceivedNotice
from greenroom.protocol.internal.worker.operations import Decide, Interrupt, Open, StartTurn
from greenroom.protocol.jsonrpc import Request, Response
from greenroom.supervisor.conversations.state.conversation import Conversation
from greenroom.supervisor.frontend.app_server.channel import AppServerChannel
from greenroom.supervisor.frontend.app_server.questions import Questions
from greenroom.supervisor.frontend.app_server.thread_sessions import ThreadSessions
from greenroom.supervisor.frontend.app_server.turn_methods import TurnMethods
from greenroom.supervisor.frontend.request_queue import RequestQueue
from tests.support.loop import on_loop, until
from tests.support.workplace import WORKER, Workplace

CONFIGURED = {
    "type": "session_configured",
    "session_id": "s",
    "thread_id": "s",
    "model": "m",
    "model_provider_id": "p",
    "approval_policy": "untrusted",
    "approvals_reviewer": "user",
    "sandbox_policy": {"type": "read-only"},
    "cwd": "/",
    "history_log_id": 0,
    "history_entry_count": 0,
    "rollout_path": "/nowhere",
}

LIST = CommandQuestion(call_id="c", command=["ls"], shell_text="ls", cwd="/", parts=[])


class AppClient:
    """One client, whose lines stay here."""

    def __init__(self, place: Workplace) -> None:
        self._lines: list[bytes] = []
        self.channel = AppServerChannel(self._lines.append, str)
        self._questions = Questions(self.channel, 60)
        self.sessions = ThreadSessions(place.conversations, self.channel)
        turns = TurnMethods(place.conversations, self.sessions, self._questions)
        self._handlers = RequestQueue(self.channel, waits_for_reader=False).handlers(turns.methods)

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._lines]

    def methods(self) -> list[str]:
        return [message["method"] for message in self.messages if "method" in message]

    async def ask(self, request_id: str, method: str, **params: object) -> dict[str, Any]:
        """Send a request and return its answer."""
        line = json.dumps({"id": request_id, "method": method, "params": params}).encode() + b"\n"
        (request,) = self.channel.peer.receive(line)
        assert isinstance(request, Request)
        self._handlers[method](request)
        await until(lambda: self._answers(request_id))
        return self._answers(request_id)[0]

    def decide(self, question: dict[str, Any], decision: str) -> None:
        """Decide a question of the server for consent."""
        self.respond(question, {"decision": decision})

    def respond(self, question: dict[str, Any], result: dict[str, Any]) -> None:
        """Answer a question of the server."""
        line = json.dumps({"id": question["id"], "result": result}).encode() + b"\n"
        (response,) = self.channel.peer.receive(line)
        assert isinstance(response, Response)
        assert self._questions.answer(response)

    def _answers(self, request_id: str) -> list[dict[str, Any]]:
        return [message for message in self.messages if message.get("id") == request_id and "method" not in message]


class Scene:
    """A thread that two clients listen to."""

    def __init__(self) -> None:
        self.place = Workplace()
        self.one, self.other = AppClient(self.place), AppClient(self.place)
        self.conversation: Conversation = self.place.conversations.open(b"{}")

    async def begin(self) -> None:
        """Open the conversation for the first client; the second finds it open."""
        opening = asyncio.ensure_future(self.one.sessions.open(self.conversation))
        await until(lambda: any(isinstance(sent, Open) for sent in self.place.sent))
        address = {"conversation_id": self.conversation.id, "incarnation": self.conversation.incarnation}
        opened = msgspec.convert({**address, "model": "m", "cwd": "/", "session_path": "/nowhere"}, Opened)
        notice = ReceivedNotice(opened, msgspec.json.encode(CONFIGURED), NoticeOrder(0, 1))
        self.place.conversations.notices.receive(WORKER, notice)
        (await opening).release()
        (await self.other.sessions.open(self.conversation)).release()

    async def turn(self) -> TurnId:
        """Let the first client begin a turn, and the worker tell of its beginning."""
        answer = await self.one.ask("t", "turn/start", threadId=self.conversation.id, input=[])
        turn = TurnId(answer["result"]["turn"]["id"])
        self.tell(turn, type="task_started", started_at=1, model_context_window=None, collaboration_mode_kind="default")
        return turn

    def tell(self, turn: TurnId, **event: object) -> None:
        """Let the worker tell an event."""
        self.place.conversations.notices.receive_events(WORKER, turn, msgspec.json.encode({**event, "turn_id": turn}))

    def ask_user(self, turn: TurnId, question: AnyQuestion = LIST, number: int = 1) -> None:
        """Let the worker ask something, for consent to a command unless it is told otherwise."""
        address = {"conversation_id": self.conversation.id, "incarnation": self.conversation.incarnation}
        asked = msgspec.convert({**address, "turn_id": turn, "question_id": number, "form": "current"}, AskUser)
        received = ReceivedNotice(asked, encode_question(question), NoticeOrder(0, 2))
        self.place.conversations.notices.receive(WORKER, received)

    def end(self, turn: TurnId) -> None:
        """Let the worker end the turn."""
        times = {"started_at": 1, "completed_at": 2, "duration_ms": 1000}
        self.tell(turn, type="task_complete", last_agent_message=None, **times)
        self.place.end(turn)


@on_loop
async def test_both_are_told_of_a_turn_that_one_has_begun() -> None:
    scene = Scene()
    await scene.begin()
    turn = await scene.turn()
    scene.end(turn)
    expected = ["thread/status/changed", "turn/started", "thread/status/changed", "turn/completed"]
    assert scene.one.methods() == scene.other.methods() == expected
    assert scene.other.messages[-1]["params"]["turn"]["id"] == turn


@on_loop
async def test_the_one_that_has_begun_a_turn_is_asked() -> None:
    scene = Scene()
    await scene.begin()
    turn = await scene.turn()
    scene.ask_user(turn)
    question = scene.one.messages[-2]
    assert question["method"] == "item/commandExecution/requestApproval"
    assert "item/commandExecution/requestApproval" not in scene.other.methods()
    scene.one.decide(question, "accept")
    decided = scene.place.sent[-1]
    assert isinstance(decided, Decide)
    assert decided.decision.verdict == "approved"


@on_loop
async def test_either_may_interrupt_the_turn() -> None:
    scene = Scene()
    await scene.begin()
    turn = await scene.turn()
    answer = await scene.other.ask("i", "turn/interrupt", threadId=scene.conversation.id, turnId=turn)
    assert answer["result"] == {}
    assert isinstance(scene.place.sent[-1], Interrupt)


@on_loop
async def test_the_turn_of_a_client_that_leaves_ends_and_the_other_goes_on() -> None:
    scene = Scene()
    await scene.begin()
    turn = await scene.turn()
    scene.place.conversations.leave(scene.one.channel, "it has left")
    assert isinstance(scene.place.sent[-1], Interrupt)
    scene.tell(turn, type="turn_aborted", reason="interrupted", started_at=1, completed_at=2, duration_ms=1000)
    scene.place.end(turn)
    assert scene.other.messages[-1]["params"]["turn"]["status"] == "interrupted"
    assert "turn/completed" not in scene.one.methods()
    answer = await scene.other.ask("n", "turn/start", threadId=scene.conversation.id, input=[])
    assert answer["result"]["turn"]["status"] == "inProgress"
    assert isinstance(scene.place.sent[-1], StartTurn)


@on_loop
async def test_both_are_told_that_the_process_has_died() -> None:
    scene = Scene()
    await scene.begin()
    await scene.turn()
    scene.place.die()
    for client in (scene.one, scene.other):
        turn = client.messages[-1]["params"]["turn"]
        assert (turn["status"], "died" in turn["error"]["message"]) == ("failed", True)
