"""What a run hands over to a host that runs already, and what it is told at the end.

After the hello the run sends one line, a `Handover`; the host sends what the run is to write, and at last a line that
begins with a NUL, which nothing else contains, and holds an `RunOutcome`.
"""

from typing import Final

import msgspec

from greenroom.protocol.ids import ConversationId
from greenroom.protocol.telemetry.trace_context import TraceContext
from greenroom.supervisor.frontend.exec.request import ExecRequest

PROTOCOL: Final = "exec"
"""The name of the protocol in the hello."""
LONGEST: Final = 64 * 1024 * 1024
"""Bytes of a handover."""
MARK: Final = b"\0"


class Handover(msgspec.Struct, frozen=True):
    """One run. Texts of JSON are members of their own, read by those whom they concern."""

    overrides: str
    items: str
    title: str | None
    resumed: str | None
    output_schema: str | None
    as_lines: bool
    colored: bool
    prompt: str
    originator: str | None
    trace: TraceContext | None = None

    def request(self) -> ExecRequest:
        """Return what is asked for."""
        schema = None if self.output_schema is None else self.output_schema.encode()
        resumed = None if self.resumed is None else ConversationId(self.resumed)
        return ExecRequest(self.overrides.encode(), self.items.encode(), self.title, resumed, schema, trace=self.trace)


class RunOutcome(msgspec.Struct, frozen=True):
    """How a run has ended."""

    answer: str | None = None
    """The agent's last message; `None` where the turn has failed."""
    error: str | None = None
    """Why it has failed, where that has not been told."""


def ending_line(ending: RunOutcome) -> bytes:
    """Return the last line."""
    return MARK + msgspec.json.encode(ending) + b"\n"
