"""The turns of a saved conversation with their items, free of I/O.

Files hold completed items (paginated ones), or flat events from which the items are made, or (those of August 2025)
nothing but the history. Commands of the latter two are made from the calls in the history and their outputs.
Turns that were rolled back are left out.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias

import msgspec

from greenroom.protocol.events import thread_item as items
from greenroom.protocol.events.thread_item import AnyItem
from greenroom.protocol.items import JsonObject, as_list, text_parts
from greenroom.protocol.user_messages import is_user_message
from greenroom.sessions.records.stored_command import command_of, exit_code_of, written

StoredTurnState: TypeAlias = Literal["completed", "interrupted", "failed", "open"]


class StoredItem(msgspec.Struct, frozen=True):
    """An item, and the time at which it was stored, in milliseconds since the epoch."""

    item: AnyItem
    at_ms: int


class StoredTurn(msgspec.Struct):
    """One turn."""

    id: str
    started_at: int | None = None
    """In seconds since the epoch, as `completed_at`."""
    state: StoredTurnState = "open"
    """`open` where the file has no end of it."""
    completed_at: int | None = None
    duration_ms: int | None = None
    fault: str | None = None
    fault_info: Any = None
    items: list[StoredItem] = msgspec.field(default_factory=list)


class _Git(msgspec.Struct, frozen=True):
    commit_hash: str | None = None
    branch: str | None = None
    repository_url: str | None = None


class StoredMeta(msgspec.Struct, frozen=True):
    """What the first line of a file says of its conversation."""

    id: str = ""
    timestamp: str = ""
    cwd: str = ""
    cli_version: str = ""
    model_provider: str | None = None
    source: Any = None
    originator: str | None = None
    forked_from_id: str | None = None
    thread_source: str | None = None
    git: _Git | None = None


class ThreadHistory(msgspec.Struct, frozen=True):
    """Everything that a file tells of its conversation."""

    meta: StoredMeta
    turns: list[StoredTurn]


class _Line(msgspec.Struct, frozen=True):
    timestamp: str = ""
    type: str = ""
    payload: JsonObject | None = None


_decode_line: Final = msgspec.json.Decoder(_Line).decode
_decode_object: Final = msgspec.json.Decoder(JsonObject).decode


def thread_history(lines: Iterable[bytes]) -> ThreadHistory:
    """Read the lines of a file. Lines of unknown form are skipped."""
    reading = _Reading()
    for line in lines:
        reading.take(line)
    return ThreadHistory(reading.meta, reading.turns)


def meta_of(line: bytes) -> StoredMeta:
    """Return what a first line says; empty where it is none."""
    try:
        payload = _decode_line(line).payload
        return msgspec.convert(_decode_object(line) if payload is None else payload, StoredMeta)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return StoredMeta()


def epoch_milliseconds(timestamp: str) -> int:
    """Return the time of a line in milliseconds since the epoch; 0 where it has none."""
    try:
        return round(datetime.fromisoformat(timestamp).timestamp() * 1000)
    except ValueError:
        return 0


class _Reading:
    def __init__(self) -> None:
        self.meta = StoredMeta()
        self.turns: list[StoredTurn] = []
        self._is_first = True
        self._has_events = False
        self._calls: dict[str, items.CommandExecution] = {}
        """Commands whose output has not come yet."""
        self._at_ms = 0
        self._count = 0

    def take(self, line: bytes) -> None:
        if self._is_first:
            self._is_first = False
            self.meta = meta_of(line)
            return
        try:
            record = _decode_line(line)
            self._at_ms = epoch_milliseconds(record.timestamp)
            if record.payload is None:
                self._take_history(_decode_object(line))
                return
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return
        if record.type == "response_item":
            self._take_history(record.payload)
        elif record.type == "event_msg":
            self._has_events = True
            taker = _EVENTS.get(str(record.payload.get("type")))
            if taker is not None:
                taker(self, record.payload)

    # Turns

    def begin(self, event: JsonObject) -> None:
        self._calls.clear()
        turn_id = event.get("turn_id")
        started_at = event.get("started_at")
        self.turns.append(
            StoredTurn(
                turn_id if isinstance(turn_id, str) else f"turn-{len(self.turns) + 1}",
                started_at if isinstance(started_at, int) else self._at_ms // 1000,
            )
        )

    def complete(self, event: JsonObject) -> None:
        error = event.get("error")
        if isinstance(error, dict):
            self._end("failed", event)
            self._turn.fault = str(error.get("message"))
            self._turn.fault_info = error.get("codex_error_info")
        else:
            self._end("completed", event)

    def abort(self, event: JsonObject) -> None:
        self._end("interrupted", event)

    def roll_back(self, event: JsonObject) -> None:
        count = event.get("num_turns")
        if isinstance(count, int) and count > 0:
            del self.turns[-count:]

    def _end(self, state: StoredTurnState, event: Mapping[str, object]) -> None:
        turn = self._turn
        completed_at, duration = event.get("completed_at"), event.get("duration_ms")
        turn.state = state
        turn.completed_at = completed_at if isinstance(completed_at, int) else self._at_ms // 1000
        turn.duration_ms = duration if isinstance(duration, int) else None

    @property
    def _turn(self) -> StoredTurn:
        if not self.turns:
            self.turns.append(StoredTurn("turn-1", self._at_ms // 1000))
        return self.turns[-1]

    # Items

    def item(self, event: JsonObject) -> None:
        given = event.get("item")
        item = items.read_item(given) if isinstance(given, dict) else None
        if item is not None:
            self._add(item)

    def user(self, event: JsonObject) -> None:
        content: list[JsonObject] = [{"type": "text", "text": str(event.get("message", ""))}]
        content += [{"type": "image", "image_url": url} for url in as_list(event.get("images"))]
        content += [{"type": "local_image", "path": path} for path in as_list(event.get("local_images"))]
        self._add(items.UserMessage(id=self._fresh_id(), content=content))

    def agent(self, event: JsonObject) -> None:
        phase = event.get("phase")
        text: JsonObject = {"type": "Text", "text": str(event.get("message", ""))}
        self._add(
            items.AgentMessage(id=self._fresh_id(), content=[text], phase=phase if isinstance(phase, str) else None)
        )

    def reasoning(self, event: JsonObject) -> None:
        self._add(items.Reasoning(id=self._fresh_id(), summary_text=[str(event.get("text", ""))]))

    def raw_reasoning(self, event: JsonObject) -> None:
        self._add(items.Reasoning(id=self._fresh_id(), raw_content=[str(event.get("text", ""))]))

    def patch(self, event: JsonObject) -> None:
        status = event.get("status") or ("completed" if event.get("success") else "failed")
        self._convert({**event, "id": event.get("call_id"), "status": status}, "FileChange")

    def mcp_call(self, event: JsonObject) -> None:
        outcome: JsonObject = {"status": "failed"}
        match event.get("result"):
            case {"Ok": ok}:
                outcome = {"status": "completed", "result": ok}
            case {"Err": text}:
                outcome = {"status": "failed", "error": {"message": text}}
        call = event.get("invocation")
        facts = call if isinstance(call, dict) else {}
        self._convert(
            {"id": event.get("call_id"), **facts, **outcome, "duration": event.get("duration")}, "McpToolCall"
        )

    def web_search(self, event: JsonObject) -> None:
        self._convert({**event, "id": event.get("call_id")}, "WebSearch")

    def compaction(self, _: JsonObject) -> None:
        self._add(items.ContextCompaction(id=self._fresh_id()))

    def review_begun(self, event: JsonObject) -> None:
        self._convert({"id": self._fresh_id(), "review": event}, "EnteredReviewMode")

    def review_ended(self, event: JsonObject) -> None:
        self._convert({"id": self._fresh_id(), "review": event.get("review_output")}, "ExitedReviewMode")

    def _convert(self, item: JsonObject, kind: str | None = None) -> None:
        found = items.read_item(item if kind is None else {**item, "type": kind})
        if found is not None:
            self._add(found)

    def _take_history(self, item: JsonObject) -> None:
        match item.get("type"):
            case "message" if not self._has_events:
                self._take_message(item)
            case "function_call" | "local_shell_call":
                self._take_call(item)
            case "function_call_output":
                self._take_output(item)

    def _take_message(self, item: JsonObject) -> None:
        text = "\n".join(text_parts(item))
        if item.get("role") == "assistant":
            self.agent({"message": text})
        elif is_user_message(item):
            if not self.turns or self.turns[-1].items:
                self.begin({})
                self.turns[-1].state = "completed"
            self.user({"message": text})

    def _take_call(self, item: JsonObject) -> None:
        words = command_of(item)
        call_id = item.get("call_id")
        if words is not None and isinstance(call_id, str):
            self._calls[call_id] = items.CommandExecution(id=call_id, command=words, cwd=self.meta.cwd)

    def _take_output(self, item: JsonObject) -> None:
        command = self._calls.pop(str(item.get("call_id")), None)
        known = {stored.item.id for stored in self._turn.items}
        if command is None or command.id in known:  # a paginated file has the whole item
            return
        text = item.get("output")
        output = text if isinstance(text, str) else "\n".join(text_parts({"content": text}))
        code = exit_code_of(output)
        status: items.ThreadItemStatus = "failed" if code else "completed"
        self._add(msgspec.structs.replace(command, status=status, exit_code=code, aggregated_output=written(output)))

    def _add(self, item: AnyItem) -> None:
        turn = self._turn
        turn.items = [stored for stored in turn.items if stored.item.id != item.id]
        turn.items.append(StoredItem(item, self._at_ms))

    def _fresh_id(self) -> str:
        """Return an id that the next reading of the file finds again."""
        self._count += 1
        return f"item-{self._count}"


_EVENTS: Final[Mapping[str, Callable[[_Reading, JsonObject], None]]] = {
    "task_started": _Reading.begin,
    "turn_started": _Reading.begin,
    "task_complete": _Reading.complete,
    "turn_complete": _Reading.complete,
    "turn_aborted": _Reading.abort,
    "thread_rolled_back": _Reading.roll_back,
    "item_completed": _Reading.item,
    "user_message": _Reading.user,
    "agent_message": _Reading.agent,
    "agent_reasoning": _Reading.reasoning,
    "agent_reasoning_raw_content": _Reading.raw_reasoning,
    "patch_apply_end": _Reading.patch,
    "mcp_tool_call_end": _Reading.mcp_call,
    "web_search_end": _Reading.web_search,
    "context_compacted": _Reading.compaction,
    "entered_review_mode": _Reading.review_begun,
    "exited_review_mode": _Reading.review_ended,
}
