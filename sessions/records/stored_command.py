"""Commands as the history of a conversation has them: the call of a tool, and the text that came back. Free of I/O."""

import re
from typing import Final

import msgspec

from greenroom.protocol.items import JsonObject

_decode: Final = msgspec.json.Decoder(JsonObject).decode
_CODE: Final = re.compile(r"^(?:Exit code: |Process exited with code )(-?\d+)$", re.MULTILINE)


def command_of(item: JsonObject) -> list[str] | None:
    """Return the words of a call that runs a command, else `None`."""
    if item.get("type") == "local_shell_call":
        action = item.get("action")
        return _words(action.get("command")) if isinstance(action, dict) else None
    try:
        arguments = _decode(str(item.get("arguments", "")).encode())
    except msgspec.MsgspecError:
        return None
    return _words(arguments.get("command")) or _words(arguments.get("cmd"))


def _words(command: object) -> list[str] | None:
    match command:
        case str(text) if text:
            return ["bash", "-lc", text]
        case [*words] if words:
            return [str(word) for word in words]
    return None


def exit_code_of(output: str) -> int | None:
    """Return the exit status that the output of a call tells of, if it does."""
    try:
        told = msgspec.json.decode(output)
    except msgspec.MsgspecError:
        found = _CODE.search(output)
        return int(found[1]) if found else None
    match told:
        case {"metadata": {"exit_code": int(code)}}:
            return code
    return None


def written(output: str) -> str:
    """Return what a command has written, of the text that the model got."""
    try:
        told = msgspec.json.decode(output)
    except msgspec.MsgspecError:
        _, mark, rest = output.partition("\nOutput:\n")
        return rest if mark else output
    match told:
        case {"output": str(text)}:
            return text
    return output
