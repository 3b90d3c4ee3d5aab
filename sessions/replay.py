"""The messages of a saved conversation as the events that announced them, for a client that resumes it."""

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from greenroom.config.reader import Reader
from greenroom.protocol.errors import SessionFileError
from greenroom.protocol.items import JsonObject, as_list
from greenroom.protocol.user_messages import is_user_message
from greenroom.sessions.storage.lineage import open_with_origins

TOLD: Final = frozenset(
    {
        "agent_message",
        "agent_reasoning",
        "agent_reasoning_raw_content",
        "entered_review_mode",
        "exited_review_mode",
        "token_count",
        "turn_aborted",
        "user_message",
    }
)
"""Types of events that are replayed."""


class _Line(msgspec.Struct, frozen=True):
    type: str = ""
    payload: JsonObject | None = None


_decode_line: Final = msgspec.json.Decoder(_Line).decode
_decode_item: Final = msgspec.json.Decoder(JsonObject).decode


def initial_messages(reader: Reader, path: str) -> list[JsonObject]:
    """Return the events of a session file that show its messages; none where it cannot be read."""
    try:
        with open_with_origins(reader, path) as file:
            return list(retold(file))
    except (OSError, SessionFileError):
        return []


def retold(lines: Iterable[bytes]) -> Iterator[JsonObject]:
    """Yield the events of the lines of a file.

    A paginated file has completed items in place of them, and the format of August 2025 items of the history alone: the
    events are made from these.
    """
    for line in lines:
        try:
            record = _decode_line(line)
            if record.payload is None:
                yield from _of_item(_decode_item(line))
                continue
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            continue
        if record.type != "event_msg":
            continue
        kind = record.payload.get("type")
        if kind in TOLD:
            yield _plain(record.payload)
        elif kind == "item_completed" and isinstance(item := record.payload.get("item"), dict):
            yield from _of_turn_item(item)


def _plain(event: JsonObject) -> JsonObject:
    return {"kind": "plain", **event} if event["type"] == "user_message" else event


def _of_turn_item(item: JsonObject) -> Iterator[JsonObject]:
    match item.get("type"):
        case "UserMessage":
            yield {"type": "user_message", "message": "\n".join(texts(item.get("content"), "text")), "kind": "plain"}
        case "AgentMessage":
            for text in texts(item.get("content"), "Text"):
                yield {"type": "agent_message", "message": text}
        case "Reasoning":
            for summary in as_list(item.get("summary_text")):
                yield {"type": "agent_reasoning", "text": summary}


def _of_item(item: JsonObject) -> Iterator[JsonObject]:
    match item.get("type"), item.get("role"):
        case "message", "user" if is_user_message(item):
            text = "\n".join(texts(item.get("content"), "input_text"))
            yield {"type": "user_message", "message": text, "kind": "plain"}
        case "message", "assistant":
            for text in texts(item.get("content"), "output_text"):
                yield {"type": "agent_message", "message": text}
        case "reasoning", _:
            for text in texts(item.get("summary"), "summary_text"):
                yield {"type": "agent_reasoning", "text": text}


def texts(parts: object, kind: str) -> list[str]:
    """Return the texts among the parts of a message that are of one kind."""
    found = [part.get("text") for part in as_list(parts) if isinstance(part, dict) and part.get("type") == kind]
    return [text for text in found if isinstance(text, str)]
