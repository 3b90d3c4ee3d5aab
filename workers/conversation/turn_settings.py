"""What one turn goes by that was given settings of its own."""

import os
from collections.abc import Callable
from dataclasses import replace

import msgspec

from greenroom.config.paths import absolute, require_directory
from greenroom.config.sandbox import SandboxPolicy, WorkspaceWrite
from greenroom.config.settings import Settings
from greenroom.protocol.internal.worker import TurnSandbox, TurnSettings


def for_turn(settings: Settings, wanted: TurnSettings, with_model: Callable[[str], Settings]) -> Settings:
    """Return the conversation's settings as a turn changes them. Raises `ConfigError`.

    `with_model` returns the settings that the conversation would have with another model.
    """
    if wanted.model != settings.model:
        other = with_model(wanted.model)
        settings = replace(
            settings,
            model=other.model,
            model_family=other.model_family,
            reasoning_effort=other.reasoning_effort,
            verbosity=other.verbosity,
            tool_output_token_limit=other.tool_output_token_limit,
        )
    cwd = absolute(settings.cwd, wanted.cwd, os.environ)
    require_directory(cwd, "cwd")
    return replace(
        settings,
        cwd=cwd,
        approval_policy=wanted.approval_policy,
        sandbox_policy=_policy(wanted.sandbox_policy, cwd),
        reasoning_effort=settings.reasoning_effort if wanted.effort is None else wanted.effort,
        reasoning_summary=wanted.summary,
    )


def _policy(given: TurnSandbox, cwd: str) -> SandboxPolicy:
    policy: SandboxPolicy = msgspec.convert(msgspec.structs.asdict(given), SandboxPolicy)
    if not isinstance(policy, WorkspaceWrite):
        return policy
    roots = tuple(absolute(cwd, root, os.environ) for root in policy.writable_roots)
    return msgspec.structs.replace(policy, writable_roots=roots)
