"""Renders the questions of workers as requests of this protocol, and reads the answers. Free of I/O."""

from collections.abc import Mapping
from typing import Final

import msgspec

from greenroom.protocol.app_server import questions as wire
from greenroom.protocol.approval import (
    CommandQuestion,
    Decision,
    FormQuestion,
    PatchQuestion,
    Question,
    ReviewDecision,
    ToolQuestion,
    UrlQuestion,
)
from greenroom.protocol.ids import ConversationId, TurnId
from greenroom.protocol.items import JsonObject
from greenroom.protocol.mcp.elicitation import read_decision
from greenroom.protocol.question_text import form_of, tool_meta
from greenroom.supervisor.frontend.app_server.forms.item_form import actions_of

_VERDICTS: Final[Mapping[str, ReviewDecision]] = {
    "accept": "approved",
    "acceptForSession": "approved_for_session",
    "decline": "denied",
    "cancel": "abort",
}
_NO_FIELDS: Final[JsonObject] = {"type": "object", "properties": {}}
"""The form of a question that is answered by yes or no."""
OWN_SERVER: Final = "greenroom"
"""The server that a question names for whose kind the protocol has no request."""
NO_ANSWER: Final = Decision(verdict="denied", reason="the client has no valid answer to the question")


def question_request(question: Question, thread_id: ConversationId, turn_id: TurnId, at_ms: int) -> wire.AnyQuestion:
    """Return the request by which a client is asked."""
    match question:
        case CommandQuestion():
            return wire.CommandApproval(
                thread_id=thread_id,
                turn_id=turn_id,
                item_id=question.call_id,
                started_at_ms=at_ms,
                reason=question.reason,
                command=question.shell_text,
                cwd=question.cwd,
                command_actions=actions_of(msgspec.to_builtins(question.parts), question.shell_text),
                proposed_execpolicy_amendment=question.proposed_rule,
            )
        case PatchQuestion():
            return wire.FileChangeApproval(
                thread_id=thread_id,
                turn_id=turn_id,
                item_id=question.call_id,
                started_at_ms=at_ms,
                reason=question.reason,
            )
        case UrlQuestion():
            return wire.ServerElicitation(
                thread_id=thread_id,
                turn_id=turn_id,
                server_name=question.server,
                message=question.words(),
                mode="url",
                url=question.url,
                elicitation_id=question.elicitation_id or "",
            )
        case FormQuestion():
            server, form, meta = question.server, form_of(question.form), None
        case ToolQuestion():
            server, form, meta = question.server, _NO_FIELDS, tool_meta(question)
        case _:
            server, form, meta = OWN_SERVER, _NO_FIELDS, None
    return wire.ServerElicitation(
        thread_id=thread_id,
        turn_id=turn_id,
        server_name=server,
        message=question.words(),
        mode="form",
        requested_schema=form,
        meta=meta,
    )


def decision_of(question: wire.AnyQuestion, answer: bytes | None) -> Decision:
    """Return what a client has decided; whatever is no valid answer is a no. `answer` is `None` for an error."""
    if answer is None:
        return NO_ANSWER
    if isinstance(question, wire.ServerElicitation):
        return read_decision(answer)
    try:
        decision = msgspec.json.decode(answer, type=wire.ApprovalAnswer).decision
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return NO_ANSWER
    if isinstance(decision, dict):
        return _of_amendment(decision)
    verdict = _VERDICTS.get(decision)
    return NO_ANSWER if verdict is None else Decision(verdict=verdict)


class _Amendment(msgspec.Struct, frozen=True):
    execpolicy_amendment: tuple[str, ...]


def _of_amendment(decision: Mapping[str, object]) -> Decision:
    """Return the decision with a rule for the future; there is one kind of them."""
    try:
        given = msgspec.convert(decision.get("acceptWithExecpolicyAmendment"), _Amendment)
    except msgspec.ValidationError:
        return NO_ANSWER
    return Decision(verdict="approved", rule=given.execpolicy_amendment)
