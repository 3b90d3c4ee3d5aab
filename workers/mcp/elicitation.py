"""Questions of a server to the user."""

import itertools
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import msgspec

from greenroom.config.tables.sandbox import ConfinementPolicy
from greenroom.protocol.approval import Decision, ElicitationAction, FormQuestion, UrlQuestion
from greenroom.protocol.items import JsonObject
from greenroom.protocol.policy import ApprovalPolicy
from greenroom.workers.mcp.questions import ServerQuestions

ElicitationQuestion: TypeAlias = FormQuestion | UrlQuestion


def wants_no_answers(question: ElicitationQuestion) -> bool:
    """Tell whether it is a form without fields, which only asks for yes or no."""
    return isinstance(question, FormQuestion) and not question.form.get("properties")


class ElicitationReply(msgspec.Struct, frozen=True):
    """The answer for the server."""

    action: ElicitationAction
    content: JsonObject | None = None
    """The content of the form."""
    reason: str | None = None
    """Why the user was not asked; this is shown to the user, not to the server."""


ACCEPTED: Final = ElicitationReply("accept", {})

Elicit: TypeAlias = Callable[[ElicitationQuestion], Awaitable[ElicitationReply]]


def answer_alone(
    policy: ApprovalPolicy, sandbox: ConfinementPolicy, question: ElicitationQuestion
) -> ElicitationReply | None:
    """Return the answer that the policies determine, `None` if the user decides."""
    if policy != "never":
        return None
    if sandbox.type == "danger-full-access" and wants_no_answers(question):
        return ACCEPTED
    return ElicitationReply("decline", reason="the approval policy is never")


async def decline(_question: ElicitationQuestion) -> ElicitationReply:
    """Ask nothing, and decline."""
    return ElicitationReply("decline", reason="questions of MCP servers are not passed on")


def pass_on(questions: ServerQuestions) -> Elicit:
    """Return an `Elicit` that asks the user."""
    numbers = itertools.count()

    async def elicit(question: ElicitationQuestion) -> ElicitationReply:
        own_id = question.elicitation_id if isinstance(question, UrlQuestion) else None
        decision = await questions.put(own_id or f"mcp_elicitation_{next(numbers)}", question)
        return read_elicitation_reply(decision, question)

    return elicit


def read_elicitation_reply(decision: Decision, question: ElicitationQuestion) -> ElicitationReply:
    """Convert the user's answer for a server. The reference's own form of an answer means yes, without content."""
    if decision.action == "accept":
        return (
            _filled_in(decision.content or b"{}") if isinstance(question, FormQuestion) else ElicitationReply("accept")
        )
    if decision.action is not None:
        return ElicitationReply(decision.action)
    if wants_no_answers(question) and decision.verdict.startswith("approved"):
        return ACCEPTED
    return ElicitationReply("cancel" if decision.verdict == "abort" else "decline", reason=decision.reason)


def _filled_in(content: bytes) -> ElicitationReply:
    try:
        return ElicitationReply("accept", dict(_decode_content(content)))
    except msgspec.ValidationError:
        return ElicitationReply("decline", reason="the client's answer is no filled-in form")


_Field: TypeAlias = str | int | float | bool | list[str] | None
_decode_content: Final = msgspec.json.Decoder(dict[str, _Field]).decode
