"""Pairs calls with their outputs: in a request each call is followed by exactly one output. Free of I/O."""

from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from typing import Final
from uuid import NAMESPACE_OID, uuid5

import msgspec

from greenroom.protocol.items import JsonObject
from greenroom.workers.conversation.history.history_entry import HistoryEntry

ABORTED: Final = "aborted"
"""The output of a call that has none, as the model reads it."""


class _Pairing(msgspec.Struct, frozen=True):
    output: str
    """The `type` of the item that answers the call."""
    aborted: JsonObject
    """The members of an output for a call without one, besides its ids."""
    prefix: str
    """The prefix of the id of such an output."""


_FUNCTION: Final = _Pairing("function_call_output", {"output": ABORTED}, "fco_")
_PAIRINGS: Final[Mapping[str, _Pairing]] = {
    "function_call": _FUNCTION,
    "local_shell_call": _FUNCTION,
    "custom_tool_call": _Pairing("custom_tool_call_output", {"output": ABORTED}, "ctco_"),
    "tool_search_call": _Pairing(
        "tool_search_output", {"status": "incomplete", "execution": "client", "tools": []}, "tso_"
    ),
}
OUTPUT_TYPES: Final = frozenset(pairing.output for pairing in _PAIRINGS.values())
"""The types of items that answer a call."""


def expected_output(entry: HistoryEntry) -> tuple[str, str] | None:
    """Return type and call id of the output that must follow; `None` for no call, or one that the server runs."""
    pairing = _PAIRINGS.get(entry.type)
    return None if pairing is None or entry.call_id is None else (pairing.output, entry.call_id)


def match_outputs(entries: Sequence[HistoryEntry]) -> dict[int, int]:
    """Return for the position of each output the position of its call: the oldest before it that is still open."""
    open_calls: defaultdict[tuple[str, str | None], deque[int]] = defaultdict(deque)
    matches: dict[int, int] = {}
    for position, entry in enumerate(entries):
        if (expected := expected_output(entry)) is not None:
            open_calls[expected].append(position)
        elif waiting := open_calls.get((entry.type, entry.call_id)):
            matches[position] = waiting.popleft()
    return matches


def aborted_output(call: HistoryEntry) -> JsonObject:
    """Return an output for a call that has none. Its id is derived from the call's: the same in all requests."""
    pairing = _PAIRINGS[call.type]
    output: JsonObject = {"type": pairing.output}
    if isinstance(call_item_id := call.item.get("id"), str):
        output["id"] = pairing.prefix + str(uuid5(NAMESPACE_OID, call_item_id))
    return {**output, "call_id": call.call_id, **pairing.aborted}
