"""Follows the turns of one conversation through the events of its workers, free of I/O: what each event means.

Rules that it keeps, whatever a worker sends and whenever it dies:

* an item begins once and ends once, and ends after it began;
* a turn begins once and ends once, after its items but for commands that run on, which end in a later turn;
* an item that its worker did not end is ended as declined where it was only asked for, else as failed; a text of the
  agent ends with what has come of it.
"""

import binascii
import codecs
import time
from collections.abc import Callable, Iterator, Mapping
from functools import singledispatchmethod
from typing import Final

import msgspec

from greenroom.protocol.events import command as command_events
from greenroom.protocol.events import goal as goal_events
from greenroom.protocol.events import item as item_events
from greenroom.protocol.events import mcp as mcp_events
from greenroom.protocol.events import patch as patch_events
from greenroom.protocol.events import review as review_events
from greenroom.protocol.events import text as text_events
from greenroom.protocol.events import tool as tool_events
from greenroom.protocol.events import turn as turn_events
from greenroom.protocol.events.event import Event
from greenroom.protocol.events.table import AnyEvent
from greenroom.protocol.events.thread_item import (
    AgentMessage,
    AnyItem,
    CommandExecution,
    FileChanges,
    McpToolCall,
    Reasoning,
    ThreadItemStatus,
    read_item,
)
from greenroom.supervisor.frontend.thread_items import update
from greenroom.supervisor.frontend.thread_items.update import EndedTurnStatus, Fault, TurnFinished, Update

UNCOUNTED: Final = frozenset({"raw_response_item", "raw_response_completed", "agent_message", "agent_message_delta"})
"""Frequent events that tell nothing new beside the items; they are not decoded."""
_HEAD: Final = b'{"type":"'
"""The beginning of all events but those of unknown makers."""

_decode: Final[Callable[[bytes], AnyEvent]] = msgspec.json.Decoder(AnyEvent).decode


