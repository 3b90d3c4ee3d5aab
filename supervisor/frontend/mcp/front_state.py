"""What a client of MCP has said that still counts while no request of it is open: so another process serves it on."""

import msgspec

from greenroom.protocol.mcp.resources import ListName, LogLevel


class FrontState(msgspec.Struct, frozen=True, omit_defaults=True):
    """The state of one client."""

    initialize: bytes | None = None
    """The params of its handshake, as JSON; `None`: there was none."""
    cwd: str = ""
    """As in `ClientChannel`."""
    next_id: int = 0
    """The id of the next request to the client."""
    received: bytes = b""
    """The beginning of a line whose end has not come yet."""
    log_level: LogLevel | None = None
    """The level from which on it is told what is logged; `None`: it has not asked."""
    lists: tuple[ListName, ...] = ()
    """The lists that it has read since it was last told of a change."""
    resources: tuple[str, ...] = ()
    """The resources to which it has subscribed."""
