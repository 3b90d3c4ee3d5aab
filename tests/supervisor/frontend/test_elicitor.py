"""Every question to the client's user has one end: an answer, its deadline or a withdrawal."""

import asyncio
import json
import weakref
from collections.abc import Callable
from typing import Any, cast

import pytest

from greenroom.protocol.approval import DENIED, Decision, FormQuestion
from greenroom.protocol.choices import EventMode
from greenroom.protocol.failure import Failure
from greenroom.protocol.ids import ConversationId, TurnId
from greenroom.protocol.jsonrpc import Request, Response
from greenroom.protocol.mcp.handshake import ProgressToken
from greenroom.supervisor.conversations.registry import Conversations
from greenroom.supervisor.conversations.state.turn import ConversationTurn
from greenroom.supervisor.frontend.client_channel import ClientChannel
from greenroom.supervisor.frontend.elicitor import CANNOT_ASK, Elicitation, Elicitor, too_late
from greenroom.supervisor.frontend.mcp.calls.handshake_call import ToolCall

YES = Decision(verdict="approved")
QUESTION = FormQuestion(server="s", message="?", form={})
APPROVED = b'{"decision":"approved"}'
COULD_NOT = Decision(verdict="denied", reason="the client could not ask the user")
TINY = 0.001
LONG = 600.0


class Connection:
    """An elicitor, what it wrote, and the decisions that it told. To be made on a running loop."""

    def __init__(self, timeout_s: float = LONG, *, can_ask: bool = True) -> None:
        channel = ClientChannel(self.write)
        self.peer = channel.peer
        self.written: list[Any] = []
        self.can_ask = can_ask
        self.elicitor = Elicitor(channel, lambda mode: self.can_ask and mode == "form", timeout_s)
        self.decisions: list[tuple[str, Decision]] = []
        self.decided = asyncio.Event()

    def write(self, line: bytes) -> None:
        assert line.endswith(b"\n")
        self.written.append(json.loads(line))

    def ask(self, name: str = "it", params: bytes = b'{"message":"?"}') -> Elicitation | None:
        return self.elicitor.ask(params, lambda decision: self.take(name, decision))

    def asked(self, name: str = "it") -> Elicitation:
        question = self.ask(name)
        assert question is not None
        return question

    def take(self, name: str, decision: Decision) -> None:
        self.decisions.append((name, decision))
        self.decided.set()

    def answer(self, question_id: int | str, result: bytes | None = APPROVED, error: bytes | None = None) -> bool:
        return self.elicitor.answer(Response(question_id, result, error))

    @property
    def cancelled(self) -> list[Any]:
        return [line["params"] for line in self.written if line.get("method") == "notifications/cancelled"]


def on_loop(scene: Callable[[], None]) -> None:
    """Play a scene in which nothing is waited for."""

    async def run() -> None:
        scene()

    asyncio.run(run())


def test_a_question_is_a_request_with_an_id_of_its_own() -> None:
    def scene() -> None:
        connection = Connection()
        connection.asked()
        connection.asked()
        assert connection.written == [
            {"jsonrpc": "2.0", "id": number, "method": "elicitation/create", "params": {"message": "?"}}
            for number in (0, 1)
        ]
        assert connection.elicitor.open_questions == 2

    on_loop(scene)


@pytest.mark.parametrize(
    ("result", "error", "decision"),
    [
        (APPROVED, None, YES),
        (b'{"action":"accept","content":{}}', None, YES),
        (b'{"action":"decline"}', None, DENIED),
        (b'{"action":"cancel"}', None, DENIED),
        (b'{"decision":"abort"}', None, Decision(verdict="abort")),
        (b"null", None, DENIED),
        (b"{", None, DENIED),
        (
            None,
            b'{"code":-32601,"message":"?"}',
            Decision(verdict="denied", reason="the client could not ask the user"),
        ),
    ],
)
def test_an_answer_ends_the_question(result: bytes | None, error: bytes | None, decision: Decision) -> None:
    def scene() -> None:
        connection = Connection()
        question = connection.asked()
        assert connection.answer(question.id, result, error)
        ((_, told),) = connection.decisions
        assert (told.verdict, told.reason) == (decision.verdict, decision.reason)
        assert connection.elicitor.open_questions == 0

    on_loop(scene)


