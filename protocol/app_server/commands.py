"""Params and results of commands that a client runs, and what it is told of them."""

from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from greenroom.protocol.app_server.thread import ThreadSandboxPolicy
from greenroom.protocol.app_server.wire import Params, Result, ServerNotification


class TerminalSize(Params, frozen=True):
    """The size of a terminal in character cells."""

    rows: Annotated[int, Meta(ge=1, le=65535)]
    cols: Annotated[int, Meta(ge=1, le=65535)]


class CommandExecParams(Params, frozen=True):
    """Params of `command/exec`."""

    command: list[str]
    cwd: str | None = None
    timeout_ms: Annotated[int, Meta(ge=0)] | None = None
    sandbox_policy: ThreadSandboxPolicy | None = None
    permission_profile: str | None = None
    env: dict[str, str | None] | None = None
    process_id: str | None = None
    tty: bool = False
    stream_stdin: bool = False
    stream_stdout_stderr: bool = False
    disable_timeout: bool = False
    disable_output_cap: bool = False
    output_bytes_cap: Annotated[int, Meta(ge=0)] | None = None
    size: TerminalSize | None = None


class CommandExecResponse(Result, frozen=True):
    """Result of `command/exec`, once the command has ended."""

    exit_code: int
    stdout: str
    stderr: str


class CommandExecWriteParams(Params, frozen=True):
    """Params of `command/exec/write`."""

    process_id: str
    delta_base64: str | None = None
    close_stdin: bool = False


class CommandExecResizeParams(Params, frozen=True):
    """Params of `command/exec/resize`."""

    process_id: str
    size: TerminalSize


class CommandExecTerminateParams(Params, frozen=True):
    """Params of `command/exec/terminate`."""

    process_id: str


class CommandExecOutputDelta(ServerNotification, frozen=True):
    """A command of `command/exec` whose output is streamed has written something."""

    method: ClassVar[str] = "command/exec/outputDelta"

    process_id: str
    stream: Literal["stdout", "stderr"]
    """`stdout` is also what a terminal shows."""
    delta_base64: str
    cap_reached: bool
    """Whether the rest of the stream is dropped."""
