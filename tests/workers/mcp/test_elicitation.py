"""A question of a server is answered by the policies, by the user, or not at all, and never by chance."""

import asyncio

import msgspec
import pytest

from config.sandbox import DangerFullAccess, ReadOnly, SandboxPolicy
from protocol.arguments import ApprovalPolicy
from protocol.elicitation import Decision, Verdict
from workers.mcp.elicitation import ACCEPTED, DECLINED, Elicitation, Reply, answer_alone, decline, read_reply, yes_or_no

YES_OR_NO = Elicitation(server="docs", message="Sure?", schema={"type": "object", "properties": {}})
FORM = Elicitation(server="docs", message="Who?", schema={"type": "object", "properties": {"name": {}}})
URL = Elicitation(server="docs", message="Log in", url="https://docs.test/login", id="e1")


@pytest.mark.parametrize(
    ("policy", "sandbox", "question", "action"),
    [
        ("never", DangerFullAccess(), YES_OR_NO, "accept"),
        ("never", DangerFullAccess(), FORM, "decline"),
        ("never", DangerFullAccess(), URL, "decline"),
        ("never", ReadOnly(), YES_OR_NO, "decline"),
        ("on-request", DangerFullAccess(), YES_OR_NO, None),
        ("untrusted", ReadOnly(), FORM, None),
        ("on-failure", ReadOnly(), URL, None),
    ],
)
def test_only_under_never_is_the_user_not_asked(
    policy: ApprovalPolicy, sandbox: SandboxPolicy, question: Elicitation, action: str | None
) -> None:
    reply = answer_alone(policy, sandbox, question)
    assert (reply and reply.action) == action


def test_our_client_is_asked_what_the_server_asks() -> None:
    assert msgspec.json.decode(FORM.params) == {
        "message": "docs: Who?",
        "requestedSchema": FORM.schema,
        "codex_elicitation": "mcp-elicitation",
        "codex_mcp_server": "docs",
    }
    assert msgspec.json.decode(URL.params) == {
        "message": "docs: Log in",
        "mode": "url",
        "url": "https://docs.test/login",
        "elicitationId": "e1",
        "codex_elicitation": "mcp-elicitation",
        "codex_mcp_server": "docs",
    }


@pytest.mark.parametrize(
    ("verdict", "action"),
    [("approved", "accept"), ("approved_for_session", "accept"), ("denied", "decline"), ("abort", "cancel")],
)
def test_a_yes_or_no_takes_the_way_of_approvals(verdict: Verdict, action: str) -> None:
    asked: list[bytes] = []

    async def ask(params: bytes) -> Decision:
        asked.append(params)
        return Decision(verdict=verdict)

    assert asyncio.run(_answer(ask, YES_OR_NO)).action == action
    assert asked == [YES_OR_NO.params]
    refused = asyncio.run(_answer(ask, FORM))
    assert (refused.action, refused.reason) == ("decline", "only questions without fields can be passed on")
    assert len(asked) == 1


async def _answer(ask: object, question: Elicitation) -> Reply:
    return await yes_or_no(ask)(question)  # type: ignore[arg-type]


def test_asking_nobody_says_so() -> None:
    assert asyncio.run(_refusal()).reason == "questions of MCP servers are not passed on"


async def _refusal() -> Reply:
    return await decline(FORM)


@pytest.mark.parametrize(
    ("result", "reply"),
    [
        (b'{"action":"accept","content":{"name":"Ada"}}', Reply("accept", {"name": "Ada"})),
        (b'{"action":"accept"}', ACCEPTED),
        (b'{"action":"decline","content":{"name":"Ada"}}', DECLINED),
        (b'{"action":"cancel"}', Reply("cancel")),
        (b'{"action":"maybe"}', DECLINED),
        (b'{"decision":"approved"}', DECLINED),
        (b"[]", DECLINED),
        (b"\xff", DECLINED),
        (None, Reply("decline", reason="the client could not ask the user")),
    ],
)
def test_only_a_clear_answer_is_one(result: bytes | None, reply: Reply) -> None:
    assert read_reply(result) == reply
