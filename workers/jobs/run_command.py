"""Runs a client's command outside all conversations, in the sandbox."""

from typing import Final

import msgspec

from greenroom.protocol.conversation_api import ExecCommand
from greenroom.workers.approval.decision import SandboxedEnd, looks_denied
from greenroom.workers.exec.capture import Captured, OutputBudget
from greenroom.workers.exec.command import CommandSpec
from greenroom.workers.exec.environment import command_environment
from greenroom.workers.exec.process import Finished, run_to_end, signal_name
from greenroom.workers.job_context import JobError, Setting
from greenroom.workers.jobs.client_sandbox import client_confinement, client_settings, client_starter

DEFAULT_TIMEOUT_MS: Final = 10_000
OUTPUT_SIZE: Final = 1024 * 1024
"""Bytes kept of each stream; of a longer one both ends."""


async def run(params: bytes, setting: Setting) -> bytes:
    """Return the result of `execOneOffCommand`. Raises `JobError`, `ConfigError` or `SandboxUnavailableError`."""
    request = msgspec.json.decode(params, type=ExecCommand)
    settings = client_settings(setting, request.cwd, request.sandbox_policy)
    environment = command_environment(settings)
    command = CommandSpec(
        request.command,
        settings.cwd,
        environment,
        timeout=(DEFAULT_TIMEOUT_MS if request.timeout_ms is None else request.timeout_ms) / 1000,
        capture_size=OUTPUT_SIZE,
    )
    confinement = client_confinement(settings, setting, environment.get("TMPDIR", ""))
    async with client_starter(confinement) as starter:
        finished = await run_to_end(command, lambda _, __: None, starter)
    return _result(finished, confined=confinement is not None)


def _result(finished: Finished, *, confined: bool) -> bytes:
    stdout, stderr = _text(finished.stdout), _text(finished.stderr)
    if finished.spawn_error is not None:
        raise JobError(finished.spawn_error)
    if finished.timed_out:
        raise JobError("sandbox error: command timed out")
    if finished.signal is not None:
        raise JobError(f"sandbox error: command was killed by {signal_name(finished.signal)}")
    code = finished.exit_code or 0
    if confined and looks_denied(SandboxedEnd(code, output=stderr)):
        raise JobError(f"sandbox error: command was denied, exit code {code}, stdout: {stdout}, stderr: {stderr}")
    return msgspec.json.encode({"exitCode": code, "stdout": stdout, "stderr": stderr})


def _text(captured: Captured) -> str:
    return captured.render(OutputBudget(OUTPUT_SIZE))
