"""Approval requests as the conversation API sends them to the client.

Members are sent under their names of 2025 and under the later ones; clients ignore those that they do not know.
"""

from typing import Final

import msgspec

from greenroom.protocol.conversation_api import EXEC_APPROVAL, PATCH_APPROVAL
from greenroom.protocol.ids import ConversationId

_LATER_NAMES: Final = {
    "conversation_id": "conversationId",
    "call_id": "callId",
    "grant_root": "grantRoot",
}


def client_request(question: bytes, conversation_id: ConversationId, asked: bytes) -> tuple[str, bytes] | None:
    """Return method and params for a worker's question; `None` where it is no question of the agent.

    `asked` is the event that has announced a command, which contains the reason.
    """
    given = msgspec.json.decode(question, type=dict[str, object])
    params: dict[str, object] = {"conversation_id": conversation_id, "call_id": given.get("codex_call_id")}
    match given.get("codex_elicitation"):
        case "exec-approval":
            method, reason = EXEC_APPROVAL, _reason(asked, given.get("codex_call_id"))
            params |= {"command": given["codex_command"], "cwd": given["codex_cwd"]}
            params["parsedCmd"] = given["codex_parsed_cmd"]
        case "patch-approval":
            method, reason = PATCH_APPROVAL, given.get("codex_reason")
            params["file_changes"] = _keyed(given["codex_changes"])
            params["fileChanges"] = given["codex_changes"]
            if "codex_grant_root" in given:
                params["grant_root"] = given["codex_grant_root"]
        case _:
            return None
    if reason is not None:
        params["reason"] = reason
    params |= {later: params[name] for name, later in _LATER_NAMES.items() if name in params}
    return method, msgspec.json.encode(params)


def _keyed(changes: object) -> object:
    """Return changes as clients of 2025 know them: the type of a change is the key around it, not its member `type`."""
    if not isinstance(changes, dict):
        return changes
    return {path: _keyed_change(change) for path, change in changes.items()}


def _keyed_change(change: object) -> object:
    match change:
        case {"type": str(kind), **rest}:
            return {kind: rest}
    return change


def _reason(asked: bytes, call_id: object) -> object:
    event = msgspec.json.decode(asked, type=dict[str, object]) if asked else {}
    return event.get("reason") if event.get("call_id") == call_id else None
