"""The meaning of finish reasons, in both APIs. Free of I/O.

Reasons of complete answers are listed, and so are known reasons of incomplete ones. Any other reason ends the answer
with an error that names it, because the answer may be incomplete.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

UNKNOWN_REASON: Final = "unknown_finish_reason"
"""Code of an end with an unknown reason. The request is not repeated: it would be paid for again."""

UNREADABLE: Final = "unreadable_answer"
"""Code of an answer in an unknown form, which the next one would have as well."""


class CutShort(NamedTuple):
    """An end that leaves the answer incomplete."""

    message: str
    code: str | None = None
    """One of `greenroom.workers.model.outcome.attempt`; `None` if the same request may succeed."""


_TOO_LONG: Final = "the answer was cut off because it became too long"
_FILTERED: Final = "the server's content filter stopped the answer"

GOOD: Final = frozenset(
    {
        *("stop", "stop_sequence", "stop_str", "end", "end_turn", "eos", "eos_token", "done"),
        *("complete", "completed", "finished"),
        *("tool_calls", "tool_call", "tool_use", "function_call", "function_calls"),
    }
)
"""Reasons of a complete answer, in lower case."""

CALLING: Final = frozenset({"tool_calls", "tool_call", "tool_use", "function_call", "function_calls"})
"""Those that say that the answer calls a tool."""

CUT_SHORT: Final[Mapping[str, CutShort]] = {
    # Requests set no limit, so this is the end of the context, or a limit that the server has for each answer.
    "length": CutShort(_TOO_LONG, "length"),
    "max_tokens": CutShort(_TOO_LONG, "length"),
    "max_output_tokens": CutShort(_TOO_LONG, "length"),
    "max_length": CutShort(_TOO_LONG, "length"),
    "token_limit": CutShort(_TOO_LONG, "length"),
    "model_length": CutShort(_TOO_LONG, "context_length_exceeded"),
    "context_length_exceeded": CutShort(_TOO_LONG, "context_length_exceeded"),
    "model_context_window_exceeded": CutShort(_TOO_LONG, "context_length_exceeded"),
    **dict.fromkeys(
        (
            *("content_filter", "content_filtered", "contentfilter", "safety", "image_safety", "sensitive"),
            *("recitation", "blocklist", "prohibited_content", "spii", "refusal", "guardrail_intervened"),
        ),
        CutShort(_FILTERED, "content_filter"),
    ),
    **{
        reason: CutShort(f"the server stopped with an error ({reason})")
        for reason in (
            *("error", "server_error", "network_error", "insufficient_system_resource", "overloaded", "timeout"),
            *("abort", "aborted", "cancelled", "canceled", "malformed_function_call", "preempted"),
        )
    },
}
"""Reasons of an answer that is not complete, in lower case."""

SHOWN: Final = 80
"""Characters of an unknown reason that a text repeats."""


def reason_named(value: object) -> str:
    """Return the reason in a member, as the server wrote it; empty if there is none."""
    text = "" if value is None or value is False else str(value).strip()
    return "" if text.lower() in ("null", "none") else text


def is_calling(reason: str) -> bool:
    """Tell whether a reason says that the answer calls a tool."""
    return _key(reason) in CALLING


def cut_short(reason: str) -> CutShort | None:
    """Return why an answer with this finish reason is not complete, `None` if it is."""
    key = _key(reason)
    if key in GOOD:
        return None
    unknown = CutShort(f"the server stopped for a reason that is not known: {reason[:SHOWN]}", UNKNOWN_REASON)
    return CUT_SHORT.get(key, unknown)


def _key(reason: str) -> str:
    return reason.lower().removeprefix("finish_reason_")
