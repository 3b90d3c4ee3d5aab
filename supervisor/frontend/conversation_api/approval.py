"""Approval requests as the conversation API sends them to the client.

Members are sent under their names of 2025 and under the later ones; clients ignore those that they do not know.
"""

from typing import Final

from greenroom.protocol.approval import AnyQuestion, CommandQuestion, PatchQuestion
from greenroom.protocol.choices import EventForm
from greenroom.protocol.conversation_api import EXEC_APPROVAL, PATCH_APPROVAL
from greenroom.protocol.events.file_change import baseline_changes, keyed_changes
from greenroom.protocol.ids import ConversationId
from greenroom.protocol.jsonrpc import encode

_LATER_NAMES: Final = {"conversation_id": "conversationId", "call_id": "callId"}


def approval_request(
    question: AnyQuestion, form: EventForm, conversation_id: ConversationId
) -> tuple[str, bytes] | None:
    """Return method and params for a question; `None` if it is not about a command or a patch."""
    match question:
        case CommandQuestion():
            method = EXEC_APPROVAL
            details: dict[str, object] = {
                "command": question.command,
                "cwd": question.cwd,
                "parsedCmd": question.parts,
            }
        case PatchQuestion():
            method, changes = PATCH_APPROVAL, question.changes
            baseline = baseline_changes(changes) if form == "baseline" else None
            details = {"file_changes": baseline or keyed_changes(changes), "fileChanges": baseline or changes}
        case _:
            return None
    params = {"conversation_id": conversation_id, "call_id": question.call_id, **details}
    if question.reason is not None:
        params["reason"] = question.reason
    params |= {later: params[name] for name, later in _LATER_NAMES.items()}
    return method, encode(params)
