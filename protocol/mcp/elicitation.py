"""Questions to the client's user: `elicitation/create` for commands and patches, and how its answers are interpreted.

Both the standard answer (`action`) and the reference's own (`decision`) are accepted; an answer with neither counts as
no. Questions that need more than yes or no, such as those of the user's MCP servers, accept only the standard answer.
"""

from collections.abc import Mapping
from typing import ClassVar, Final, Literal, TypeAlias, TypedDict, get_args

import msgspec

from greenroom.protocol.display import shown, shown_lines
from greenroom.protocol.internal.message import Message
from greenroom.protocol.mcp.handshake import ElicitationMode

METHOD: Final = "elicitation/create"

MAX_CONTENT: Final = 64 * 1024
"""Maximum bytes of JSON in a form's answer."""

Verdict: TypeAlias = Literal["approved", "approved_for_session", "denied", "abort"]
VERDICTS: Final[tuple[Verdict, ...]] = get_args(Verdict)
Action: TypeAlias = Literal["accept", "decline", "cancel"]


class Decision(Message):
    """The outcome of a question."""

    wire: ClassVar[bytes] = b"decision"

    verdict: Verdict
    reason: str | None = None
    """Why it was declined, for the model; `None` if the user simply said no."""
    action: Action | None = None
    """The standard answer as given; `None` if there was none."""
    content: bytes | None = None
    """The content of the form as a JSON object, if the action is `accept`."""


DENIED: Final = Decision(verdict="denied")

_BY_DECISION: Final[Mapping[str, Verdict]] = {
    "approved": "approved",
    "approved_for_session": "approved_for_session",
    "approved_execpolicy_amendment": "approved_for_session",
    "denied": "denied",
    "timed_out": "denied",
    "abort": "abort",
}
_BY_ACTION: Final[Mapping[Action, Verdict]] = {"accept": "approved", "decline": "denied", "cancel": "denied"}
_LASTING: Final = frozenset({"session", "always"})
"""How long an approval may be valid, beyond the call."""

_encode: Final = msgspec.json.Encoder().encode


class _Moded(msgspec.Struct, frozen=True):
    mode: ElicitationMode = "form"


_decode_moded: Final = msgspec.json.Decoder(_Moded).decode


def exec_params(
    *,
    quoted_command: str,
    command: list[str],
    cwd: str,
    call_id: str,
    parsed_command: list[dict[str, object]],
) -> dict[str, object]:
    """Return the question before a command runs. `quoted_command` is the argv in shell quoting."""
    return {
        "message": f"Allow Codex to run `{shown(quoted_command)}` in `{shown(cwd)}`?",
        "requestedSchema": {"type": "object", "properties": {}},
        "codex_elicitation": "exec-approval",
        "codex_call_id": call_id,
        "codex_command": command,
        "codex_cwd": cwd,
        "codex_parsed_cmd": parsed_command,
    }


def patch_params(*, changes: dict[str, object], call_id: str, reason: str | None = None) -> dict[str, object]:
    """Return the question before a patch is applied."""
    question = "Allow Codex to apply proposed code changes?"
    params: dict[str, object] = {
        "message": question if reason is None else f"{shown(reason)}\n{question}",
        "requestedSchema": {"type": "object", "properties": {}},
        "codex_elicitation": "patch-approval",
        "codex_call_id": call_id,
        "codex_changes": changes,
    }
    return params if reason is None else {**params, "codex_reason": reason}


def tool_params(
    *, server: str, tool: str, description: str, arguments: Mapping[str, object] | None, call_id: str
) -> dict[str, object]:
    """Return the question before a tool of a user's MCP server is called."""
    return {
        "message": f"Allow Codex to call the tool `{shown(tool)}` of the MCP server `{shown(server)}`?",
        "requestedSchema": {"type": "object", "properties": {}},
        "_meta": {
            "codex_approval_kind": "mcp_tool_call",
            "persist": ["session"],
            "tool_description": shown_lines(description),
            "tool_params": arguments or {},
        },
        "codex_elicitation": "mcp-tool-approval",
        "codex_call_id": call_id,
        "codex_mcp_server": server,
        "codex_mcp_tool": tool,
    }


def request_params(question: bytes, call_request_id: int | str, event_id: str, conversation_id: str) -> bytes:
    """Complete a worker's question with what only the front end knows. `question` is a JSON object."""
    more = {"codex_mcp_tool_call_id": str(call_request_id), "codex_event_id": event_id, "threadId": conversation_id}
    return question.rstrip()[:-1] + b"," + _encode(more)[1:]


def mode_of(question: bytes) -> ElicitationMode:
    """Return the mode of a question. `question` is a JSON object."""
    return _decode_moded(question).mode


def read_answer(result: bytes | None) -> Decision:
    """Interpret an answer; `result` is `None` for an error response."""
    if result is None:
        return Decision(verdict="denied", reason="the client could not ask the user")
    try:
        answer = msgspec.json.decode(result)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return DENIED
    if not isinstance(answer, dict):
        return DENIED
    content = answer.get("content")
    if len(result) > MAX_CONTENT and content is not None:
        return Decision(verdict="denied", reason=f"the answer has more than {MAX_CONTENT} bytes")
    standard = _standard(answer)
    for given in (answer.get("decision"), content.get("decision") if isinstance(content, dict) else None):
        decision = _from_decision(given)
        if decision is not None:
            return msgspec.structs.replace(decision, **standard)
    verdict: Verdict = _BY_ACTION.get(standard.get("action", "decline"), "denied")
    if verdict == "approved" and _lasts(answer):
        verdict = "approved_for_session"
    return Decision(verdict=verdict, **standard)


class _Standard(TypedDict, total=False):
    action: Action
    content: bytes


def _standard(answer: Mapping[str, object]) -> _Standard:
    action = answer.get("action")
    if action == "accept":
        content = answer.get("content")
        return {"action": "accept", "content": _encode(content if isinstance(content, dict) else {})}
    return {"action": action} if action in ("decline", "cancel") else {}


def _lasts(answer: Mapping[str, object]) -> bool:
    meta = answer.get("_meta")
    return isinstance(meta, dict) and meta.get("persist") in _LASTING


def _from_decision(decision: object) -> Decision | None:
    if isinstance(decision, str):
        verdict = _BY_DECISION.get(decision)
        return None if verdict is None else Decision(verdict=verdict)
    if isinstance(decision, dict) and len(decision) == 1:
        name, details = next(iter(decision.items()))
        rejection = details.get("rejection") if isinstance(details, dict) else None
        verdict = _BY_DECISION.get(str(name))
        if verdict is not None:
            return Decision(verdict=verdict, reason=rejection if isinstance(rejection, str) else None)
    return None
