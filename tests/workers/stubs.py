"""What a turn leans on, played by a test: a mailbox and a record that remember, and a model that says its lines."""

import json
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import msgspec

from greenroom.protocol.errors import ModelError
from greenroom.protocol.events.event import Event
from greenroom.protocol.internal.worker.notices import WorkerNotice
from greenroom.protocol.items import JsonObject
from greenroom.sessions.records.format import SessionRecord
from greenroom.workers.model.client import Model, OnRetry
from greenroom.workers.model.outcome.retry import Retry
from greenroom.workers.model.responses import Completed, ItemDone, ModelEvent, ResponseUsage, TextDelta

USAGE = ResponseUsage(
    input_tokens=10, cached_input_tokens=4, output_tokens=5, reasoning_output_tokens=2, total_tokens=15
)


class StubMailbox:
    """Takes events and remembers them."""

    def __init__(self, log: list[str] | None = None) -> None:
        self.raw: list[bytes] = []
        self.notices: list[WorkerNotice] = []
        self.log = [] if log is None else log
        self.pressed = False
        self.drained = 0

    def emit(self, event: bytes) -> None:
        self.raw.append(event)
        self.log.append(json.loads(event)["type"])

    def notify(self, notice: WorkerNotice, payload: bytes = b"") -> None:
        del payload
        self.notices.append(notice)

    async def drain(self) -> None:
        self.drained += 1
        self.pressed = False

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(event) for event in self.raw]

    @property
    def kinds(self) -> list[str]:
        return [event["type"] for event in self.events]


class StubRecord:
    """Takes records, and notes when they are written."""

    def __init__(self, log: list[str] | None = None) -> None:
        self.items: list[JsonObject] = []
        self.kept: list[JsonObject] = []
        self.added: list[SessionRecord] = []
        self.written = 0
        self.log = [] if log is None else log

    def item(self, item: JsonObject) -> None:
        self.items.append(item)
        self.log.append(f"keep {item['type']}")

    def event(self, event: Event) -> None:
        self.kept.append(msgspec.to_builtins(event))

    def add(self, *records: SessionRecord) -> None:
        self.added.extend(records)

    def write_soon(self) -> None:
        self.log.append("write soon")

    def write(self) -> None:
        self.written += 1
        self.log.append("write")


Line = list[ModelEvent] | Retry | ModelError
"""A batch of events, a new attempt, or the end in an error."""


class StubModel:
    """Answers each request with the next of its responses."""

    def __init__(self, *responses: Sequence[Line]) -> None:
        self._responses = list(responses)
        self.bodies: list[dict[str, Any]] = []

    async def stream(self, body: bytes, on_retry: OnRetry) -> AsyncGenerator[list[ModelEvent], None]:
        self.bodies.append(json.loads(body))
        for line in self._responses.pop(0):
            if isinstance(line, Retry):
                on_retry(line)
            elif isinstance(line, ModelError):
                raise line
            else:
                yield line


class StubModelSource:
    """A connection to a model that is there (`greenroom.workers.conversation.model_connection.ModelSource`)."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.turns = 0

    async def client(self) -> Model:
        return self.model

    def begin_turn(self) -> None:
        self.turns += 1


class StubGoal:
    """No goal (`greenroom.workers.conversation.turn.turn.TurnGoal`)."""

    def count(self, usage: ResponseUsage | None, *, acts: bool) -> None: ...

    def tell_limit(self) -> None: ...


class StubTurnContext:
    """A turn of fixed settings (`greenroom.workers.conversation.compaction.compaction.TurnContext`)."""

    def context_record(self) -> SessionRecord:
        return SessionRecord("turn_context", {"cwd": "/"})


def said(text: str, item_id: str = "msg_1") -> ItemDone:
    return ItemDone(
        {"type": "message", "id": item_id, "role": "assistant", "content": [{"type": "output_text", "text": text}]}
    )


def called(call_id: str, name: str = "shell", arguments: str = "{}") -> ItemDone:
    return ItemDone(
        {"type": "function_call", "id": f"fc_{call_id}", "call_id": call_id, "name": name, "arguments": arguments}
    )


def delta(text: str) -> TextDelta:
    return TextDelta(json.dumps(text).encode())


def done(usage: ResponseUsage | None = USAGE, end_turn: bool = True) -> Completed:
    return Completed("resp_1", usage, end_turn)
