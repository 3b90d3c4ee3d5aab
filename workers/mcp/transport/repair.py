"""Repairs messages with members that violate JSON-RPC, so that only those members are lost.

The client drops a message that it cannot validate, and its request then waits until the time limit. Errors whose
meaning is clear are corrected here, others are replaced by a description.
"""

# Not msgspec, because this is for JSON that strict parsers reject, such as unpaired surrogates or NaN.
import json
from typing import Final

from mcp_types import INTERNAL_ERROR, jsonrpc_message_adapter

from greenroom.protocol.items import JsonObject

DEPTH: Final = 100
"""Maximum nesting of a message; the client accepts at most about twice as much."""
SHOWN: Final = 1000
"""Maximum characters of an invalid value in a description."""


def repaired(data: bytes) -> bytes:
    """Return a message in a form that the client accepts; a valid message, or anything else, unchanged."""
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
    """Replace what is nested too deeply by `null`."""
    if not isinstance(value, dict | list):
        return value
    if depth > DEPTH:
        return None
    if isinstance(value, dict):
        return {name: _pruned(inner, depth + 1) for name, inner in value.items()}
    return [_pruned(inner, depth + 1) for inner in value]
