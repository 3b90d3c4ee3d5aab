"""Reads a tool's result member by member, and repairs invalid members.

The outcome is a valid `CallToolResult`, which is passed on in events and to the model.
"""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from greenroom.protocol.items import JsonObject

_ABOUT: Final = frozenset({"content", "structuredContent", "isError", "_meta", "resultType"})
"""The known members of a result. The later ones are read only if neither of the first two exists."""


def read_tool_result(given: object) -> JsonObject:
    """Return an answer as a `CallToolResult`, without members that are `null`."""
    members = given if isinstance(given, dict) else {"content": given}
    answer: JsonObject = {"content": _content(members.get("content")), "isError": members.get("isError") is True}
    if members.get("structuredContent") is not None:
        answer["structuredContent"] = members["structuredContent"]
    elif not answer["content"]:
        others = {name: value for name, value in members.items() if name not in _ABOUT and value is not None}
        answer["content"] = [_text(_json(others))] if others else []
    if isinstance(members.get("_meta"), dict):
        answer["_meta"] = members["_meta"]
    return answer


def _content(given: object) -> list[JsonObject]:
    if given is None:
        return []
    blocks = given if isinstance(given, list) else [given]
    return [_block(block) for block in blocks if block is not None]


def _block(given: object) -> JsonObject:
    if isinstance(given, str):
        return _text(given)
    if not isinstance(given, dict):
        return _text(_json(given))
    block = {name: value for name, value in given.items() if value is not None}
    for name in ("annotations", "_meta"):
        if name in block and not isinstance(block[name], dict):
            del block[name]
    read = _BLOCKS.get(str(block.get("type")))
    sound = None if read is None else read(block)
    return _text(_json(given)) if sound is None else sound


def _texts(*names: str) -> Callable[[JsonObject], JsonObject | None]:
    def read(block: JsonObject) -> JsonObject | None:
        return block if all(isinstance(block.get(name), str) for name in names) else None

    return read


def _resource(block: JsonObject) -> JsonObject | None:
    given = block.get("resource")
    if not isinstance(given, dict):
        return None
    resource = {"uri": "", **{name: value for name, value in given.items() if value is not None}}
    is_sound = isinstance(resource["uri"], str) and (
        isinstance(resource.get("text"), str) or isinstance(resource.get("blob"), str)
    )
    return {**block, "resource": resource} if is_sound else None


def _link(block: JsonObject) -> JsonObject | None:
    if not isinstance(block.get("uri"), str):
        return None
    return block if isinstance(block.get("name"), str) else {**block, "name": block["uri"]}


_BLOCKS: Final[Mapping[str, Callable[[JsonObject], JsonObject | None]]] = {
    "text": _texts("text"),
    "image": _texts("data", "mimeType"),
    "audio": _texts("data", "mimeType"),
    "resource": _resource,
    "resource_link": _link,
}
"""The known types of blocks, each with its repair function."""


def _text(text: str) -> JsonObject:
    return {"type": "text", "text": text}


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
