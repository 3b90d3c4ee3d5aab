"""The forms of August 2025 of events that later releases changed. Free of I/O.

All events are made in the later form. A setting selects the older form, in which events and members that later releases
added are left out.
"""

import base64
from typing import Final

from greenroom.protocol.events.file_change import baseline_changes
from greenroom.protocol.items import JsonObject

LATER_EVENTS: Final = frozenset({"item_started", "item_completed", "raw_response_item", "raw_response_completed"})
"""Event types that later releases added beside the older ones."""

LATER_COUNTS: Final = frozenset({"info", "rate_limits", "cache_write_input_tokens"})
"""Members of `token_count` that later releases added to the five counters of the last response."""


def baseline_event(event: JsonObject) -> JsonObject | None:
    """Return an event in its older form; `None` for a type that did not exist."""
    if event["type"] in LATER_EVENTS:
        return None
    if event["type"] == "exec_command_output_delta":
        return {**event, "chunk": list(base64.b64decode(str(event["chunk"])))}
    if event["type"] == "token_count":
        return {name: value for name, value in event.items() if name not in LATER_COUNTS}
    changes = event.get("changes")
    return event if changes is None else {**event, "changes": baseline_changes(changes)}  # type: ignore[arg-type]
