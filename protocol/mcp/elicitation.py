"""The answers to `elicitation/create`, and how they are interpreted.

Both the standard answer (`action`) and the reference's own (`decision`) are accepted; an answer with neither counts as
no. Questions that need more than yes or no, such as those of the user's MCP servers, accept only the standard answer.
"""

from collections.abc import Mapping
from typing import Final, TypedDict

import msgspec

from greenroom.protocol.approval import DENIED, Decision, ElicitationAction, ReviewDecision
from greenroom.protocol.mcp.handshake import ElicitationMode

METHOD: Final = "elicitation/create"

MAX_CONTENT: Final = 64 * 1024
"""Maximum bytes of JSON in a form's answer."""

_BY_DECISION: Final[Mapping[str, ReviewDecision]] = {
    "approved": "approved",
    "approved_for_session": "approved_for_session",
    "approved_execpolicy_amendment": "approved_for_session",
    "denied": "denied",
    "timed_out": "denied",
    "abort": "abort",
}
_BY_ACTION: Final[Mapping[ElicitationAction, ReviewDecision]] = {
    "accept": "approved",
    "decline": "denied",
    "cancel": "denied",
}
_LASTING: Final = frozenset({"session", "always"})
"""How long an approval may be valid, beyond the call."""

_encode: Final = msgspec.json.Encoder().encode


class _Moded(msgspec.Struct, frozen=True):
    mode: ElicitationMode = "form"


_decode_moded: Final = msgspec.json.Decoder(_Moded).decode


def mode_of(question: bytes) -> ElicitationMode:
    """Return the mode of a question. `question` are the params of the request, as JSON."""
    return _decode_moded(question).mode


def read_decision(result: bytes | None) -> Decision:
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
    verdict: ReviewDecision = _BY_ACTION.get(standard.get("action", "decline"), "denied")
    if verdict == "approved" and _lasts(answer):
        verdict = "approved_for_session"
    return Decision(verdict=verdict, **standard)


class _Standard(TypedDict, total=False):
    action: ElicitationAction
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
