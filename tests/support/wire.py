"""Validates the server's notifications and requests against the tables and models of docs/wire.md."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from greenroom.protocol.catalog import NOTIFICATIONS, QUESTIONS
from greenroom.protocol.events.table import EVENTS

LISTED: Final = frozenset(message.name for message in (*NOTIFICATIONS, *QUESTIONS))
EVENT_PREFIX: Final = "codex/event/"
_MEMBERS: Final = {
    name: {"type", *(field.encode_name for field in msgspec.structs.fields(model))} for name, model in EVENTS.items()
}


def check(message: Mapping[str, Any]) -> None:
    """Check a notification or a request of the server."""
    method = message["method"]
    msg = message.get("params", {}).get("msg")
    listed = method in LISTED or (method.startswith(EVENT_PREFIX) and msg is not None)
    assert listed, f"`{method}` is not listed: add it to NOTIFICATIONS or QUESTIONS in protocol/catalog.py, `make docs`"
    if method.startswith("codex/event") and msg is not None:
        check_event(msg)


def check_event(event: Mapping[str, Any]) -> None:
    """Check that an event matches its description."""
    kind = event["type"]
    assert kind in EVENTS, f"the event `{kind}` has no model: add one to protocol/events/, then `make docs`"
    more = event.keys() - _MEMBERS[kind]
    assert not more, f"the model of `{kind}` in protocol/events/ has no {', '.join(sorted(more))}"
    msgspec.convert(event, EVENTS[kind])
