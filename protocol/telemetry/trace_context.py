"""W3C Trace Context: which trace a call belongs to (https://www.w3.org/TR/trace-context/). Free of I/O."""

import re
from typing import Any, Final, NamedTuple

import msgspec

LONGEST_STATE: Final = 512
"""Characters of a `tracestate` that are passed on; one that is longer is dropped, as the specification allows."""

_PARENT: Final = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_STATE: Final = re.compile(r"[\x20-\x7e]*")


class TraceContext(NamedTuple):
    """A span that is to be the parent of others."""

    trace_id: str
    """32 hexadecimal digits."""
    span_id: str
    """16 hexadecimal digits."""
    flags: int
    """Bit 0: the trace is recorded."""
    state: str = ""
    """`tracestate`, as it came."""

    @property
    def parent(self) -> str:
        """The value of `traceparent`."""
        return self.headers_of(self.span_id)["traceparent"]

    def headers_of(self, span_id: str) -> dict[str, str]:
        """Return the headers that name a span of the same trace."""
        headers = {"traceparent": f"00-{self.trace_id}-{span_id}-{self.flags & 1:02x}"}
        if self.state:
            headers["tracestate"] = self.state
        return headers


class _Carrier(msgspec.Struct, frozen=True):
    """An object that names a span."""

    traceparent: Any = None
    tracestate: Any = None


def decode_trace_context(carrier: bytes | None) -> TraceContext | None:
    """Return what an object with these two members says, which is JSON; `None` as from `read_trace_context`."""
    try:
        found = None if carrier is None else msgspec.json.decode(carrier, type=_Carrier)
    except (msgspec.MsgspecError, RecursionError):
        return None
    return None if found is None else read_trace_context(found.traceparent, found.tracestate)


def read_trace_context(parent: object, state: object = None) -> TraceContext | None:
    """Return what `traceparent` and `tracestate` say; `None` where the first is absent or not valid."""
    found = _PARENT.fullmatch(parent) if isinstance(parent, str) else None
    if found is None or (found[0].startswith("00") and found[4]):
        return None
    kept = state if isinstance(state, str) and len(state) <= LONGEST_STATE and _STATE.fullmatch(state) else ""
    return TraceContext(found[1], found[2], int(found[3], 16), kept)
