"""Reads what a client asks of a command (`command/exec`) into the job that runs it. Free of I/O."""

from typing import Final

from greenroom.protocol.app_server.commands import CommandExecParams
from greenroom.protocol.internal import jobs
from greenroom.protocol.internal.worker.operations import TurnSandbox
from greenroom.protocol.jsonrpc import INVALID_PARAMS, INVALID_REQUEST
from greenroom.supervisor.frontend.app_server.settings.permission_profiles import profile_mode
from greenroom.supervisor.frontend.app_server.thread_settings import policy_members, read_sandbox
from greenroom.supervisor.frontend.request_params import RefusedError

TIMEOUT_MS: Final = 10_000
"""Milliseconds that a command has by default."""
OUTPUT_CAP: Final = 1024 * 1024
"""Bytes of each stream by default; the rest is dropped."""
TERMINAL: Final = jobs.WindowSize(rows=24, columns=80)


def command_job(params: CommandExecParams) -> jobs.CommandExec:
    """Return the job that runs a command. Raises `RefusedError`."""
    _check(params)
    size = params.size
    return jobs.CommandExec(
        command=tuple(params.command),
        cwd=params.cwd,
        sandbox_policy=_sandbox(params),
        timeout_ms=None if params.disable_timeout else TIMEOUT_MS if params.timeout_ms is None else params.timeout_ms,
        environment=params.env or {},
        output_cap=_cap(params),
        terminal=None if not params.tty else TERMINAL if size is None else jobs.WindowSize(size.rows, size.cols),
        reads_input=params.stream_stdin and not params.tty,
        streams_output=params.stream_stdout_stderr or params.tty,
    )


def _check(params: CommandExecParams) -> None:
    """Refuse what contradicts itself."""
    if not params.command:
        raise RefusedError(INVALID_REQUEST, "command must not be empty")
    is_open = params.tty or params.stream_stdin or params.stream_stdout_stderr
    for wrong, text in (
        (is_open and params.process_id is None, "`tty` and streams need a `processId`"),
        (params.size is not None and not params.tty, "`size` needs `tty`"),
        (params.timeout_ms is not None and params.disable_timeout, "`timeoutMs` contradicts `disableTimeout`"),
        (
            params.output_bytes_cap is not None and params.disable_output_cap,
            "`outputBytesCap` contradicts `disableOutputCap`",
        ),
        (any("=" in name or "\0" in name or not name for name in params.env or ()), "`env` has an invalid name"),
    ):
        if wrong:
            raise RefusedError(INVALID_PARAMS, f"command/exec: {text}")


def _cap(params: CommandExecParams) -> int | None:
    if params.disable_output_cap:
        return None
    return OUTPUT_CAP if params.output_bytes_cap is None else params.output_bytes_cap


def _sandbox(params: CommandExecParams) -> dict[str, object] | None:
    mode = profile_mode(params.permission_profile, params.sandbox_policy)
    if mode is not None:
        return policy_members(TurnSandbox(type=mode))
    return None if params.sandbox_policy is None else policy_members(read_sandbox(params.sandbox_policy))
