"""Params and results of commands and reviews that a client asks for."""

from typing import Annotated

from msgspec import Meta

from greenroom.protocol.app_server.thread import SandboxPolicy, Turn
from greenroom.protocol.app_server.wire import Params, Result, ThreadParams


class CommandExecParams(Params, frozen=True):
    """Params of `command/exec`."""

    command: list[str]
    cwd: str | None = None
    timeout_ms: Annotated[int, Meta(ge=0)] | None = None
    sandbox_policy: SandboxPolicy | None = None
    env: dict[str, str | None] | None = None
    process_id: str | None = None
    tty: bool = False
    stream_stdin: bool = False
    stream_stdout_stderr: bool = False
    disable_timeout: bool = False
    disable_output_cap: bool = False
    output_bytes_cap: int | None = None
    size: dict[str, int] | None = None


class CommandExecResponse(Result, frozen=True):
    """Result of `command/exec`, once the command has ended."""

    exit_code: int
    stdout: str
    stderr: str


class ReviewTarget(Params, frozen=True):
    """What is to be reviewed."""

    type: str
    """`uncommittedChanges`, `baseBranch` with `branch`, `commit` with `sha`, or `custom` with `instructions`."""
    branch: str | None = None
    sha: str | None = None
    title: str | None = None
    instructions: str | None = None


class ReviewStartParams(ThreadParams, frozen=True):
    """Params of `review/start`."""

    target: ReviewTarget
    delivery: str | None = None


class ReviewStartResponse(Result, frozen=True):
    """Result of `review/start`, at once."""

    review_thread_id: str
    turn: Turn


class ThreadRevertParams(ThreadParams, frozen=True):
    """Params of `thread/revert`."""

    before_turn_id: str
