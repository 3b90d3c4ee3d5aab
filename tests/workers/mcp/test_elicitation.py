"""A question of a server is answered by the policies, by the user, or not at all, and never by chance."""

import asyncio

import pytest

from greenroom.config.tables.sandbox import ConfinementPolicy, DangerFullAccessPolicy, ReadOnlyPolicy
from greenroom.protocol.approval import AnyQuestion, Decision, FormQuestion, UrlQuestion
from greenroom.protocol.ids import TurnId
from greenroom.protocol.items import JsonObject
from greenroom.protocol.mcp.elicitation import read_decision
from greenroom.protocol.policy import ApprovalPolicy
from greenroom.workers.mcp.elicitation import (
    ACCEPTED,
    ElicitationQuestion,
    ElicitationReply,
    answer_alone,
    decline,
    pass_on,
)
from greenroom.workers.mcp.questions import ServerQuestions
from tests.support.events import members

YES_OR_NO = FormQuestion(server="docs", message="Sure?", form={"type": "object", "properties": {}})
FORM = FormQuestion(server="docs", message="Who?", form={"type": "object", "properties": {"name": {}}})
URL = UrlQuestion(server="docs", message="Log in", url="https://docs.test/login", elicitation_id="e1")


@pytest.mark.parametrize(
    ("policy", "sandbox", "question", "action"),
    [
        ("never", DangerFullAccessPolicy(), YES_OR_NO, "accept"),
        ("never", DangerFullAccessPolicy(), FORM, "decline"),
        ("never", DangerFullAccessPolicy(), URL, "decline"),
        ("never", ReadOnlyPolicy(), YES_OR_NO, "decline"),
        ("on-request", DangerFullAccessPolicy(), YES_OR_NO, None),
        ("untrusted", ReadOnlyPolicy(), FORM, None),
        ("on-failure", ReadOnlyPolicy(), URL, None),
    ],
)
def test_only_under_never_is_the_user_not_asked(
    policy: ApprovalPolicy, sandbox: ConfinementPolicy, question: ElicitationQuestion, action: str | None
) -> None:
    reply = answer_alone(policy, sandbox, question)
    assert (reply and reply.action) == action


class Desk:
    """A user who gives the same answer to every question, with a record of the questions and messages."""

    def __init__(self, decision: Decision) -> None:
        self._decision = decision
        self.asked: list[AnyQuestion] = []
        self.events: list[JsonObject] = []
        self.questions = ServerQuestions(
            self._ask, lambda told: self.events.append(members(told)), lambda: TurnId("t1")
        )

    async def _ask(self, question: AnyQuestion) -> Decision:
        self.asked.append(question)
        return self._decision


def answered(result: bytes | None, question: ElicitationQuestion = FORM) -> ElicitationReply:
    desk = Desk(read_decision(result))

    async def elicit() -> ElicitationReply:
        return await pass_on(desk.questions)(question)

    reply = asyncio.run(elicit())
    assert desk.asked == [question]
    return reply


def test_a_question_is_told_as_an_event_too() -> None:
    desk = Desk(Decision(verdict="denied"))

    async def elicit() -> None:
        put = pass_on(desk.questions)
        await put(FORM)
        await put(URL)
        await put(FORM)

    asyncio.run(elicit())
    first, address, second = desk.events
    assert first == {
        "type": "elicitation_request",
        "turn_id": "t1",
        "server_name": "docs",
        "id": "mcp_elicitation_0",
        "request": {"mode": "form", "message": "docs: Who?", "requested_schema": FORM.form},
    }
    assert address["id"] == "e1"
    assert address["request"] == {
        "mode": "url",
        "message": "docs: Log in",
        "url": "https://docs.test/login",
        "elicitation_id": "e1",
    }
    assert second["id"] == "mcp_elicitation_1"


def test_asking_nobody_says_so() -> None:
    assert asyncio.run(_refusal()).reason == "questions of MCP servers are not passed on"


async def _refusal() -> ElicitationReply:
    return await decline(FORM)


@pytest.mark.parametrize(
    ("result", "reply"),
    [
        (
            b'{"action":"accept","content":{"name":"Ada","tags":["a"]}}',
            ElicitationReply("accept", {"name": "Ada", "tags": ["a"]}),
        ),
        (b'{"action":"accept","content":{"decision":"abort"}}', ElicitationReply("accept", {"decision": "abort"})),
        (b'{"action":"accept"}', ACCEPTED),
        (
            b'{"action":"accept","content":{"name":{"first":"Ada"}}}',
            ElicitationReply("decline", reason="the client's answer is no filled-in form"),
        ),
        (b'{"action":"decline","content":{"name":"Ada"}}', ElicitationReply("decline")),
        (b'{"action":"cancel"}', ElicitationReply("cancel")),
        (b'{"action":"maybe"}', ElicitationReply("decline")),
        (b'{"decision":"approved"}', ElicitationReply("decline")),
        (b'{"decision":"abort"}', ElicitationReply("cancel")),
        (b"[]", ElicitationReply("decline")),
        (b"\xff", ElicitationReply("decline")),
        (None, ElicitationReply("decline", reason="the client could not ask the user")),
    ],
)
def test_only_a_standard_answer_fills_in_a_form(result: bytes | None, reply: ElicitationReply) -> None:
    assert answered(result) == reply


@pytest.mark.parametrize(
    ("result", "action"),
    [
        (b'{"decision":"approved"}', "accept"),
        (b'{"decision":"approved_for_session"}', "accept"),
        (b'{"action":"accept","content":{}}', "accept"),
        (b'{"decision":"denied"}', "decline"),
        (b'{"decision":"abort"}', "cancel"),
    ],
)
def test_a_question_without_fields_takes_the_answers_of_approvals_too(result: bytes, action: str) -> None:
    assert answered(result, YES_OR_NO).action == action


def test_going_to_an_address_brings_back_no_content() -> None:
    assert answered(b'{"action":"accept","content":{"a":"b"}}', URL) == ElicitationReply("accept")
