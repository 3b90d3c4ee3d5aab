"""The items of the Responses API: the known types, their required members, and which members are sent back to the
model."""

from collections.abc import Mapping
from typing import Final, TypeAlias

import msgspec

JsonObject: TypeAlias = dict[str, object]


class Kind(msgspec.Struct, frozen=True):
    """A known item type."""

    required: Mapping[str, type | tuple[type, ...]]
    """Required members, with their permitted types; an item without them is dropped."""
    sent: tuple[str, ...]
    """Members that are sent back to the model. Servers reject unknown members, so no others are."""


_OUTPUT: Final[Mapping[str, type | tuple[type, ...]]] = {"call_id": str, "output": (str, list)}

KINDS: Final[Mapping[str, Kind]] = {
    "message": Kind({"role": str, "content": list}, ("id", "role", "content", "phase")),
    "reasoning": Kind({}, ("id", "summary", "content", "encrypted_content")),
    "function_call": Kind(
        {"name": str, "arguments": str, "call_id": str}, ("id", "name", "namespace", "arguments", "call_id")
    ),
    "function_call_output": Kind(_OUTPUT, ("id", "call_id", "output")),
    "local_shell_call": Kind({"action": dict}, ("id", "call_id", "status", "action")),
    "custom_tool_call": Kind(
        {"name": str, "input": str, "call_id": str}, ("id", "status", "call_id", "name", "namespace", "input")
    ),
    "custom_tool_call_output": Kind(_OUTPUT, ("id", "call_id", "output")),
    "tool_search_call": Kind({}, ("id", "call_id", "status", "execution", "arguments")),
    "tool_search_output": Kind({"tools": list}, ("id", "call_id", "status", "execution", "tools")),
    "web_search_call": Kind({}, ("id", "status", "action")),
    "image_generation_call": Kind({}, ("id", "status", "revised_prompt", "result")),
    "compaction": Kind({"encrypted_content": str}, ("id", "encrypted_content")),
}

_PART_MEMBERS: Final[Mapping[str, tuple[str, ...]]] = {
    "input_text": ("text",),
    "output_text": ("text",),
    "input_image": ("image_url", "detail"),
    "refusal": ("refusal",),
}


def is_known_item(item: Mapping[str, object]) -> bool:
    """Tell whether an item is of a known type and has its required members."""
    kind = KINDS.get(str(item.get("type")))
    return kind is not None and all(isinstance(item.get(name), types) for name, types in kind.required.items())


def sent_form(item: Mapping[str, object]) -> JsonObject | None:
    """Return the part of an item that a request contains, `None` if a request does not contain it.

    Absent and null members are left out, ids are kept, and members that servers add for display are not.
    """
    if not is_known_item(item):
        return None
    kind = str(item["type"])
    sent: JsonObject = {"type": kind}
    sent.update({name: item[name] for name in KINDS[kind].sent if item.get(name) is not None})
    if kind == "message":
        sent["content"] = [_sent_part(part) for part in as_list(item["content"])]
    return _sent_reasoning(sent) if kind == "reasoning" else sent


def text_parts(item: Mapping[str, object]) -> list[str]:
    """Return the texts of a message's parts, in order; other parts are ignored."""
    parts = [part for part in as_list(item.get("content")) if isinstance(part, dict)]
    return [part["text"] for part in parts if isinstance(part.get("text"), str)]


def as_list(value: object) -> list[object]:
    """Return `value` if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def _sent_part(part: object) -> object:
    if not isinstance(part, dict):
        return part
    members = _PART_MEMBERS.get(str(part.get("type")))
    if members is None:
        return part
    return {"type": part["type"], **{name: part[name] for name in members if part.get(name) is not None}}


def _sent_reasoning(sent: JsonObject) -> JsonObject | None:
    """Send encrypted reasoning without its text. Servers that do not encrypt get the text; llama.cpp requires it."""
    sent.setdefault("summary", [])
    if sent.get("encrypted_content"):
        sent.pop("content", None)
        return sent
    sent.pop("encrypted_content", None)
    # Without either it is useless to the model, and OpenAI would not find the id, since nothing is stored there.
    return sent if sent.get("content") else None
