"""The history of a conversation as people read it: an item is a message, an action or its output. Free of I/O."""

import shlex
from collections.abc import Callable, Mapping
from typing import Final, Literal, TypeAlias

import msgspec

from greenroom.protocol.items import JsonObject, as_list
from greenroom.protocol.user_messages import is_context_message

Speaker: TypeAlias = Literal["user", "agent", "reasoning", "call", "output"]


class Passage(msgspec.Struct, frozen=True):
    """A message or an action in a conversation."""

    speaker: Speaker
    text: str


def passage_of(item: JsonObject) -> Passage | None:
    """Return what an item of the history says to people, `None` where it says nothing."""
    teller = _TELLERS.get(str(item["type"]))
    passage = teller(item) if teller else None
    return passage if passage is not None and passage.text.strip() else None


def _message(item: JsonObject) -> Passage | None:
    if item["role"] == "assistant":
        return Passage("agent", _texts(item["content"]))
    if item["role"] != "user" or is_context_message(item):
        return None
    return Passage("user", _texts(item["content"]))


def _reasoning(item: JsonObject) -> Passage:
    return Passage("reasoning", _texts(item.get("summary")))


def _function_call(item: JsonObject) -> Passage:
    name, arguments = str(item["name"]), _json(str(item["arguments"]))
    match arguments:
        case {"command": list(words)} | {"cmd": list(words)}:
            return Passage("call", _command(words))
        case {"command": str(text)} | {"cmd": str(text)}:
            return Passage("call", f"$ {text}")
    return Passage("call", f"{name} {item['arguments']}")


def _shell_call(item: JsonObject) -> Passage:
    action = item["action"]
    return Passage("call", _command(as_list(action.get("command"))) if isinstance(action, dict) else "")


def _custom_call(item: JsonObject) -> Passage:
    return Passage("call", f"{item['name']}\n{item['input']}")


def _output(item: JsonObject) -> Passage:
    output = item["output"]
    if not isinstance(output, str):
        return Passage("output", _texts(output))
    match _json(output):
        case {"output": str(text), "metadata": dict()}:
            return Passage("output", text)
    return Passage("output", output)


_TELLERS: Final[Mapping[str, Callable[[JsonObject], Passage | None]]] = {
    "message": _message,
    "reasoning": _reasoning,
    "function_call": _function_call,
    "local_shell_call": _shell_call,
    "custom_tool_call": _custom_call,
    "function_call_output": _output,
    "custom_tool_call_output": _output,
}


def _command(words: list[object]) -> str:
    match words:
        case [_, "-c" | "-lc", str(script)]:
            return f"$ {script}"
    return "$ " + shlex.join(map(str, words))


def _texts(parts: object) -> str:
    found = [_part(part) for part in as_list(parts) if isinstance(part, dict)]
    return "\n".join(text for text in found if text)


def _part(part: Mapping[str, object]) -> str:
    text = part.get("text") or part.get("refusal")
    if isinstance(text, str):
        return text
    return "(an image)" if part.get("type") == "input_image" else ""


def _json(text: str) -> object:
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
