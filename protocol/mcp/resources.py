"""Requests about resources, prompts, completions and the log, and their results.

Loaded on the first such request, which comes after the handshake.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Literal, TypeAlias

import msgspec

from greenroom.protocol.jsonrpc import encode

MAX_VALUES: Final = 100
"""Maximum completions in one result (MCP, completion)."""

LogLevel: TypeAlias = Literal["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"]
ListName: TypeAlias = Literal["prompts", "resources"]
"""The lists whose changes are announced."""


class PageParams(msgspec.Struct, frozen=True):
    """Params of `resources/list`, `resources/templates/list` and `prompts/list`."""

    cursor: str | None = None


class UriParams(msgspec.Struct, frozen=True):
    """Params of `resources/read`, `resources/subscribe` and `resources/unsubscribe`."""

    uri: str


class PromptParams(msgspec.Struct, frozen=True):
    """Params of `prompts/get`."""

    name: str
    arguments: dict[str, str] | None = None


class LevelParams(msgspec.Struct, frozen=True):
    """Params of `logging/setLevel`."""

    level: LogLevel


class PromptReference(msgspec.Struct, frozen=True, tag_field="type", tag="ref/prompt"):
    """A prompt with an argument to complete."""

    name: str


class TemplateReference(msgspec.Struct, frozen=True, tag_field="type", tag="ref/resource"):
    """A resource template with a variable to complete."""

    uri: str


class Begun(msgspec.Struct, frozen=True):
    """What the user has typed so far."""

    name: str
    value: str


class CompleteParams(msgspec.Struct, frozen=True):
    """Params of `completion/complete`."""

    ref: PromptReference | TemplateReference
    argument: Begun


def list_result(member: str, entries: Sequence[Mapping[str, object]], next_cursor: str | None) -> bytes:
    """Return one page of a list."""
    more = {} if next_cursor is None else {"nextCursor": next_cursor}
    return encode({member: entries, **more})


def contents_result(uri: str, mime_type: str, text: str) -> bytes:
    """Return the result of `resources/read` for one text."""
    return encode({"contents": [{"uri": uri, "mimeType": mime_type, "text": text}]})


def prompt_result(description: str | None, text: str) -> bytes:
    """Return the result of `prompts/get` for one message of the user."""
    message = {"role": "user", "content": {"type": "text", "text": text}}
    return encode({**({} if description is None else {"description": description}), "messages": [message]})


def completion_result(values: Sequence[str]) -> bytes:
    """Return the result of `completion/complete`: as many values as permitted, and their total number."""
    shown = values[:MAX_VALUES]
    return encode({"completion": {"values": shown, "total": len(values), "hasMore": len(shown) < len(values)}})
