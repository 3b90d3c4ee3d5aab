"""Tells a turn as the lines of `codex exec --json`. Free of I/O.

Rules that it keeps: an item that began ends before the turn does, a plan with it; commands that still run then are
ended by the program's end, and are told as failed. One of `turn.completed` and `turn.failed` is the last line.
"""

from collections.abc import Callable, Iterator
from functools import singledispatchmethod
from typing import Final

import msgspec

from greenroom.protocol import exec_events as wire
from greenroom.protocol.events.turn import SessionConfigured
from greenroom.protocol.failure import Failure
from greenroom.supervisor.frontend.exec.item_form import is_text, render_exec_item
from greenroom.supervisor.frontend.thread_items import update
from greenroom.supervisor.frontend.thread_items.update import Update

INTERRUPTED: Final = "turn interrupted"
_encode: Final[Callable[[object], bytes]] = msgspec.json.Encoder().encode


class EventLines:
    """Implements `greenroom.supervisor.frontend.exec.turn_renderer.TurnRenderer`."""

    def __init__(self) -> None:
        self._count = 0
        self._open: dict[str, wire.AnyExecItem] = {}
        """The items that have begun and not ended, by the ids of the conversation."""
        self._plan: wire.ExecTodoListItem | None = None
        self._usage = wire.ExecUsage()

    def opened(self, event: SessionConfigured) -> Iterator[bytes]:
        """Tell that the conversation is open."""
        yield _line(wire.ExecThreadStarted(event.thread_id))

    def tell(self, one: Update) -> Iterator[bytes]:
        """Tell a step."""
        yield from map(_line, self._events(one))

    def fail(self, failure: Failure) -> Iterator[bytes]:
        """Tell why a turn has failed of which no step tells that."""
        yield _line(wire.ExecStreamError(failure.message))
        yield from map(_line, self._close())
        yield _line(wire.ExecTurnFailed(wire.ExecErrorText(failure.message, failure.kind)))

    def warn(self, text: str) -> Iterator[bytes]:
        """Tell something that the user should know."""
        yield _line(wire.ExecItemCompleted(wire.ExecErrorItem(id=self._next_id(), message=text)))

    @singledispatchmethod
    def _events(self, one: Update) -> Iterator[wire.AnyExecEvent]:
        """Yield the events of a step; none for pieces of texts and outputs."""
        del one
        yield from ()

    @_events.register
    def _(self, one: update.TurnBegan) -> Iterator[wire.AnyExecEvent]:
        del one
        yield wire.ExecTurnStarted()

    @_events.register
    def _(self, one: update.TurnFinished) -> Iterator[wire.AnyExecEvent]:
        yield from self._close()
        if one.status == "completed":
            yield wire.ExecTurnCompleted(self._usage)
        else:
            message = INTERRUPTED if one.fault is None else one.fault.message
            yield wire.ExecTurnFailed(wire.ExecErrorText(message))

    @_events.register
    def _(self, one: update.ItemBegan) -> Iterator[wire.AnyExecEvent]:
        if is_text(one.item):
            return
        item = render_exec_item(one.item, f"item_{self._count}")
        if item is not None:
            self._count += 1
            self._open[one.item.id] = item
            yield wire.ExecItemStarted(item)

    @_events.register
    def _(self, one: update.ItemEnded) -> Iterator[wire.AnyExecEvent]:
        begun = self._open.pop(one.item.id, None)
        item = render_exec_item(one.item, f"item_{self._count}" if begun is None else begun.id)
        if item is not None:
            self._count += begun is None
            yield wire.ExecItemCompleted(item)

    @_events.register
    def _(self, one: update.PlanChanged) -> Iterator[wire.AnyExecEvent]:
        entries = [wire.ExecTodoEntry(step.step, step.status == "completed") for step in one.steps]
        if self._plan is None:
            self._plan = wire.ExecTodoListItem(id=self._next_id(), items=entries)
            yield wire.ExecItemStarted(self._plan)
        else:
            self._plan = wire.ExecTodoListItem(id=self._plan.id, items=entries)
            yield wire.ExecItemUpdated(self._plan)

    @_events.register
    def _(self, one: update.TokensCounted) -> Iterator[wire.AnyExecEvent]:
        if one.info is not None:
            self._usage = msgspec.convert(one.info.total_token_usage, wire.ExecUsage, from_attributes=True)
        yield from ()

    @_events.register
    def _(self, one: update.Retried) -> Iterator[wire.AnyExecEvent]:
        yield wire.ExecStreamError(one.fault.message)

    @_events.register
    def _(self, one: update.Failed) -> Iterator[wire.AnyExecEvent]:
        yield wire.ExecStreamError(one.fault.message)

    @_events.register
    def _(self, one: update.Warned) -> Iterator[wire.AnyExecEvent]:
        yield wire.ExecItemCompleted(wire.ExecErrorItem(id=self._next_id(), message=one.message))

    @_events.register
    def _(self, one: update.ServersFailed) -> Iterator[wire.AnyExecEvent]:
        for failure in one.failures:
            message = f"MCP server {failure.server} is left out: {failure.error}"
            yield wire.ExecItemCompleted(wire.ExecErrorItem(id=self._next_id(), message=message))

    def _close(self) -> Iterator[wire.AnyExecEvent]:
        for item in self._open.values():
            if not isinstance(item, wire.ExecWebSearchItem):
                item = msgspec.structs.replace(item, status="failed")  # noqa: PLW2901 - the same item, as it ends
            yield wire.ExecItemCompleted(item)
        self._open.clear()
        if self._plan is not None:
            yield wire.ExecItemCompleted(self._plan)
            self._plan = None

    def _next_id(self) -> str:
        self._count += 1
        return f"item_{self._count - 1}"


def _line(event: wire.AnyExecEvent) -> bytes:
    return _encode(event) + b"\n"
