"""The forms of August 2025 of events that later releases changed. Free of I/O.

All events are made in the later form. A setting selects the older form, in which events and members that later releases
added are left out.
"""

import base64
from typing import Final

import msgspec

from greenroom.protocol.events.command import ExecCommandOutputDelta
from greenroom.protocol.events.event import Event
from greenroom.protocol.events.file_change import baseline_changes
from greenroom.protocol.events.item import ItemCompleted, ItemStarted, RawResponseCompleted, RawResponseItem
from greenroom.protocol.events.patch import ApplyPatchApprovalRequest, PatchApplyBegin, PatchApplyEnd
from greenroom.protocol.events.turn import TokenCount
from greenroom.protocol.items import JsonObject

LATER_EVENTS: Final = frozenset({ItemStarted, ItemCompleted, RawResponseItem, RawResponseCompleted})
"""Events that later releases added beside the older ones."""

LATER_COUNTS: Final = frozenset({"info", "rate_limits", "cache_write_input_tokens"})
"""Members of `token_count` that later releases added to the five counters of the last response."""


def baseline_event(event: Event) -> Event | JsonObject | None:
    """Return an event in its older form, `None` for a type that did not exist."""
    if type(event) in LATER_EVENTS:
        return None
    match event:
        case ExecCommandOutputDelta():
            return {**_members(event), "chunk": list(base64.b64decode(event.chunk))}
        case TokenCount():
            return {name: value for name, value in _members(event).items() if name not in LATER_COUNTS}
        case ApplyPatchApprovalRequest() | PatchApplyBegin() | PatchApplyEnd():
            return {**_members(event), "changes": baseline_changes(event.changes)}
    return event


def _members(event: Event) -> JsonObject:
    members: JsonObject = msgspec.to_builtins(event)
    return members
