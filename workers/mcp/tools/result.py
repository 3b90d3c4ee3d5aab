"""What the model gets of a tool's result: text, or text and images, cut to a budget."""

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from greenroom.protocol.items import JsonObject, as_list
from greenroom.workers.exec.capture import OutputBudget, cut

STRUCTURED: Final = "Structured content:"
"""Stands between the blocks and the structured part."""
BINARY_SHOWN: Final = 256
"""Characters of base64 that are shown as they are."""

_IMAGE: Final = re.compile(r"image/[a-zA-Z0-9.+-]{1,64}")
_BINARY: Final = frozenset({"data", "blob"})
_BASE64: Final = re.compile(r"[a-zA-Z0-9+/]+={0,2}")


class CallOutput(msgspec.Struct, frozen=True):
    """The output of one call."""

    parts: tuple[JsonObject, ...]
    """`input_text` and `input_image`, in the order in which the model reads them."""
    success: bool

    @property
    def output(self) -> str | list[JsonObject]:
        """The `output` of a `function_call_output`: a plain text where there is no image."""
        return list(self.parts) if any(part["type"] != "input_text" for part in self.parts) else self.text

    @property
    def text(self) -> str:
        """All that is text."""
        return "\n".join(str(part["text"]) for part in self.parts if part["type"] == "input_text")

    def within(self, budget: OutputBudget) -> "CallOutput":
        """Return what fits: texts use the budget up in order; the first that does not fit is cut, later ones go."""
        kept: list[JsonObject] = []
        room, omitted = budget.size, 0
        for part in self.parts:
            text = part.get("text")
            if not isinstance(text, str):
                kept.append(part)
            elif room <= 0:
                omitted += 1
            else:
                kept.append(_text(cut(text, OutputBudget(room, budget.unit))))
                room -= len(text.encode(errors="replace"))
        if omitted:
            kept.append(_text(f"[omitted {omitted} text items ...]"))
        return CallOutput(tuple(kept), self.success)


def noted(output: CallOutput, notes: Sequence[str]) -> CallOutput:
    """Return an output with something that the model should know before it reads the rest."""
    return CallOutput((*map(_text, notes), *output.parts), output.success) if notes else output


def text_output(text: str, *, success: bool) -> CallOutput:
    """Return an output of one text."""
    return CallOutput((_text(text),), success)


def read_result(result: JsonObject, seconds: float) -> CallOutput:
    """Return the output for a `CallToolResult` that took so long: every block, and what it has of structure."""
    failed = result.get("isError") is True
    header = f"Wall time: {seconds:.4f} seconds\n{'Error' if failed else 'Output'}:\n"
    structured = result.get("structuredContent")
    content = _beside(as_list(result.get("content")), structured)
    data = [] if structured is None else [_json(brief(structured))]
    parts = [_part(block) for block in content]
    if any(part["type"] == "input_image" for part in parts):
        return CallOutput((_text(header), *parts, *map(_text, data)), not failed)
    blocks = [_json([brief(block) for block in content])] if content or not data else []
    return text_output(header + f"\n{STRUCTURED}\n".join(blocks + data), success=not failed)


def _beside(content: list[object], structured: object) -> list[object]:
    """Return the blocks that say more than the structured part, which servers repeat as text for older clients."""
    if structured is None:
        return content
    given = structured
    if isinstance(structured, dict) and structured.keys() == {"result"}:
        given = structured["result"]  # how SDKs wrap what is no object
    said = [_said(block) for block in content]
    if isinstance(given, list) and len(said) == len(given) and all(map(_says, said, given)):
        return []
    return [
        block
        for block, text in zip(content, said, strict=True)
        if not any(_says(text, it) for it in (structured, given))
    ]


def _said(block: object) -> str | None:
    return str(block.get("text")) if isinstance(block, dict) and block.get("type") == "text" else None


def _says(text: str | None, value: object) -> bool:
    """Tell whether a text is a value, as it is or as JSON."""
    if text is None or text == value:
        return text is not None
    try:
        return bool(msgspec.json.decode(text) == value)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return False


def brief(value: object) -> object:
    """Leave out what only a program can read: long texts in base64, which would use up the budget."""
    if not isinstance(value, dict):
        return value
    shown = {name: _size(inner) if name in _BINARY and _is_binary(inner) else inner for name, inner in value.items()}
    return {**shown, "resource": brief(shown["resource"])} if isinstance(shown.get("resource"), dict) else shown


def _is_binary(value: object) -> bool:
    return isinstance(value, str) and len(value) > BINARY_SHOWN and _BASE64.fullmatch(value) is not None


def _size(value: object) -> str:
    return f"[{len(str(value))} characters of base64]"


def _part(block: object) -> JsonObject:
    if isinstance(block, dict):
        if block.get("type") == "text" and isinstance(block.get("text"), str):
            return _text(block["text"])
        if block.get("type") == "image":
            return _image(str(block.get("mimeType")), str(block.get("data")))
    return _text(_json(brief(block)))


def _image(mime_type: str, data: str) -> JsonObject:
    # A model server refuses the whole request, and with it the conversation, for one image that is none.
    if _IMAGE.fullmatch(mime_type) is None or _BASE64.fullmatch(data) is None:
        return _text("[an image that cannot be shown]")
    return {"type": "input_image", "image_url": f"data:{mime_type};base64,{data}"}


def _text(text: str) -> JsonObject:
    return {"type": "input_text", "text": text}


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
