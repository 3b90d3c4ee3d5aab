"""The body of a request to the Responses API, joined from pieces that are encoded once."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from greenroom.protocol.ids import ConversationId
from greenroom.protocol.items import JsonObject

_encode: Final[Callable[[object], bytes]] = msgspec.json.Encoder().encode

_TIERS: Final[Mapping[str, str | None]] = {"fast": "priority", "default": None}
"""Configured service tiers that are sent under another name; `None`: not sent."""


class ModelRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Everything in a request except the conversation itself. `None` values are not sent."""

    model: str
    conversation_id: ConversationId
    """Also the server's key for caching the prompt."""
    instructions: str
    tools: Sequence[JsonObject] = ()
    parallel_tool_calls: bool = True
    supports_reasoning: bool = True
    effort: str | None = None
    summary: str | None = None
    """`none` is not sent either."""
    verbosity: str | None = None
    """To be set only if the model supports it."""
    service_tier: str | None = None
    output_schema: JsonObject | None = None
    """JSON schema of the answer."""


class RequestEncoder:
    """Makes the bodies of one turn's requests. They differ only in `input`."""

    def __init__(self, request: ModelRequest) -> None:
        head, tail = _members(request)
        self._head = _encode(head)[:-1] + b',"input":'
        self._tail = b"," + _encode(tail)[1:]

    @property
    def takes_members(self) -> bool:
        """Unused: this API has no members to send back."""
        return False

    def body(self, encoded_input: bytes) -> bytes:
        """Return the body for the JSON array `encoded_input`, which is not parsed."""
        return b"".join((self._head, encoded_input, self._tail))


def _members(request: ModelRequest) -> tuple[JsonObject, JsonObject]:
    """Return what comes before and after `input`, in the order in which servers cache a prompt."""
    head: JsonObject = {"model": request.model, "instructions": request.instructions}
    tail: JsonObject = {
        "tools": list(request.tools),
        "tool_choice": "auto",
        "parallel_tool_calls": request.parallel_tool_calls,
        "reasoning": _reasoning(request),
        "store": False,
        "stream": True,
        "include": ["reasoning.encrypted_content"] if request.supports_reasoning else [],
        "prompt_cache_key": request.conversation_id,
    }
    tier = _TIERS.get(request.service_tier, request.service_tier) if request.service_tier else None
    optional = {"service_tier": tier, "text": _text(request)}
    return head, tail | {name: value for name, value in optional.items() if value}


def _reasoning(request: ModelRequest) -> JsonObject | None:
    if not request.supports_reasoning:
        return None
    summary = None if request.summary == "none" else request.summary
    return {name: value for name, value in (("effort", request.effort), ("summary", summary)) if value is not None}


def _text(request: ModelRequest) -> JsonObject:
    text: JsonObject = {}
    if request.verbosity is not None:
        text["verbosity"] = request.verbosity
    if request.output_schema is not None:
        text["format"] = {
            "type": "json_schema",
            "strict": True,
            "schema": request.output_schema,
            "name": "codex_output_schema",
        }
    return text
