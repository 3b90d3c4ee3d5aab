"""Translates what a user says into the input of a turn. Free of I/O."""

from collections.abc import Sequence

from greenroom.protocol.app_server import item as wire
from greenroom.protocol.items import JsonObject
from greenroom.protocol.jsonrpc import INVALID_REQUEST, encode
from greenroom.supervisor.frontend.request_params import RefusedError

LONGEST_INPUT = 1 << 20
"""Characters that the texts of one input may have in all."""
TITLE = 200
"""Characters of a title."""


def worker_items(content: Sequence[wire.UserInputPart]) -> bytes:
    """Return input as the JSON array that workers read. Raises `RefusedError`."""
    length = sum(len(part.text) for part in content if isinstance(part, wire.TextInput))
    if length > LONGEST_INPUT:
        raise RefusedError(INVALID_REQUEST, f"input exceeds the maximum length of {LONGEST_INPUT} characters")
    return encode([_item(part) for part in content])


def _item(part: wire.UserInputPart) -> JsonObject:
    match part:
        case wire.TextInput():
            return {"type": "text", "text": part.text}
        case wire.ImageInput():
            return {"type": "image", "image_url": part.url}
        case wire.LocalImageInput():
            return {"type": "local_image", "path": part.path}
        case wire.SkillInput():
            return {"type": "skill", "name": part.name, "path": part.path}
        case wire.MentionInput():
            return {"type": "text", "text": f"[@{part.name}]({part.path})"}
        case wire.AudioInput() | wire.LocalAudioInput():
            raise RefusedError(INVALID_REQUEST, "input of audio is not supported")


def title_of_input(content: Sequence[wire.UserInputPart]) -> str | None:
    """Return the first words of the user, on one line."""
    texts = " ".join(part.text for part in content if isinstance(part, wire.TextInput))
    return " ".join(texts[: TITLE * 2].split())[:TITLE] or None
