"""What the model gets of a tool's result: text, or text and images (spec/later 2.8), cut to a budget (2.9)."""

import re
from typing import Final

import msgspec

from greenroom.protocol.items import JsonObject, as_list
from greenroom.workers.exec.capture import OutputBudget, cut

_IMAGE: Final = re.compile(r"image/[a-zA-Z0-9.+-]{1,64}")
_BASE64: Final = re.compile(r"[a-zA-Z0-9+/]+={0,2}")


class Output(msgspec.Struct, frozen=True):
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

    def within(self, budget: OutputBudget) -> "Output":
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
        return Output(tuple(kept), self.success)


def told(text: str, *, success: bool) -> Output:
    """Return an output of one text."""
    return Output((_text(text),), success)


def read_result(result: JsonObject, seconds: float) -> Output:
    """Return the output for a `CallToolResult` that took so long."""
    failed = result.get("isError") is True
    header = f"Wall time: {seconds:.4f} seconds\n{'Error' if failed else 'Output'}:\n"
    content = as_list(result.get("content"))
    parts = [_part(block) for block in content]
    if any(part["type"] == "input_image" for part in parts):
        return Output((_text(header), *parts), not failed)
    shown = result["structuredContent"] if result.get("structuredContent") is not None else content
    return told(header + _json(shown), success=not failed)


def _part(block: object) -> JsonObject:
    if isinstance(block, dict):
        if block.get("type") == "text" and isinstance(block.get("text"), str):
            return _text(block["text"])
        if block.get("type") == "image":
            return _image(str(block.get("mimeType")), str(block.get("data")))
    return _text(_json(block))


def _image(mime_type: str, data: str) -> JsonObject:
    # A model server refuses the whole request, and with it the conversation, for one image that is none.
    if _IMAGE.fullmatch(mime_type) is None or _BASE64.fullmatch(data) is None:
        return _text("[an image that cannot be shown]")
    return {"type": "input_image", "image_url": f"data:{mime_type};base64,{data}"}


def _text(text: str) -> JsonObject:
    return {"type": "input_text", "text": text}


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
