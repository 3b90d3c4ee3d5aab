"""Questions to the user as params of MCP's `elicitation/create`, with the extra members for clients of Codex."""

from typing import Final

from greenroom.protocol.approval import (
    CommandQuestion,
    FormQuestion,
    PatchQuestion,
    Question,
    ToolQuestion,
    UrlQuestion,
)
from greenroom.protocol.choices import EventForm
from greenroom.protocol.events.file_change import baseline_changes
from greenroom.protocol.ids import ConversationId
from greenroom.protocol.items import JsonObject
from greenroom.protocol.jsonrpc import encode
from greenroom.protocol.question_text import form_of, tool_meta

_NO_FIELDS: Final[JsonObject] = {"type": "object", "properties": {}}
"""The form of a question whose answer is yes or no."""


def request_params(
    question: Question, form: EventForm, call_request_id: int | str, event_id: str, conversation_id: ConversationId
) -> bytes:
    """Return the params of the request, as JSON. `form` is that of the changes of a patch."""
    params = {
        "message": question.words(),
        **_details(question, form),
        "codex_mcp_tool_call_id": str(call_request_id),
        "codex_event_id": event_id,
        "threadId": conversation_id,
    }
    return encode(params)


def _details(question: Question, form: EventForm) -> JsonObject:
    match question:
        case CommandQuestion():
            return {
                "requestedSchema": _NO_FIELDS,
                "codex_elicitation": "exec-approval",
                "codex_call_id": question.call_id,
                "codex_command": question.command,
                "codex_cwd": question.cwd,
                "codex_parsed_cmd": question.parts,
            }
        case PatchQuestion():
            reason = {} if question.reason is None else {"codex_reason": question.reason}
            changes = baseline_changes(question.changes) if form == "baseline" else question.changes
            return {
                "requestedSchema": _NO_FIELDS,
                "codex_elicitation": "patch-approval",
                "codex_call_id": question.call_id,
                "codex_changes": changes,
                **reason,
            }
        case ToolQuestion():
            return {
                "requestedSchema": _NO_FIELDS,
                "_meta": tool_meta(question),
                "codex_elicitation": "mcp-tool-approval",
                "codex_call_id": question.call_id,
                "codex_mcp_server": question.server,
                "codex_mcp_tool": question.tool,
            }
        case FormQuestion():
            asked: JsonObject = {"requestedSchema": form_of(question.form)}
        case UrlQuestion():
            asked = {"mode": "url", "url": question.url, "elicitationId": question.elicitation_id}
        case _:
            return {"requestedSchema": _NO_FIELDS, "codex_elicitation": f"{question.kind}-approval"}
    return {**asked, "codex_elicitation": "mcp-elicitation", "codex_mcp_server": question.server}
