"""Makes messages readable in which single members break the rules of JSON-RPC: they cost nothing but themselves.

The client drops a message that it cannot validate, and whoever waits for it waits until the time limit. What a server
got wrong is put right here where it is plain what was meant, and said in words where it is not.
"""

# Not msgspec: this is for JSON that strict readers refuse, such as half a surrogate pair or NaN.
import json
from typing import Final

from mcp_types import INTERNAL_ERROR, jsonrpc_message_adapter

from greenroom.protocol.items import JsonObject

DEPTH: Final = 100
"""Levels of a message that are kept; the client reads no more than about twice as many."""
SHOWN: Final = 1000
"""Characters that are told of a value which is not what it should be."""


def repaired(data: bytes) -> bytes:
    """Return one message as the client can read it; what is one already, or none at all, as it is."""
    try:
        jsonrpc_message_adapter.validate_json(data, by_name=False)
    except ValueError:
        return _repaired(data)
    return data


def _repaired(data: bytes) -> bytes:
    try:
        given = json.loads(data.decode("utf-8", "replace"), parse_constant=_no_number)
    except (ValueError, RecursionError):
        return data
    if not isinstance(given, dict):
        return data
    message = {**_sound(given), "jsonrpc": "2.0"}
    return json.dumps(_pruned(message, 0), ensure_ascii=False).encode("utf-8", "replace")


def _no_number(name: str) -> None:  # noqa: ARG001 - NaN and the infinities have no form in JSON
    return None


def _sound(message: JsonObject) -> JsonObject:
    if "method" in message or "id" not in message:
        return message
    number = message["id"]
    answer: JsonObject = {"id": int(number) if isinstance(number, float) and number.is_integer() else number}
    if message.get("error") is not None:
        return {**answer, "error": _error(message["error"])}
    if "result" not in message:
        return {**answer, "error": _of_text("it answered with neither a result nor an error")}
    if not isinstance(message["result"], dict):
        return {**answer, "error": _of_text(f"the result is no object but {_shown(message['result'])}")}
    return {**answer, "result": message["result"]}


def _error(given: object) -> JsonObject:
    if not isinstance(given, dict):
        return _of_text(given if isinstance(given, str) else _shown(given))
    code, text = given.get("code"), given.get("message")
    if not isinstance(text, str):
        text = _shown({name: value for name, value in given.items() if name != "code"})
    is_code = isinstance(code, int) and not isinstance(code, bool)
    if not is_code and code is not None:
        text = f"{code if isinstance(code, str) else _shown(code)}: {text}"
    return {**given, "code": code if is_code else INTERNAL_ERROR, "message": text}


def _of_text(text: str) -> JsonObject:
    return {"code": INTERNAL_ERROR, "message": text}


def _shown(value: object) -> str:
    text = json.dumps(_pruned(value, 0), ensure_ascii=False)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


def _pruned(value: object, depth: int) -> object:
    """Put `null` where something is nested too deeply."""
    if not isinstance(value, dict | list):
        return value
    if depth > DEPTH:
        return None
    if isinstance(value, dict):
        return {name: _pruned(inner, depth + 1) for name, inner in value.items()}
    return [_pruned(inner, depth + 1) for inner in value]
