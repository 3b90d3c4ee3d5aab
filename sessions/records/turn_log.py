"""How the turns of a conversation ended, from the lines of its session file. Free of I/O.

Only current formats say so; a file of August 2025 has no such records, and its log is empty.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Literal, TypeAlias

import msgspec
from msgspec.structs import replace

SavedOutcome: TypeAlias = Literal["open", "completed", "failed", "aborted"]
"""`open`: the file has no end of the turn. It runs, or its process has died."""

_MARKS: Final = (b'"task_', b'"turn_')
"""What each line that matters contains, so that the others need not be decoded."""


class SavedTurn(msgspec.Struct, frozen=True):
    """One turn as its session file records it. Times are in seconds since the epoch."""

    id: str
    outcome: SavedOutcome = "open"
    started_at: float | None = None
    ended_at: float | None = None
    last_message: str | None = None
    """The agent's last message."""
    message: str | None = None
    """The failure in words, or the reason of the abort."""


class _Fault(msgspec.Struct, frozen=True):
    message: str = ""


class _Event(msgspec.Struct, frozen=True):
    type: str
    turn_id: str = ""
    started_at: float | None = None
    completed_at: float | None = None
    last_agent_message: str | None = None
    reason: str | None = None
    error: _Fault | None = None


class _Line(msgspec.Struct, frozen=True):
    type: str
    payload: _Event


_decode: Final = msgspec.json.Decoder(_Line).decode


class TurnLog:
    """The turns that the lines read so far tell of."""

    def __init__(self) -> None:
        self.turns: list[SavedTurn] = []
        """In the order in which they began."""

    def watching(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the lines unchanged, and read each."""
        for line in lines:
            self.take(line)
            yield line

    def skip(self) -> None:
        """Note that lines are missing here, in which a turn may have begun."""
        if self.turns and self.turns[-1].outcome != "open":
            self.turns.append(SavedTurn(""))

    def take(self, line: bytes) -> None:
        """Read a line. One of another form is passed over."""
        if not any(mark in line for mark in _MARKS):
            return
        try:
            record = _decode(line)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return
        if record.type == "event_msg" and record.payload.type in _OUTCOMES:
            self._take(record.payload, _OUTCOMES[record.payload.type])

    def _take(self, event: _Event, outcome: SavedOutcome) -> None:
        if outcome == "open":
            self.turns.append(SavedTurn(event.turn_id, started_at=event.started_at))
            return
        begun = self._take_begun(event.turn_id)
        failure = event.error
        self.turns.append(
            replace(
                begun,
                id=begun.id or event.turn_id,
                outcome="failed" if failure is not None and outcome == "completed" else outcome,
                started_at=event.started_at if begun.started_at is None else begun.started_at,
                ended_at=event.completed_at,
                last_message=event.last_agent_message,
                message=event.reason if failure is None else failure.message,
            )
        )

    def _take_begun(self, turn_id: str) -> SavedTurn:
        """Remove and return the last turn, if it is the one that ends; otherwise one whose beginning is not known."""
        last = self.turns[-1] if self.turns else None
        if last is not None and last.outcome == "open" and (last.id == turn_id or not (last.id and turn_id)):
            return self.turns.pop()
        return SavedTurn(turn_id)


_OUTCOMES: Final[Mapping[str, SavedOutcome]] = {
    "task_started": "open",
    "turn_started": "open",
    "task_complete": "completed",
    "turn_complete": "completed",
    "turn_aborted": "aborted",
}
