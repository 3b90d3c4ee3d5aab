"""What one run is asked to do."""

from typing import NamedTuple

from greenroom.protocol.ids import ConversationId
from greenroom.protocol.telemetry.trace_context import TraceContext


class ExecRequest(NamedTuple):
    """One turn, in a new conversation or in a saved one."""

    overrides: bytes
    """Settings as JSON of `greenroom.config.settings.ConversationOverrides`."""
    items: bytes
    """The input, as the JSON array that workers read."""
    title: str | None
    """The beginning of the input, as a title."""
    resumed: ConversationId | None = None
    """The saved conversation to go on with."""
    output_schema: bytes | None = None
    """JSON Schema that the last message must fit, as JSON."""
    ephemeral: bool = False
    """Whether nothing is saved."""
    trace: TraceContext | None = None
    """The span of the program that has started the run, if it has named one."""
