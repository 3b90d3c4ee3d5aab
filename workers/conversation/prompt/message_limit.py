"""The longest message that fits into the model's context window beside the constant parts of a request.

The limit is an estimate and errs on the side of sending, since the server refuses what does not fit. So a message
counts its text without the JSON around it, tools of MCP servers count once they are known, and items that a compaction
can remove do not count.
"""

from collections.abc import Iterable
from typing import Final

from greenroom.config.models import ModelFamily
from greenroom.protocol.errors import PromptTooLongError
from greenroom.protocol.items import JsonObject, as_list, text_parts
from greenroom.workers.conversation.history.history_entry import IMAGE_WEIGHT

BYTES_PER_TOKEN: Final = 4
"""The ratio of the estimate."""


def check_length(message: JsonObject, family: ModelFamily, fixed: int, inputs: Iterable[JsonObject] = ()) -> None:
    """Raise `PromptTooLongError` if a message of the user cannot fit into the context window of a model.

    `fixed` is the size of the instructions, tools and context of each request in bytes; `inputs` are the user's earlier
    messages of the same turn. Nothing is refused where the window is not known, or where not even an empty message
    would fit: then the estimate, or the window, is wrong.
    """
    room = family.context_window * BYTES_PER_TOKEN - fixed
    if not family.window_is_known or room <= 0:
        return
    room -= _image_bytes(message) + sum(_image_bytes(item) + len(_text(item)) for item in inputs)
    text = _text(message)
    if len(text) > max(0, room):
        raise PromptTooLongError(_characters(text), _characters(text[: max(0, room)]))


def _text(message: JsonObject) -> bytes:
    return "".join(text_parts(message)).encode("utf-8", "replace")


def _characters(text: bytes) -> int:
    return len(text.decode("utf-8", "ignore"))


def _image_bytes(message: JsonObject) -> int:
    return IMAGE_WEIGHT * len(_images(message))


def _images(message: JsonObject) -> list[object]:
    parts = as_list(message.get("content"))
    return [part for part in parts if isinstance(part, dict) and part.get("type") == "input_image"]