def test_answers_find_their_questions_in_any_order() -> None:
    def scene() -> None:
        connection = Connection()
        ids = {name: connection.asked(name).id for name in ("a", "b", "c")}
        for name in ("c", "a", "b"):
            assert connection.answer(ids[name])
        assert connection.decisions == [("c", YES), ("a", YES), ("b", YES)]

    on_loop(scene)


@pytest.mark.parametrize("wrong", [7, "0", "", -1])
def test_an_answer_to_nothing_is_not_ours(wrong: int | str) -> None:
    def scene() -> None:
        connection = Connection()
        connection.asked()
        assert not connection.answer(wrong)
        assert connection.decisions == []
        assert connection.elicitor.open_questions == 1

    on_loop(scene)


def test_the_first_answer_counts() -> None:
    def scene() -> None:
        connection = Connection()
        question = connection.asked()
        assert connection.answer(question.id, b'{"decision":"denied"}')
        assert not connection.answer(question.id)
        question.withdraw("too late for that")
        assert connection.decisions == [("it", DENIED)]
        assert connection.cancelled == []

    on_loop(scene)


def test_a_question_that_is_withdrawn_is_cancelled_and_decided_by_nobody() -> None:
    def scene() -> None:
        connection = Connection()
        question = connection.asked()
        for _ in range(2):
            question.withdraw("the call has ended")
        assert connection.cancelled == [{"requestId": question.id, "reason": "the call has ended"}]
        assert not connection.answer(question.id), "a late answer is ignored"
        assert connection.decisions == []
        assert connection.elicitor.open_questions == 0

    on_loop(scene)


def test_a_deadline_ends_the_question_with_a_no() -> None:
    async def scene() -> None:
        connection = Connection(TINY)
        question = connection.asked()
        await connection.decided.wait()
        assert connection.decisions == [("it", too_late(connection.elicitor.timeout))]
        assert connection.cancelled == [{"requestId": question.id, "reason": "no answer in time"}]
        assert not connection.answer(question.id)
        assert connection.elicitor.open_questions == 0

    asyncio.run(scene())


@pytest.mark.parametrize("end", ["answer", "withdraw"])
def test_a_question_that_has_ended_has_no_deadline(end: str) -> None:
    async def scene() -> None:
        connection = Connection(TINY)
        question = connection.asked("first")
        if end == "answer":
            connection.answer(question.id)
        else:
            question.withdraw("over")
        connection.decided.clear()
        connection.asked("later")
        await connection.decided.wait()  # the deadline of the first one would have come before
        assert [
            name for name, decision in connection.decisions if decision == too_late(connection.elicitor.timeout)
        ] == ["later"]

    asyncio.run(scene())


def test_each_question_has_the_whole_timeout() -> None:
    async def scene() -> None:
        connection = Connection(TINY)
        for name in ("a", "b", "c"):
            connection.decided.clear()
            connection.asked(name)
            await connection.decided.wait()
        assert connection.decisions == [(name, too_late(connection.elicitor.timeout)) for name in ("a", "b", "c")]

    asyncio.run(scene())


def test_a_client_that_cannot_ask_is_sent_nothing() -> None:
    def scene() -> None:
        connection = Connection(can_ask=False)
        assert connection.ask() is None
        assert (connection.written, connection.decisions) == ([], [])
        assert connection.elicitor.open_questions == 0

    on_loop(scene)


def test_an_address_is_only_sent_to_a_client_that_takes_them() -> None:
    def scene() -> None:
        connection = Connection()
        assert connection.ask(params=b'{"message":"?","mode":"url","url":"https://docs.test"}') is None
        assert connection.written == []

    on_loop(scene)


# The call on whose behalf it is asked

REQUEST = Request(7, b"7", "tools/call", None)


