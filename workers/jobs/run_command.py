"""Runs a client's command outside all conversations, in the sandbox."""

import os
from dataclasses import replace
from typing import Final

import msgspec

from greenroom.config.home import home_name
from greenroom.config.paths import require_directory
from greenroom.config.sandbox import SandboxPolicy
from greenroom.config.settings import ConversationOverrides, Settings, resolve
from greenroom.protocol.conversation_api import ExecCommand
from greenroom.workers.approval.decision import Ending, looks_denied
from greenroom.workers.exec.capture import Captured, OutputBudget
from greenroom.workers.exec.command import CommandSpec
from greenroom.workers.exec.environment import command_environment
from greenroom.workers.exec.process import Finished, signal_name
from greenroom.workers.exec.process import run as run_to_end
from greenroom.workers.exec.process_groups import ProcessGroups
from greenroom.workers.exec.starter import GroupStarter, Starter
from greenroom.workers.job_context import JobError, Setting
from greenroom.workers.sandbox.launcher import Launcher
from greenroom.workers.sandbox.policy import Surroundings, confine
from greenroom.workers.sandbox.starter import LaunchedStarter

DEFAULT_TIMEOUT_MS: Final = 10_000
OUTPUT_SIZE: Final = 1024 * 1024
"""Bytes kept of each stream; of a longer one both ends."""


async def run(params: bytes, setting: Setting) -> bytes:
    """Return the result of `execOneOffCommand`. Raises `JobError`, `ConfigError` or `SandboxUnavailableError`."""
    request = msgspec.json.decode(params, type=ExecCommand)
    settings = _settings(request, setting)
    environment = command_environment(settings)
    command = CommandSpec(
        request.command,
        settings.cwd,
        environment,
        timeout=(DEFAULT_TIMEOUT_MS if request.timeout_ms is None else request.timeout_ms) / 1000,
        capture_size=OUTPUT_SIZE,
    )
    surroundings = Surroundings(
        settings.cwd,
        setting.home,
        setting.runtime_directory,
        environment.get("TMPDIR", ""),
        home_name(os.environ),
        settings.unix_sockets,
    )
    confinement = confine(settings.sandbox_policy, surroundings)
    if confinement is None:
        return _result(await _run(command, GroupStarter(ProcessGroups())), confined=False)
    launcher = Launcher.attach()
    try:
        finished = await _run(command, LaunchedStarter(lambda: launcher, confinement.resolved()))
    finally:
        launcher.kill_all()
        await launcher.close()
    return _result(finished, confined=True)


def _settings(request: ExecCommand, setting: Setting) -> Settings:
    settings = resolve(
        setting.home, request.config_overrides, ConversationOverrides(cwd=request.cwd), os.getcwd(), os.environ
    )
    require_directory(settings.cwd, "cwd")
    if request.sandbox_policy is None:
        return settings
    policy: SandboxPolicy = msgspec.convert(request.sandbox_policy, SandboxPolicy)
    return replace(settings, sandbox_policy=policy)


async def _run(command: CommandSpec, starter: Starter) -> Finished:
    return await run_to_end(command, lambda _, __: None, starter)


def _result(finished: Finished, *, confined: bool) -> bytes:
    stdout, stderr = _text(finished.stdout), _text(finished.stderr)
    if finished.spawn_error is not None:
        raise JobError(finished.spawn_error)
    if finished.timed_out:
        raise JobError("sandbox error: command timed out")
    if finished.signal is not None:
        raise JobError(f"sandbox error: command was killed by {signal_name(finished.signal)}")
    code = finished.exit_code or 0
    if confined and looks_denied(Ending(code, output=stderr)):
        raise JobError(f"sandbox error: command was denied, exit code {code}, stdout: {stdout}, stderr: {stderr}")
    return msgspec.json.encode({"exitCode": code, "stdout": stdout, "stderr": stderr})


def _text(captured: Captured) -> str:
    return captured.render(OutputBudget(OUTPUT_SIZE))