class ThreadTracker:
    """One conversation; its turns follow each other."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """`clock` returns seconds since the epoch."""
        self._clock = clock
        self._open: dict[str, AnyItem] = {}
        """Items that have begun and not ended, by id."""
        self._asked: set[str] = set()
        """Of these, those that have only been asked for."""
        self._sections: dict[str, int] = {}
        """The last section of each summary."""
        self._texts: dict[str, list[str]] = {}
        """The pieces of each text of the agent that has not ended."""
        self._decoders: dict[str, codecs.IncrementalDecoder] = {}
        """Those of the outputs of commands: a character may be split between two pieces."""
        self._fault: Fault | None = None
        self._started_at: int | None = None
        self.is_running = False
        """Whether a turn has begun and not ended."""

    def receive(self, lines: bytes) -> Iterator[Update]:
        """Yield what a batch of events means, one event a line. Events of unknown form are skipped."""
        for line in lines.split(b"\n"):
            if not _is_counted(line):
                continue
            try:
                event = _decode(line)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                continue
            yield from self._take(event)

    def decline(self, item_id: str) -> Iterator[Update]:
        """End an item that was asked for, and that the user has declined."""
        if item_id in self._asked:
            yield from self._end_open(item_id, "declined")

    def fail(self, fault: Fault) -> Iterator[Update]:
        """End the running turn, if any, and all commands that run on: their worker is gone.

        The reason is told as a worker tells it, unless it has told one itself.
        """
        if self.is_running and self._fault is None:
            yield update.Failed(fault)
        yield from self._end("failed", fault)
        for item_id in list(self._open):
            yield from self._end_open(item_id, "failed")

    def interrupt(self) -> Iterator[Update]:
        """End the running turn, if any, as interrupted on behalf of its worker."""
        yield from self._end("interrupted", None)

    @singledispatchmethod
    def _take(self, event: Event) -> Iterator[Update]:
        """Yield what an event means; nothing where its items tell it."""
        del event
        yield from ()

    # Turns

    @_take.register
    def _(self, event: turn_events.TaskStarted) -> Iterator[Update]:
        yield from self._end("failed", self._fault)  # of an earlier turn, of whose end nothing was told
        self._fault, self.is_running, self._started_at = None, True, event.started_at
        yield update.TurnBegan(event.started_at)

    @_take.register
    def _(self, event: turn_events.ErrorEvent) -> Iterator[Update]:
        self._fault = Fault(event.message, event.codex_error_info)
        yield update.Failed(self._fault)

    @_take.register
    def _(self, event: turn_events.TaskComplete) -> Iterator[Update]:
        fault = self._fault or _fault_of(event)
        status: EndedTurnStatus = "completed" if fault is None else "failed"
        yield from self._end(
            status, fault, event.started_at, event.completed_at, event.duration_ms, event.last_agent_message
        )

    @_take.register
    def _(self, event: turn_events.TurnAborted) -> Iterator[Update]:
        yield from self._end("interrupted", None, event.started_at, event.completed_at, event.duration_ms)

    # Items

    @_take.register
    def _(self, event: item_events.ItemStarted) -> Iterator[Update]:
        item = read_item(event.item)
        if item is not None:
            yield from self._begin(item, event.started_at_ms)

    @_take.register
    def _(self, event: item_events.ItemCompleted) -> Iterator[Update]:
        item = read_item(event.item)
        if item is None:
            return
        yield from self._begin(item, event.started_at_ms)
        del self._open[item.id]
        self._forget(item.id)
        yield update.ItemEnded(item, event.completed_at_ms)

    @_take.register
    def _(self, event: command_events.ExecApprovalRequest) -> Iterator[Update]:
        parts = msgspec.to_builtins(event.parsed_cmd)
        item = CommandExecution(id=event.call_id, command=event.command, cwd=event.cwd, parsed_cmd=parts)
        yield from self._ask(item, event.started_at_ms)

    @_take.register
    def _(self, event: patch_events.ApplyPatchApprovalRequest) -> Iterator[Update]:
        yield from self._ask(FileChanges(id=event.call_id, changes=event.changes), event.started_at_ms)

    @_take.register
    def _(self, event: review_events.GuardianAssessment) -> Iterator[Update]:
        if event.status == "in_progress":
            yield update.ReviewBegan(event)
            return
        yield update.ReviewEnded(event)
        if event.status != "approved" and event.target_item_id is not None:
            yield from self.decline(event.target_item_id)

    # Pieces

    @_take.register
    def _(self, event: text_events.AgentMessageContentDelta) -> Iterator[Update]:
        self._texts.setdefault(event.item_id, []).append(event.delta)
        yield update.TextGrew(event.item_id, event.delta)

    @_take.register
    def _(self, event: text_events.ReasoningContentDelta) -> Iterator[Update]:
        last = self._sections.get(event.item_id, -1)
        if event.summary_index > last:
            self._sections[event.item_id] = event.summary_index
            yield update.SummarySectionBegan(event.item_id, event.summary_index)
        yield update.SummaryGrew(event.item_id, event.delta, event.summary_index)

    @_take.register
    def _(self, event: text_events.ReasoningRawContentDelta) -> Iterator[Update]:
        yield update.ReasoningGrew(event.item_id, event.delta, event.content_index)

    @_take.register
    def _(self, event: command_events.ExecCommandOutputDelta) -> Iterator[Update]:
        decoder = self._decoders.get(event.call_id)
        if decoder is None:
            decoder = self._decoders[event.call_id] = codecs.getincrementaldecoder("utf-8")("replace")
        piece = decoder.decode(_bytes(event.chunk))
        if piece:
            yield update.OutputGrew(event.call_id, piece)

    @_take.register
    def _(self, event: command_events.TerminalInteraction) -> Iterator[Update]:
        yield update.TerminalInput(event.call_id, event.process_id or "", event.stdin)

    # The rest

    @_take.register
    def _(self, event: tool_events.PlanUpdate) -> Iterator[Update]:
        yield update.PlanChanged(event.explanation, event.plan)

    @_take.register
    def _(self, event: patch_events.TurnDiff) -> Iterator[Update]:
        yield update.DiffChanged(event.unified_diff)

    @_take.register
    def _(self, event: turn_events.TokenCount) -> Iterator[Update]:
        yield update.TokensCounted(event.info, event.rate_limits)

    @_take.register
    def _(self, event: turn_events.StreamError) -> Iterator[Update]:
        for item_id in [item.id for item in self._open.values() if isinstance(item, AgentMessage | Reasoning)]:
            yield from self._end_open(item_id, "failed")  # the answer begins anew
        yield update.Retried(Fault(event.message, event.codex_error_info))

    @_take.register
    def _(self, event: turn_events.WarningEvent) -> Iterator[Update]:
        yield update.Warned(event.message)

    @_take.register
    def _(self, event: turn_events.ContextCompacted) -> Iterator[Update]:
        del event
        yield update.Compacted()

    @_take.register
    def _(self, event: goal_events.ThreadGoalUpdated) -> Iterator[Update]:
        yield update.GoalChanged(event.goal, event.turn_id)

    @_take.register
    def _(self, event: mcp_events.McpStartupUpdate) -> Iterator[Update]:
        error = event.status.get("error")
        yield update.ServerChanged(event.server, str(event.status.get("state")), None if error is None else str(error))

    @_take.register
    def _(self, event: mcp_events.McpStartupComplete) -> Iterator[Update]:
        if event.failed:
            yield update.ServersFailed(event.failed)

    def _ask(self, item: AnyItem, at_ms: int) -> Iterator[Update]:
        if item.id not in self._open:
            self._asked.add(item.id)
            self._open[item.id] = item
            yield update.ItemBegan(item, at_ms)

    def _begin(self, item: AnyItem, at_ms: int) -> Iterator[Update]:
        was_open = item.id in self._open
        self._asked.discard(item.id)
        self._open[item.id] = item
        if not was_open:
            yield update.ItemBegan(item, at_ms)

    def _end(
        self,
        status: EndedTurnStatus,
        fault: Fault | None,
        started_at: int | None = None,
        completed_at: int | None = None,
        duration_ms: int | None = None,
        last_message: str | None = None,
    ) -> Iterator[Update]:
        if not self.is_running:
            return
        self.is_running = False
        over = [item.id for item in self._open.values() if item.id in self._asked or not _runs_on(item)]
        for item_id in over:
            yield from self._end_open(item_id, "declined" if item_id in self._asked else "failed")
        now = round(self._clock())
        started = self._started_at if started_at is None else started_at
        if duration_ms is None and started is not None:
            duration_ms = max(now - started, 0) * 1000
        yield TurnFinished(
            status=status,
            fault=fault,
            started_at=started,
            completed_at=now if completed_at is None else completed_at,
            duration_ms=duration_ms,
            last_message=last_message,
        )

    def _end_open(self, item_id: str, status: ThreadItemStatus) -> Iterator[Update]:
        """End an item on behalf of the worker. A text ends with what has come of it."""
        item = self._open.pop(item_id)
        self._asked.discard(item_id)
        text = "".join(self._texts.get(item_id, ()))
        self._forget(item_id)
        if isinstance(item, CommandExecution | FileChanges):
            item = msgspec.structs.replace(item, status=status)
        elif isinstance(item, McpToolCall):
            item = msgspec.structs.replace(item, status="failed")
        elif isinstance(item, AgentMessage):
            item = msgspec.structs.replace(item, content=[{"type": "Text", "text": text}])
        yield update.ItemEnded(item, round(self._clock() * 1000))

    def _forget(self, item_id: str) -> None:
        for kept in (self._texts, self._decoders, self._sections):
            kept.pop(item_id, None)


def _is_counted(line: bytes) -> bool:
    if not line.startswith(_HEAD):
        return bool(line)
    return line[len(_HEAD) : line.index(b'"', len(_HEAD))].decode("ascii", "replace") not in UNCOUNTED


def _runs_on(item: AnyItem) -> bool:
    """Tell whether an item may outlive its turn: a command that has a process of its own."""
    return isinstance(item, CommandExecution) and item.process_id is not None


def _fault_of(event: turn_events.TaskComplete) -> Fault | None:
    error: Mapping[str, object] | msgspec.UnsetType = event.error
    if isinstance(error, msgspec.UnsetType):
        return None
    info = error.get("codex_error_info")
    return Fault(str(error.get("message")), info if isinstance(info, str | dict) else None)


def _bytes(chunk: str) -> bytes:
    try:
        return binascii.a2b_base64(chunk)
    except binascii.Error:
        return b""