class OpenCall:
    """A tool call whose turn asks, and the decisions that reach the turn."""

    def __init__(
        self, *, can_ask: bool = True, events: EventMode = "full", progress_token: ProgressToken = None
    ) -> None:
        self.connection = connection = Connection(can_ask=can_ask)
        self.decisions: list[tuple[object, int, Decision]] = []
        list(connection.peer.receive(b'{"jsonrpc":"2.0","id":7,"method":"tools/call"}\n'))
        self.call = ToolCall(
            REQUEST,
            ConversationId("0199"),
            "7",
            cast("Conversations", self),
            connection.elicitor,
            lambda request: None,
            event_mode=events,
            progress_token=progress_token,
            unknown_text="",
        )
        self.turn = ConversationTurn(TurnId("turn_1"), ConversationId("0199"), b"[]", self.call)
        self.call.turn = self.turn

    def worktree_of(self, conversation_id: ConversationId) -> None:
        """It has none."""

    @property
    def questions(self) -> "OpenCall":
        """The questions of the turn."""
        return self

    def decide(self, turn: ConversationTurn, question_id: int, decision: Decision) -> None:
        self.decisions.append((turn, question_id, decision))

    def on_decided_elsewhere(
        self, turn: ConversationTurn, question_id: int, withdraw: Callable[[Decision], None]
    ) -> None:
        """Nothing is decided elsewhere."""

    @property
    def written(self) -> list[Any]:
        return self.connection.written


def test_a_question_of_a_call_names_call_and_conversation() -> None:
    def scene() -> None:
        open_call = OpenCall()
        open_call.call.asks(5, QUESTION, "current")
        (asked,) = open_call.written
        named = {"codex_mcp_tool_call_id": "7", "codex_event_id": "7", "threadId": "0199"}
        assert named.items() <= asked["params"].items()
        open_call.connection.answer(asked["id"])
        assert open_call.decisions == [(open_call.turn, 5, YES)]

    on_loop(scene)


def test_where_the_client_cannot_ask_the_answer_is_no_at_once_and_a_watcher_learns_why() -> None:
    def scene() -> None:
        open_call = OpenCall(can_ask=False)
        open_call.call.asks(5, QUESTION, "current")
        assert open_call.decisions == [(open_call.turn, 5, CANNOT_ASK)]
        (event,) = open_call.written
        assert event["method"] == "codex/event"
        assert event["params"]["msg"]["type"] == "background_event"
        assert "cannot ask" in event["params"]["msg"]["message"]

    on_loop(scene)


def test_a_call_without_events_is_decided_without_a_word() -> None:
    def scene() -> None:
        open_call = OpenCall(can_ask=False, events="off")
        open_call.call.asks(5, QUESTION, "current")
        assert open_call.decisions == [(open_call.turn, 5, CANNOT_ASK)]
        assert open_call.written == []

    on_loop(scene)


def test_an_answered_call_waits_for_no_collector() -> None:
    """Calls would else lie about by the hundred, each with its prompt."""

    def scene() -> None:
        open_call = OpenCall(progress_token=1)
        open_call.call.asks(5, QUESTION, "current")
        open_call.call.succeeded(b'"done"')
        call = weakref.ref(open_call.call)
        del open_call.call, open_call.turn
        assert call() is None

    on_loop(scene)


def test_the_end_of_a_call_withdraws_its_question_before_the_answer() -> None:
    def scene() -> None:
        open_call = OpenCall()
        open_call.call.asks(0, QUESTION, "current")
        open_call.call.asks(1, QUESTION, "current")
        open_call.connection.answer(0)
        open_call.call.failed(Failure("turn_aborted", "Turn aborted: interrupted"))
        *_, withdrawn, answer = open_call.written
        assert withdrawn["method"] == "notifications/cancelled"
        assert withdrawn["params"] == {"requestId": 1, "reason": "the call has ended"}
        assert answer["id"] == 7
        assert len(open_call.connection.cancelled) == 1
        assert [(number, decision) for _, number, decision in open_call.decisions] == [(0, YES)]

    on_loop(scene)
