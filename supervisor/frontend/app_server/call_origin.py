"""What is known of the call that asks for a turn."""

from greenroom.protocol.jsonrpc import Request
from greenroom.protocol.telemetry.trace_context import decode_trace_context
from greenroom.supervisor.conversations.state.turn import CallOrigin


def request_origin(request: Request) -> CallOrigin:
    """Return it, with the span of the client where the member `trace` names a valid one."""
    return CallOrigin(request.method, request_id=str(request.id), trace=decode_trace_context(request.trace))
