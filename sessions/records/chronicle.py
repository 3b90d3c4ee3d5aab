"""The whole of a conversation from its beginning, turn by turn, free of I/O.

`greenroom.sessions.records.restored` replays a session file for the model, which no longer sees what was compacted
away. Here all of it is kept, for people to read, with the offsets in the file at which turns have ended, where a
conversation can be forked. Turns that were rolled back are left out.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple, TypeVar

import msgspec

from greenroom.protocol.items import JsonObject, is_known_item
from greenroom.protocol.user_messages import is_user_message

T = TypeVar("T")


class TurnItem(NamedTuple):
    """An item of the history, and the turn to which it belongs; turns count from 1."""

    turn: int
    item: JsonObject


class Chronicle(NamedTuple):
    """Everything that a file contains of its conversation."""

    told: list[TurnItem]
    changes: list[JsonObject]
    """The changes of applied patches, each as a map from path to change, in order."""
    ends: list[int]
    """The offset in the file behind each turn that has ended."""


def chronicle(lines: Iterable[bytes]) -> Chronicle:
    """Read the lines of a file, each with its newline. Lines of unknown form are skipped."""
    reading = ChronicleReader()
    for line in lines:
        reading.take(line)
    reading.close()
    return Chronicle(reading.told, reading.changes, reading.ends)


class _Line(msgspec.Struct, frozen=True):
    type: str = ""
    payload: msgspec.Raw = msgspec.Raw(b"")


class _Item(msgspec.Struct, frozen=True):
    type: str
    status: str = ""
    changes: JsonObject | None = None


class _Event(msgspec.Struct, frozen=True):
    type: str
    success: bool = False
    changes: JsonObject | None = None
    num_turns: int = 0
    item: _Item | None = None


def _decode(data: bytes | msgspec.Raw, form: type[T]) -> T | None:
    try:
        return msgspec.json.decode(data, type=form)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


class ChronicleReader:
    """Reads the lines of one file, in order."""

    def __init__(self) -> None:
        self.told: list[TurnItem] = []
        self.changes: list[JsonObject] = []
        self.ends: list[int] = []
        self._turn = 0
        self._is_open = False
        self._has_events = False
        self._before = 0
        self._after = 0

    def take(self, line: bytes) -> None:
        self._before, self._after = self._after, self._after + len(line)
        record = _decode(line, _Line)
        if record is None:
            return
        if not bytes(record.payload):
            self._take_item(line)
        elif record.type == "response_item":
            self._take_item(record.payload)
        elif record.type == "event_msg" and (event := _decode(record.payload, _Event)) is not None:
            self._has_events = True
            if taker := _TAKERS.get(event.type):
                taker(self, event)

    def close(self) -> None:
        """Handle the end of the file. In a file without events of ends, a turn has ended with the agent's answer."""
        if self._is_open and not self._has_events and self.told[-1].item.get("role") == "assistant":
            self._end(self._after)

    def begin(self, _: _Event) -> None:
        if self._is_open:  # the previous turn has no end of its own: its process died
            self._end(self._before)

    def end(self, _: _Event) -> None:
        if self._is_open:
            self._end(self._after)
        elif self.ends:  # a turn without a message
            self.ends[-1] = self._after

    def patch(self, event: _Event) -> None:
        if event.success and event.changes:
            self.changes.append(event.changes)

    def item(self, event: _Event) -> None:
        """Take a patch from a paginated file, which has no flat events."""
        item = event.item
        if item is not None and item.type == "FileChange" and item.status == "completed" and item.changes:
            self.changes.append(item.changes)

    def roll_back(self, event: _Event) -> None:
        if event.num_turns < 1:
            return
        self._turn = max(0, self._turn - event.num_turns)
        self._is_open = False
        self.told = [told for told in self.told if told.turn <= self._turn]
        del self.ends[self._turn :]
        if self.ends:
            self.ends[-1] = self._after

    def _take_item(self, payload: bytes | msgspec.Raw) -> None:
        item = _decode(payload, dict[str, object])
        if item is None or not is_known_item(item):
            return
        if is_user_message(item) and (not self._is_open or self._is_next_without_events()):
            if self._is_open:
                self._end(self._before)
            self._turn += 1
            self._is_open = True
        self.told.append(TurnItem(self._turn, item))

    def _is_next_without_events(self) -> bool:
        return not self._has_events and not is_user_message(self.told[-1].item)

    def _end(self, offset: int) -> None:
        self.ends.append(offset)
        self._is_open = False


_TAKERS: Final[Mapping[str, Callable[[ChronicleReader, _Event], None]]] = {
    "task_started": ChronicleReader.begin,
    "turn_started": ChronicleReader.begin,
    "task_complete": ChronicleReader.end,
    "turn_complete": ChronicleReader.end,
    "turn_aborted": ChronicleReader.end,
    "patch_apply_end": ChronicleReader.patch,
    "item_completed": ChronicleReader.item,
    "thread_rolled_back": ChronicleReader.roll_back,
}
