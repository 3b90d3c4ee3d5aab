"""Decides by a table whether a tool of a user's MCP server is called, needs approval or is refused.

Free of I/O. The server's annotations are believed, because the user has chosen the server. The sandbox does not
restrict it.
"""

from typing import Final, Literal, TypeAlias

import msgspec

from greenroom.config.tables.servers import ApprovalMode
from greenroom.protocol.policy import ApprovalPolicy, SandboxMode

REJECTED_BY_USER: Final = "the call was rejected by the user"
NOBODY_TO_ASK: Final = "the call needs the user's approval, and the approval policy is `never`"

ToolClass: TypeAlias = Literal["destructive", "reading", "bounded", "unknown"]
"""The class of a tool by its annotations; `bounded`: not destructive, and limited to the server's own data."""
RemoteToolVerdict: TypeAlias = Literal["call", "ask", "refuse"]


class Hints(msgspec.Struct, frozen=True):
    """The annotations of a tool that describe the effect of a call; `None` if the server gives none."""

    read_only: bool | None = None
    destructive: bool | None = None
    open_world: bool | None = None

    @property
    def tool_class(self) -> ToolClass:
        """The column of the table."""
        if self.destructive:
            return "destructive"
        if self.read_only:
            return "reading"
        return "bounded" if self.destructive is False and self.open_world is False else "unknown"


CALLS: Final[dict[ApprovalMode, dict[ToolClass, Literal["call", "ask"]]]] = {
    "auto": {"reading": "call", "bounded": "call", "unknown": "ask", "destructive": "ask"},
    "writes": {"reading": "call", "bounded": "ask", "unknown": "ask", "destructive": "ask"},
    "prompt": {"reading": "ask", "bounded": "ask", "unknown": "ask", "destructive": "ask"},
    "approve": {"reading": "call", "bounded": "call", "unknown": "call", "destructive": "call"},
}


def decide_call(
    policy: ApprovalPolicy, sandbox: SandboxMode, mode: ApprovalMode, hints: Hints, *, remembered: bool
) -> RemoteToolVerdict:
    """Decide about one call. `remembered`: the user has approved this tool for the session."""
    tool_class: ToolClass = "reading" if mode == "writes" and hints.read_only else hints.tool_class
    if remembered or CALLS[mode][tool_class] == "call":
        return "call"
    if policy != "never":
        return "ask"
    return "call" if sandbox == "danger-full-access" else "refuse"
